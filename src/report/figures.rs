//! Drawings as SVG: few enough kinds that writing them out is shorter than a plotting library, whose SVG would have fixed
//! colours where these follow the reader's light or dark.

use std::fmt::Write;

use super::document::escape_html;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 46.0;
/// Colours there are; series beyond share them.
const COLOURS: usize = 8;

/// The look of all figures; a page that holds several needs it once. Colours after Okabe & Ito, told apart by all.
pub const STYLE: &str = "
.figure{--ink:#24292f;--faint:#d0d7de;--paper:#fff;max-width:100%;height:auto}
.figure text{font:12px system-ui,sans-serif;fill:var(--ink)}
.figure .frame{stroke:var(--ink);fill:none}.figure .grid{stroke:var(--faint)}
.figure .line{stroke:var(--c);fill:none;stroke-width:2}.figure .dashed{stroke-dasharray:5 4}.figure .dot{fill:var(--c);stroke:var(--paper)}
.figure .k0{--c:#0072b2}.figure .k1{--c:#d55e00}.figure .k2{--c:#009e73}.figure .k3{--c:#cc79a7}
.figure .k4{--c:#e69f00}.figure .k5{--c:#56b4e9}.figure .k6{--c:#7f6a00}.figure .k7{--c:#777}
@media(prefers-color-scheme:dark){.figure{--ink:#e6edf3;--faint:#30363d;--paper:#0d1117}.figure .k0{--c:#4aa8e0}.figure .k1{--c:#ff8a3d}.figure .k2{--c:#2fc79b}.figure .k7{--c:#aaa}}
@media print{.figure{--ink:#000;--faint:#ccc;--paper:#fff}}
";

/// Of every figure that a report may have.
pub const NAMES: [&str; 7] = ["budget", "cost", "curves", "differences", "precision-recall", "reliability", "roc"];

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Line,
    Dashed,
    /// Dots with their names beside them.
    Named,
    /// Dots joined by a line.
    Dotted,
}

#[derive(Debug, Clone)]
pub struct Series {
    pub name: String,
    /// Series of one arm share a colour.
    pub colour: usize,
    pub mark: Mark,
    pub points: Vec<[f64; 2]>,
}

/// A chart of x and y.
#[derive(Debug, Clone, Default)]
pub struct Chart {
    pub caption: String,
    pub x: &'static str,
    pub y: String,
    pub log_x: bool,
    /// Both axes from 0 to 1, with their diagonal.
    pub unit_square: bool,
    pub series: Vec<Series>,
}

/// An axis: values to pixels.
struct Scale {
    low: f64,
    high: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Scale {
    fn new(values: impl Iterator<Item = f64>, log: bool, from: f64, to: f64) -> Option<Scale> {
        let usable = values.filter(|v| v.is_finite() && (!log || *v > 0.0));
        let (low, high) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return None;
        }
        let (mut low, mut high) = if log { (low.log10(), high.log10()) } else { (low, high) };
        let room = if high > low { 0.04 * (high - low) } else { 0.5 * low.abs().max(1e-3) };
        (low, high) = (low - room, high + room);
        Some(Scale { low, high, log, from, to })
    }

    fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// About five round numbers; of a logarithmic axis 1, 2 and 5 times powers of ten.
    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let decades = self.low.floor() as i32..=self.high.ceil() as i32;
            let all = decades.flat_map(|d| [1.0, 2.0, 5.0].map(|m: f64| m * 10f64.powi(d)));
            let inside: Vec<f64> = all.filter(|v| (self.low..=self.high).contains(&v.log10())).collect();
            let step = inside.len().div_ceil(8).max(1);
            return inside.into_iter().step_by(step).collect();
        }
        let rough = (self.high - self.low) / 5.0;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(power);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|i| i as f64 * step).take_while(|v| *v <= self.high).take(20).collect()
    }
}

/// As short as it is exact: 0.85, 20, 1500.
fn label(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-6 {
        return format!("{value:e}");
    }
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".to_owned() } else { text.to_owned() }
}

impl Chart {
    /// The `<svg>` element; `None` when there is nothing to draw.
    pub fn svg(&self) -> Option<String> {
        let mut keys: Vec<&Series> = Vec::new();
        for series in self.series.iter().filter(|series| series.mark != Mark::Named) {
            if !keys.iter().any(|known| known.name == series.name) {
                keys.push(series);
            }
        }
        let rows = rows_of_keys(&keys);
        let top = 12.0 + 18.0 * rows.len() as f64;
        let (width, height) = if self.unit_square { (370.0, 350.0 + top) } else { (WIDTH, HEIGHT + top) };
        let points = || self.series.iter().flat_map(|series| &series.points);
        let square = [0.0, 1.0].into_iter().filter(|_| self.unit_square);
        let x = Scale::new(points().map(|p| p[0]).chain(square.clone()), self.log_x, LEFT, width - RIGHT)?;
        let y = Scale::new(points().map(|p| p[1]).chain(square), false, height - BOTTOM, top)?;
        let mut out = open(width, height, &self.caption);
        for tick in x.ticks() {
            let at = x.at(tick);
            _ = write!(
                out,
                "<path class=\"grid\" d=\"M{at:.1} {top:.1}V{:.1}\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                height - BOTTOM,
                height - BOTTOM + 16.0,
                label(tick)
            );
        }
        for tick in y.ticks() {
            let at = y.at(tick);
            _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                width - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                label(tick)
            );
        }
        _ = write!(out, "<path class=\"frame\" d=\"M{LEFT} {top:.1}V{:.1}H{:.1}\"/>", height - BOTTOM, width - RIGHT);
        if self.unit_square {
            let [from, to] = [0.0, 1.0].map(|v| format!("{:.1} {:.1}", x.at(v), y.at(v)));
            if self.x != "recall" {
                _ = write!(out, "<path class=\"grid dashed\" d=\"M{from}L{to}\"/>");
            }
        }
        _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (LEFT + width - RIGHT) / 2.0,
            height - 8.0,
            escape_html(self.x)
        );
        let middle = (top + height - BOTTOM) / 2.0;
        _ = write!(
            out,
            "<text transform=\"translate(14 {middle:.1})rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escape_html(&self.y)
        );
        for series in &self.series {
            self.draw(&mut out, series, &x, &y, width);
        }
        out += &legend(&rows);
        Some(out + "</svg>")
    }

    fn draw(&self, out: &mut String, series: &Series, x: &Scale, y: &Scale, width: f64) {
        let colour = series.colour % COLOURS;
        let is_drawn = |p: &&[f64; 2]| p.iter().all(|v| v.is_finite()) && (!self.log_x || p[0] > 0.0);
        let values: Vec<&[f64; 2]> = series.points.iter().filter(is_drawn).collect();
        let points: Vec<(f64, f64)> = values.iter().map(|p| (x.at(p[0]), y.at(p[1]))).collect();
        if series.mark != Mark::Named {
            let steps: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            let dashed = if series.mark == Mark::Dashed { " dashed" } else { "" };
            _ = write!(out, "<path class=\"line k{colour}{dashed}\" d=\"M{}\"/>", steps.join("L"));
        }
        if matches!(series.mark, Mark::Named | Mark::Dotted) {
            for (value, (x, y)) in values.iter().zip(&points) {
                let title = escape_html(&format!("{}: {}, {}", series.name, label(value[0]), label(value[1])));
                _ = write!(
                    out,
                    "<circle class=\"dot k{colour}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{title}</title></circle>"
                );
            }
        }
        if let (Mark::Named, Some((x, y))) = (series.mark, points.first()) {
            // On the side where there is room.
            let (at, anchor) = if *x > 0.6 * width { (x - 9.0, "end") } else { (x + 9.0, "start") };
            _ = write!(
                out,
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                y + 4.0,
                escape_html(&series.name)
            );
        }
    }
}

fn open(width: f64, height: f64, caption: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"figure\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">",
        escape_html(caption)
    )
}

