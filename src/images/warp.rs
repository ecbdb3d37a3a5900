//! The one resampler behind all geometry: every output pixel is looked up between the pixels of the input, once.
//!
//! Coordinates are pixel indices: (0, 0) is the centre of the first pixel. What torchvision calls `grid_sample` with
//! `align_corners=False` and what scipy's `map_coordinates` reads are the same place here.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::Rgb;

/// How a value between pixels is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// The value of the nearest pixel.
    Nearest,
    /// The four pixels around, weighted by distance.
    #[default]
    Bilinear,
}

/// What lies outside the image: `nearest` (aaaa|abcd|dddd), `reflect` (dcba|abcd|dcba), `wrap` (abcd|abcd|abcd), as Keras and
/// scipy name them, or a colour: `constant` (black), one level, or `[red, green, blue]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenFill", into = "WrittenFill")]
pub enum Fill {
    Nearest,
    Reflect,
    Wrap,
    Constant([u8; 3]),
}

impl Default for Fill {
    fn default() -> Fill {
        Fill::Constant([0; 3])
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenFill {
    Named(NamedFill),
    Level(u8),
    Colour([u8; 3]),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NamedFill {
    Nearest,
    Reflect,
    Wrap,
    Constant,
}

impl From<WrittenFill> for Fill {
    fn from(written: WrittenFill) -> Fill {
        match written {
            WrittenFill::Named(NamedFill::Nearest) => Fill::Nearest,
            WrittenFill::Named(NamedFill::Reflect) => Fill::Reflect,
            WrittenFill::Named(NamedFill::Wrap) => Fill::Wrap,
            WrittenFill::Named(NamedFill::Constant) => Fill::default(),
            WrittenFill::Level(level) => Fill::Constant([level; 3]),
            WrittenFill::Colour(colour) => Fill::Constant(colour),
        }
    }
}

impl From<Fill> for WrittenFill {
    fn from(fill: Fill) -> WrittenFill {
        match fill {
            Fill::Nearest => WrittenFill::Named(NamedFill::Nearest),
            Fill::Reflect => WrittenFill::Named(NamedFill::Reflect),
            Fill::Wrap => WrittenFill::Named(NamedFill::Wrap),
            Fill::Constant(colour) => WrittenFill::Colour(colour),
        }
    }
}

impl JsonSchema for Fill {
    fn schema_name() -> Cow<'static, str> {
        "Fill".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let level = json_schema!({ "type": "integer", "minimum": 0, "maximum": 255 });
        json_schema!({
            "description": "What lies outside the image: nearest (aaaa|abcd|dddd), reflect (dcba|abcd|dcba), wrap (abcd|abcd|abcd), \
                            constant (black), or a colour.",
            "anyOf": [
                { "type": "string", "enum": ["nearest", "reflect", "wrap", "constant"] },
                level,
                { "type": "array", "items": level, "minItems": 3, "maxItems": 3 }
            ]
        })
    }
}

/// A [`Fill`] and the edge conventions of whoever is to be matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    Nearest,
    Reflect,
    Wrap,
    /// As torchvision: pixels partly outside blend into the colour (by the square of their weight inside).
    Blend([u8; 3]),
    /// As scipy's `constant`: all of a pixel whose centre lies outside is the colour.
    Cut([u8; 3]),
    /// As scipy's `wrap`: the last pixel is the first of the next copy, so the period is one pixel less.
    WrapOverlapping,
}

impl From<Fill> for Border {
    fn from(fill: Fill) -> Border {
        match fill {
            Fill::Nearest => Border::Nearest,
            Fill::Reflect => Border::Reflect,
            Fill::Wrap => Border::Wrap,
            Fill::Constant(colour) => Border::Blend(colour),
        }
    }
}

/// Where an index outside `0..length` is read. `None` for a colour.
fn inside(index: i64, length: i64, border: Border) -> Option<i64> {
    match border {
        _ if (0..length).contains(&index) => Some(index),
        Border::Nearest | Border::Cut(_) | Border::WrapOverlapping => Some(index.clamp(0, length - 1)),
        Border::Reflect => {
            let at = index.rem_euclid(2 * length);
            Some(at.min(2 * length - 1 - at))
        }
        Border::Wrap => Some(index.rem_euclid(length)),
        Border::Blend(_) => None,
    }
}

/// An image of `width` x `height` whose pixel (x, y) is the input at `source(x, y)`; coordinates that are not numbers lie
/// outside.
pub fn warp(
    image: &Rgb,
    (width, height): (u32, u32),
    border: Border,
    sampling: Sampling,
    source: impl Fn(f64, f64) -> (f64, f64),
) -> Rgb {
    let mut out = Rgb::black(width, height);
    let sampler = Sampler { image, border };
    for (y, row) in out.pixels.chunks_exact_mut((width as usize * 3).max(1)).enumerate() {
        for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let (sx, sy) = source(x as f64, y as f64);
            *pixel = match sampling {
                Sampling::Nearest => sampler.nearest(sx, sy),
                Sampling::Bilinear => sampler.bilinear(sx, sy),
            };
        }
    }
    out
}

