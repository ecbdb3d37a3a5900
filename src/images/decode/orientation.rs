//! How a camera was held, by the EXIF tag `Orientation`.

use super::Rgb;

/// Orientation 1 to 8 that raw EXIF data (a TIFF header and what follows) names; 1, upright, where it names none.
pub fn of_exif(exif: &[u8]) -> u32 {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let read = ::exif::Reader::new().continue_on_error(true).read_raw(exif.to_vec());
    // Cameras write broken EXIF; what can be read of it counts, as in Pillow.
    let Ok(fields) = read.or_else(|error| error.distill_partial_result(|_| ())) else { return 1 };
    let field = fields.get_field(::exif::Tag::Orientation, ::exif::In::PRIMARY);
    field.and_then(|field| field.value.get_uint(0)).filter(|value| (1..=8).contains(value)).unwrap_or(1)
}

/// The image as it was seen: what Pillow's `ImageOps.exif_transpose` gives.
pub fn upright(image: Rgb, orientation: u32) -> Rgb {
    let (width, height) = (image.width, image.height);
    // Where the pixel that is at (x, y) afterwards was before.
    let from: fn(u32, u32, u32, u32) -> (u32, u32) = match orientation {
        2 => |x, y, w, _| (w - 1 - x, y),
        3 => |x, y, w, h| (w - 1 - x, h - 1 - y),
        4 => |x, y, _, h| (x, h - 1 - y),
        5 => |x, y, _, _| (y, x),
        6 => |x, y, _, h| (y, h - 1 - x),
        7 => |x, y, w, h| (w - 1 - y, h - 1 - x),
        8 => |x, y, w, _| (w - 1 - y, x),
        _ => return image,
    };
    let (out_width, out_height) = if orientation >= 5 { (height, width) } else { (width, height) };
    let mut out = Rgb::black(out_width, out_height);
    let pixels = image.pixels.as_chunks::<3>().0;
    for (at, pixel) in (0u32..).zip(out.pixels.as_chunks_mut::<3>().0) {
        let (x, y) = from(at % out_width, at / out_width, width, height);
        *pixel = pixels[y as usize * width as usize + x as usize];
    }
    out
}