/// Keys in as many rows as they need: (key, its x).
fn rows_of_keys<'a>(keys: &[&'a Series]) -> Vec<Vec<(&'a Series, f64)>> {
    let mut rows: Vec<Vec<(&Series, f64)>> = Vec::new();
    let mut next = f64::INFINITY;
    for &key in keys {
        let width = 34.0 + 6.6 * key.name.chars().count() as f64;
        if next + width > 370.0 {
            rows.push(Vec::new());
            next = LEFT;
        }
        if let Some(row) = rows.last_mut() {
            row.push((key, next));
        }
        next += width;
    }
    rows
}

fn legend(rows: &[Vec<(&Series, f64)>]) -> String {
    let mut out = String::new();
    for (row, keys) in rows.iter().enumerate() {
        let y = 12.0 + 18.0 * row as f64;
        for (series, x) in keys {
            let dashed = if series.mark == Mark::Dashed { " dashed" } else { "" };
            _ = write!(
                out,
                "<path class=\"line k{}{dashed}\" d=\"M{x:.1} {:.1}h20\"/><text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                series.colour % COLOURS,
                y - 4.0,
                x + 25.0,
                escape_html(&series.name)
            );
        }
    }
    out
}

/// A difference with its interval.
#[derive(Debug, Clone)]
pub struct Interval {
    pub name: String,
    pub colour: usize,
    pub mean: f64,
    pub bounds: Option<[f64; 2]>,
}

