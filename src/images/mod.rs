//! Decoding, resizing and transforming images (rayon across images). No tch.

pub mod transforms;