struct Sampler<'a> {
    image: &'a Rgb,
    border: Border,
}

impl Sampler<'_> {
    fn pixel(&self, x: i64, y: i64) -> [u8; 3] {
        let at = y as usize * self.image.stride() + x as usize * 3;
        [self.image.pixels[at], self.image.pixels[at + 1], self.image.pixels[at + 2]]
    }

    fn sides(&self) -> (i64, i64) {
        (i64::from(self.image.width), i64::from(self.image.height))
    }

    /// Coordinates as the border's own convention moves them before anything is looked up; `None` where the colour stands.
    fn moved(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let (w, h) = self.sides();
        let (right, bottom) = ((w - 1) as f64, (h - 1) as f64);
        if !(x.is_finite() && y.is_finite()) {
            // Far outside: every rule but a colour reads some edge pixel there.
            return matches!(self.border, Border::Nearest | Border::Reflect | Border::Wrap).then_some((0.0, 0.0));
        }
        match self.border {
            Border::Cut(_) => ((0.0..=right).contains(&x) && (0.0..=bottom).contains(&y)).then_some((x, y)),
            Border::WrapOverlapping => {
                let wrapped = |at: f64, last: f64| {
                    if (0.0..=last).contains(&at) || last == 0.0 { at.clamp(0.0, last) } else { at.rem_euclid(last) }
                };
                Some((wrapped(x, right), wrapped(y, bottom)))
            }
            _ => Some((x, y)),
        }
    }

    fn colour(&self) -> [u8; 3] {
        match self.border {
            Border::Blend(colour) | Border::Cut(colour) => colour,
            _ => [0; 3],
        }
    }

    fn nearest(&self, x: f64, y: f64) -> [u8; 3] {
        let (w, h) = self.sides();
        let found = self.moved(x, y).and_then(|(x, y)| {
            let x = inside(x.round_ties_even() as i64, w, self.border)?;
            Some(self.pixel(x, inside(y.round_ties_even() as i64, h, self.border)?))
        });
        found.unwrap_or(self.colour())
    }

    fn bilinear(&self, x: f64, y: f64) -> [u8; 3] {
        let (w, h) = self.sides();
        // Comparisons are false for what is not a number.
        if x >= 0.0 && y >= 0.0 && x < (w - 1) as f64 && y < (h - 1) as f64 {
            let (x0, y0) = (x as usize, y as usize);
            let (fx, fy) = ((x - x0 as f64) as f32, (y - y0 as f64) as f32);
            let at = y0 * self.image.stride() + x0 * 3;
            let two = |at: usize| -> &[u8; 6] { self.image.pixels[at..at + 6].try_into().expect("six bytes") };
            let (upper, lower) = (two(at), two(at + self.image.stride()));
            let across = |row: &[u8; 6], c: usize| f32::from(row[c]) + fx * (f32::from(row[c + 3]) - f32::from(row[c]));
            let between = |c: usize| {
                let (above, below) = (across(upper, c), across(lower, c));
                (above + fy * (below - above) + 0.5) as u8
            };
            return [between(0), between(1), between(2)];
        }
        let Some((x, y)) = self.moved(x, y) else { return self.colour() };
        let (x0, y0) = (x.floor(), y.floor());
        let (fx, fy) = ((x - x0) as f32, (y - y0) as f32);
        let (mut sum, mut weight) = ([0f32; 3], 0f32);
        for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
            let share = (if dx == 1 { fx } else { 1.0 - fx }) * (if dy == 1 { fy } else { 1.0 - fy });
            let (Some(x), Some(y)) = (inside(x0 as i64 + dx, w, self.border), inside(y0 as i64 + dy, h, self.border))
            else {
                continue;
            };
            let pixel = self.pixel(x, y);
            (0..3).for_each(|c| sum[c] += share * f32::from(pixel[c]));
            weight += share;
        }
        if let Border::Blend(colour) = self.border {
            return std::array::from_fn(|c| {
                let colour = f32::from(colour[c]);
                ((sum[c] - colour) * weight + colour + 0.5) as u8
            });
        }
        sum.map(|value| (value + 0.5) as u8)
    }
}

