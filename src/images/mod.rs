//! From files to prepared pixels: [`decode`], [`resize`], [`transforms`] and what they are made of. No tch; who calls decides on the threads.

pub mod colour;
pub mod conditions;
pub mod decode;
pub mod filter;
pub mod jpeg;
pub mod resize;
pub mod sheet;
pub mod similar;
pub mod source;
pub mod transforms;
pub mod warp;

#[cfg(test)]
mod tests;

/// Most pixels a resized image may have, as the default of [`Limits`](crate::artifact::reading::Limits).
pub const MAX_PIXELS: u64 = 178_956_970;

/// A decoded image: `pixels` is u8, [height, width, 3], RGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}

impl Rgb {
    /// A black image.
    pub fn black(width: u32, height: u32) -> Rgb {
        Rgb { width, height, pixels: vec![0; width as usize * height as usize * 3] }
    }

    /// Bytes of one row.
    pub fn stride(&self) -> usize {
        self.width as usize * 3
    }
}