/// Differences under each other around a line at 0, with the margin shaded where one is declared.
pub fn intervals(caption: &str, x: &str, rows: &[Interval], margin: Option<f64>) -> Option<String> {
    let widest = rows.iter().map(|row| row.name.chars().count()).max()?;
    let left = (24.0 + 6.6 * widest as f64).min(330.0);
    let height = 34.0 * rows.len() as f64 + 12.0;
    let values = rows.iter().flat_map(|row| row.bounds.map_or(vec![row.mean], |bounds| bounds.to_vec()));
    let scale =
        Scale::new(values.chain([0.0]).chain(margin.into_iter().flat_map(|m| [-m, m])), false, left, WIDTH - RIGHT)?;
    let mut out = open(WIDTH, height + BOTTOM, caption);
    if let Some(margin) = margin {
        _ = write!(
            out,
            "<rect x=\"{:.1}\" y=\"0\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"var(--faint)\" opacity=\"0.5\"/>",
            scale.at(-margin),
            scale.at(margin) - scale.at(-margin)
        );
    }
    for tick in scale.ticks() {
        let at = scale.at(tick);
        _ = write!(
            out,
            "<path class=\"grid\" d=\"M{at:.1} 0V{height:.1}\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            height + 16.0,
            label(tick)
        );
    }
    _ = write!(out, "<path class=\"frame\" d=\"M{:.1} 0V{height:.1}\"/>", scale.at(0.0));
    for (index, row) in rows.iter().enumerate() {
        let (y, colour) = (34.0 * index as f64 + 23.0, row.colour % COLOURS);
        _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 10.0,
            y + 4.0,
            escape_html(&row.name)
        );
        if let Some([low, high]) = row.bounds {
            _ = write!(
                out,
                "<path class=\"line k{colour}\" d=\"M{:.1} {y:.1}H{:.1}\"/>",
                scale.at(low),
                scale.at(high)
            );
        }
        _ = write!(out, "<circle class=\"dot k{colour}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"6\"/>", scale.at(row.mean));
    }
    _ = write!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></svg>",
        (left + WIDTH - RIGHT) / 2.0,
        height + 36.0,
        escape_html(x)
    );
    Some(out)
}

/// The drawing as a file of its own.
pub fn file(svg: &str) -> String {
    let at = svg.find('>').map_or(0, |at| at + 1);
    format!(
        "{}<style>{STYLE}</style>{}\n",
        &svg[..at],
        &svg[at..].replace("/><", "/>\n<").replace("</text><", "</text>\n<")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<[f64; 2]>, log_x: bool) -> Chart {
        let series = Series { name: "a <b>".to_owned(), colour: 0, mark: Mark::Dotted, points };
        Chart {
            caption: "a & b".to_owned(),
            x: "x",
            y: "y".to_owned(),
            log_x,
            unit_square: false,
            series: vec![series],
        }
    }

    #[test]
    fn names_are_text_and_nothing_is_drawn_from_nothing() {
        let svg = chart(vec![[1.0, 0.5], [2.0, 0.6]], false).svg().unwrap();
        assert!(svg.contains("a &lt;b&gt;") && svg.contains("a &amp; b") && !svg.contains("NaN"), "{svg}");
        assert_eq!(chart(vec![], false).svg(), None);
        assert_eq!(intervals("", "", &[], None), None);
    }

    #[test]
    fn odd_values_do_not_break_a_drawing() {
        for points in [
            vec![[0.0, 0.0]],
            vec![[1.0, f64::NAN], [2.0, 1.0]],
            vec![[5.0, 1.0], [5.0, 1.0]],
            vec![[0.0, 1.0], [10.0, 2.0]],
        ] {
            for log in [false, true] {
                if let Some(svg) = chart(points.clone(), log).svg() {
                    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{points:?} {svg}");
                }
            }
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::new([0.71, 0.89].into_iter(), false, 0.0, 1.0).unwrap();
        assert_eq!(scale.ticks().into_iter().map(label).collect::<Vec<_>>(), ["0.75", "0.8", "0.85"]);
        let log = Scale::new([3.0, 2000.0].into_iter(), true, 0.0, 1.0).unwrap();
        assert!(log.ticks().iter().all(|tick| (2.0..=2600.0).contains(tick)), "{:?}", log.ticks());
        assert_eq!([0.0, -0.0, 20.0, 0.125].map(label), ["0", "0", "20", "0.125"]);
    }
}