/// The part of `width` x `height` pixels whose first is at (`left`, `top`), with what lies outside filled.
pub fn window(image: &Rgb, (left, top): (i64, i64), (width, height): (u32, u32), fill: Fill) -> Rgb {
    let sampler = Sampler { image, border: fill.into() };
    let mut out = Rgb::black(width, height);
    let (w, h) = sampler.sides();
    for (y, row) in out.pixels.chunks_exact_mut((width as usize * 3).max(1)).enumerate() {
        for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let from = (inside(left + x as i64, w, sampler.border), inside(top + y as i64, h, sampler.border));
            *pixel = if let (Some(x), Some(y)) = from { sampler.pixel(x, y) } else { sampler.colour() };
        }
    }
    out
}

/// From the pixels of the output to where they are read: `[a, b, c, d, e, f]` for (ax + by + c, dx + ey + f).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine(pub [f64; 6]);

/// What torchvision's `affine` takes: `angle` in degrees, clockwise; `translate` in pixels; `shear` (x, y) in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    pub angle: f64,
    pub translate: [f64; 2],
    pub scale: f64,
    pub shear: [f64; 2],
}

impl Motion {
    pub const NONE: Motion = Motion { angle: 0.0, translate: [0.0; 2], scale: 1.0, shear: [0.0; 2] };
}

impl Affine {
    /// The inverse of: shear, rotate and scale about `centre` (pixels from the upper left corner; by default the image's
    /// centre), then translate; the matrix of torchvision's `affine`.
    pub fn new(motion: Motion, (width, height): (u32, u32), centre: Option<[f64; 2]>) -> Affine {
        let (angle, [shear_x, shear_y]) = (motion.angle.to_radians(), motion.shear.map(f64::to_radians));
        let a = (angle - shear_y).cos() / shear_y.cos();
        let b = -(angle - shear_y).cos() * shear_x.tan() / shear_y.cos() - angle.sin();
        let c = (angle - shear_y).sin() / shear_y.cos();
        let d = -(angle - shear_y).sin() * shear_x.tan() / shear_y.cos() + angle.cos();
        // The determinant of [a b; c d] is 1.
        let [a, b, c, d] = [d, -b, -c, a].map(|x| x / motion.scale);
        let [cx, cy] = centre.unwrap_or([f64::from(width) / 2.0, f64::from(height) / 2.0]).map(|at| at - 0.5);
        let [tx, ty] = motion.translate;
        Affine([a, b, cx - a * (cx + tx) - b * (cy + ty), c, d, cy - c * (cx + tx) - d * (cy + ty)])
    }

    pub fn apply(&self, image: &Rgb, fill: Fill, sampling: Sampling) -> Rgb {
        self.apply_with(image, fill.into(), sampling)
    }

    pub fn apply_with(&self, image: &Rgb, border: Border, sampling: Sampling) -> Rgb {
        let [a, b, c, d, e, f] = self.0;
        warp(image, (image.width, image.height), border, sampling, |x, y| (a * x + b * y + c, d * x + e * y + f))
    }
}

/// The projection that moves the four corners `from` to `to`, as where output pixels are read; torchvision's `perspective`.
/// `None` when three corners lie on a line.
pub fn perspective(image: &Rgb, from: [[f64; 2]; 4], to: [[f64; 2]; 4], fill: Fill, sampling: Sampling) -> Option<Rgb> {
    // The eight coefficients solve, for each pair of corners, x' (gx + hy + 1) = ax + by + c and the same for y'.
    let mut rows = [[0.0; 9]; 8];
    for (i, ([x, y], [u, v])) in to.into_iter().zip(from).enumerate() {
        rows[2 * i] = [x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u];
        rows[2 * i + 1] = [0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v];
    }
    let [a, b, c, d, e, f, g, h] = solve(rows)?;
    let sizes = (image.width, image.height);
    Some(warp(image, sizes, fill.into(), sampling, |x, y| {
        let (x, y) = (x + 0.5, y + 0.5);
        let depth = g * x + h * y + 1.0;
        ((a * x + b * y + c) / depth - 0.5, (d * x + e * y + f) / depth - 0.5)
    }))
}

/// Gaussian elimination with pivoting on [matrix | right side].
fn solve(mut rows: [[f64; 9]; 8]) -> Option<[f64; 8]> {
    for column in 0..8 {
        let pivot = (column..8).max_by(|&i, &j| rows[i][column].abs().total_cmp(&rows[j][column].abs()))?;
        rows.swap(column, pivot);
        if rows[column][column].abs() < 1e-9 {
            return None;
        }
        let row = rows[column].map(|value| value / rows[column][column]);
        rows[column] = row;
        for (_, other) in rows.iter_mut().enumerate().filter(|(i, _)| *i != column) {
            let factor = other[column];
            other.iter_mut().zip(row).for_each(|(value, pivot)| *value -= factor * pivot);
        }
    }
    Some(rows.map(|row| row[8]))
}
