//! DICOM: the first frame, as it is meant to be seen. Uncompressed, JPEG, RLE and deflated; JPEG 2000 and JPEG-LS need
//! system libraries and are refused.

use anyhow::{Context, Result, bail, ensure};
use dicom_dictionary_std::tags;
use dicom_object::DefaultDicomObject;
use dicom_pixeldata::{
    ConvertOptions, DecodedPixelData, ModalityLutOption, PhotometricInterpretation, PixelDecoder, PixelRepresentation,
    PlanarConfiguration, VoiLutFunction, WindowLevelTransform,
};

use super::{
    Rgb,
    raster::{self, Colour},
};
use crate::artifact::reading::{Levels, NamedLevels, Reading};

/// Raw samples, the decoder's own copy, a double for each, and RGB.
const BYTES_PER_SAMPLE: u64 = 16;

pub fn decode(bytes: &[u8], reading: &Reading) -> Result<(Rgb, String)> {
    let object = dicom_object::from_reader(bytes).context("DICOM")?;
    let number = |tag| object.element(tag).ok().and_then(|element| element.to_int::<u32>().ok());
    let (Some(height), Some(width)) = (number(tags::ROWS), number(tags::COLUMNS)) else {
        bail!("DICOM without an image: it has no rows and columns");
    };
    let channels = number(tags::SAMPLES_PER_PIXEL).unwrap_or(1);
    reading.limits.check(width.into(), height.into(), BYTES_PER_SAMPLE * u64::from(channels) + 3)?;
    let data = object.decode_pixel_data_frame(0).context("DICOM pixels")?;
    match data.photometric_interpretation() {
        PhotometricInterpretation::Monochrome1 => grey(&object, &data, true, reading),
        PhotometricInterpretation::Monochrome2 => grey(&object, &data, false, reading),
        PhotometricInterpretation::Rgb => colour(&data, <[u8; 3]>::from, reading),
        PhotometricInterpretation::YbrFull | PhotometricInterpretation::YbrFull422 => {
            colour(&data, ybr_to_rgb, reading)
        }
        other => bail!("DICOM colours {other:?} are not read: convert to RGB"),
    }
}

/// Stored values through the modality's rescaling, then through the window; MONOCHROME1 means that small values are bright.
fn grey(
    object: &DefaultDicomObject,
    data: &DecodedPixelData,
    inverted: bool,
    reading: &Reading,
) -> Result<(Rgb, String)> {
    let stored = ConvertOptions::new().with_modality_lut(ModalityLutOption::None);
    let mut values: Vec<f64> = data.to_vec_frame_with_options(0, &stored).context("DICOM pixels")?;
    let rescale = *data.rescale().context("DICOM rescaling")?.first().context("DICOM rescaling")?;
    values.iter_mut().for_each(|value| *value = *value * rescale.slope + rescale.intercept);
    let window = data.window().ok().flatten().and_then(|windows| windows.first().copied()).filter(|w| w.width > 0.0);
    let by_range = |range| values.iter().map(|&value| raster::level(value, range)).collect::<Result<Vec<u8>>>();
    let mut bytes = match (reading.levels, window) {
        (Levels::Given(range), _) => by_range(range)?,
        (Levels::Named(NamedLevels::Type), Some(window)) => {
            let function = data.voi_lut_function().ok().flatten().and_then(|functions| functions.first().copied());
            let window = WindowLevelTransform::new(function.unwrap_or(VoiLutFunction::Linear), window);
            values.iter().map(|&value| window.apply(value, 255.0).clamp(0.0, 255.0).round_ties_even() as u8).collect()
        }
        // A file without a window leaves it to the reader, and readers show the whole range.
        (Levels::Named(_), _) => by_range(raster::extremes(values.iter().copied()))?,
    };
    if inverted {
        bytes.iter_mut().for_each(|byte| *byte = 255 - *byte);
    }
    let bits = object.element(tags::BITS_STORED).ok().and_then(|bits| bits.to_int().ok()).unwrap_or(16);
    let image = raster::rgb(data.columns(), data.rows(), Colour::Grey, bytes, reading)?;
    Ok((image, Colour::Grey.with_bits(bits)))
}

fn colour(data: &DecodedPixelData, to_rgb: impl Fn([u8; 3]) -> [u8; 3], reading: &Reading) -> Result<(Rgb, String)> {
    let plain = data.bits_allocated() == 8 && data.pixel_representation() == PixelRepresentation::Unsigned;
    ensure!(plain && data.samples_per_pixel() == 3, "DICOM colours of other than three 8-bit channels are not read");
    let frame = data.frame_data(0).context("DICOM pixels")?;
    let planes = frame.len() / 3;
    let pixels: Vec<[u8; 3]> = match data.planar_configuration() {
        PlanarConfiguration::Standard => frame.as_chunks().0.iter().map(|&pixel| to_rgb(pixel)).collect(),
        PlanarConfiguration::PixelFirst => {
            (0..planes).map(|i| to_rgb([frame[i], frame[planes + i], frame[2 * planes + i]])).collect()
        }
    };
    let image = raster::rgb(data.columns(), data.rows(), Colour::Rgb, pixels.into_flattened(), reading)?;
    Ok((image, Colour::Rgb.name().to_string()))
}

/// PS3.3 C.7.6.3.1.2, the inverse.
fn ybr_to_rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|x| x.clamp(0.0, 255.0).round() as u8)
}
