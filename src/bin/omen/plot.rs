//! The plot of `omen estimate`: recall and relative MSE against the ratio, with the bytes under each ratio.

use crate::answer::duration;
use crate::failure::{Failure, Outcome};
use crate::files::Whole;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::prelude::*;
use plotters::style::{register_font, text_anchor::*};
use std::ops::Range;
use std::path::Path;

type Drawn<T> = Result<T, Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

const SIZE: (u32, u32) = (960, 760);
const FONT: &str = "Hack";
const INK: RGBColor = RGBColor(60, 60, 60);
const GRID: RGBColor = RGBColor(225, 225, 225);
/// Space before the first and after the last ratio, in doublings.
const MARGIN: f64 = 0.35;
/// Height of the axis divided by its highest value, which leaves space for the number above the highest point.
const HEADROOM: f64 = 1.12;
/// Recalls named on the axis, and the least distance from 1 that is drawn.
const RECALL_TICKS: [f64; 10] = [0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999];
const RECALL_GAP_MIN: f64 = 1e-4;
/// Least distance of two numbers in pixels, from centre to centre, so that they do not overlap.
const NUMBER_WIDTH: i32 = 72;
const AXIS_HEIGHT: i32 = 72;
const LABELS_WIDTH: i32 = 90;
const BORDER: i32 = 16;

/// The figures at one ratio.
pub struct Point {
    pub ratio: f64,
    /// Bytes of the whole file.
    pub bytes: u64,
    pub relative_mse: f64,
    pub recall: f64,
}

/// One figure of every point, and how it is drawn.
struct Curve {
    name: &'static str,
    color: RGBColor,
    /// The height of a value on the axis.
    height: fn(f64) -> f64,
    /// The values named on the axis.
    ticks: Vec<f64>,
    /// The highest value of the axis.
    top: f64,
    /// The side of a point on which its number is drawn, off the line.
    side: HPos,
    value: fn(&Point) -> f64,
}

/// What the points were measured on.
pub struct Caption {
    /// Name of the file or store.
    pub data: String,
    pub count: u64,
    pub dim: usize,
    pub sampled: u64,
    pub queries: u64,
    pub seconds: f64,
}

/// A vertical axis from 0 to `top` with these ticks.
struct Axis {
    top: f64,
    ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, height: &f64, (bottom, top): (i32, i32)) -> i32 {
        bottom + (height / self.top * f64::from(top - bottom)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        0.0..self.top
    }
}

/// Draws `points` into a PNG at `path`.
pub fn draw(path: &Path, caption: &Caption, points: &[Point]) -> Outcome<()> {
    let mut whole = Whole::create(path)?;
    let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
    let encoded = render(&mut pixels, caption, points).and_then(|()| encode(&pixels));
    let bytes = encoded.map_err(|error| Failure::argument(format!("{}: {error}", path.display())))?;
    whole.write(&bytes)?;
    whole.finish()
}

fn encode(pixels: &[u8]) -> Drawn<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

fn render(pixels: &mut [u8], caption: &Caption, points: &[Point]) -> Drawn<()> {
    register_font(FONT, FontStyle::Normal, epaint_default_fonts::HACK_REGULAR).map_err(|_| "the font is damaged")?;
    let root = BitMapBackend::with_buffer(pixels, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(to_text)?;
    let root = root.margin(BORDER, 0, BORDER, BORDER);
    let Caption { data, count, dim, sampled, queries, seconds } = caption;
    let title = format!("{data}: {count} vectors of {dim} floats, {} raw", size(count * *dim as u64 * 4));
    let root = root.titled(&title, (FONT, 18).into_font().color(&INK)).map_err(to_text)?;
    let measured = format!("measured on {sampled} vectors and {queries} queries in {}", duration(*seconds));
    let root = root.titled(&measured, (FONT, 14).into_font().color(&INK)).map_err(to_text)?;
    let (upper, lower) = root.split_vertically((root.dim_in_pixel().1 as i32 - AXIS_HEIGHT) / 2);
    let worst = points.iter().map(|point| point.relative_mse).fold(1e-9, f64::max);
    let best = points.iter().map(|point| point.recall).fold(0.0, f64::max);
    let recall = Curve {
        name: "recall@10",
        color: RGBColor(31, 99, 180),
        // As far from 1 as two digits more: .97 and .99 are as far apart as .90 and .97.
        height: |recall| -(1.0 - recall).max(RECALL_GAP_MIN).log10(),
        ticks: RECALL_TICKS.iter().copied().filter(|tick| *tick <= best.max(0.9)).collect(),
        top: best.max(0.9),
        side: HPos::Left,
        value: |point| point.recall,
    };
    let error = Curve {
        name: "relative MSE",
        color: RGBColor(190, 60, 40),
        height: |error| error,
        ticks: (0..=5).map(|fifths| worst * f64::from(fifths) / 5.0).collect(),
        top: worst,
        side: HPos::Right,
        value: |point| point.relative_mse,
    };
    panel(&upper, points, &recall, 0)?;
    panel(&lower, points, &error, AXIS_HEIGHT)?;
    root.present().map_err(to_text)
}

/// Draws one curve and its numbers. With `below` > 0 pixels of space under it, also draws the ratios there.
fn panel(area: &Area, points: &[Point], curve: &Curve, below: i32) -> Drawn<()> {
    // Logarithmic axis: every doubling of the ratio is equally wide.
    let doublings = || points.iter().map(|point| point.ratio.log2());
    let x = doublings().fold(f64::MAX, f64::min) - MARGIN..doublings().fold(0.0, f64::max) + MARGIN;
    let top = (curve.height)(curve.top);
    let heights: Vec<f64> = curve.ticks.iter().map(|tick| (curve.height)(*tick)).collect();
    let named = |height: &f64| {
        let tick = heights.iter().position(|tick| tick == height).map(|at| curve.ticks[at]);
        digits(tick.unwrap_or(*height), 4)
    };
    let mut chart = ChartBuilder::on(area)
        .margin_top(8)
        .margin_bottom(below)
        .x_label_area_size(12)
        .y_label_area_size(LABELS_WIDTH)
        .build_cartesian_2d(x, Axis { top: top * HEADROOM, ticks: heights.clone() })
        .map_err(to_text)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_label_formatter(&named)
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .axis_style(INK)
        .y_desc(curve.name)
        .axis_desc_style((FONT, 17).into_font().color(&curve.color))
        .label_style((FONT, 15).into_font().color(&INK))
        .draw()
        .map_err(to_text)?;
    let heights_of_points = points.iter().map(|point| (curve.height)((curve.value)(point)));
    let coordinates: Vec<(f64, f64)> = doublings().zip(heights_of_points).collect();
    chart.draw_series(LineSeries::new(coordinates.clone(), curve.color.stroke_width(2))).map_err(to_text)?;
    chart.draw_series(coordinates.iter().map(|at| Circle::new(*at, 4, curve.color.filled()))).map_err(to_text)?;
    let base = area.get_base_pixel();
    let local = |(x, y): (i32, i32)| (x - base.0, y - base.1);
    let pixels: Vec<(i32, i32)> = coordinates.iter().map(|at| local(chart.backend_coord(at))).collect();
    let number = (FONT, 14).into_font().color(&curve.color).pos(Pos::new(curve.side, VPos::Bottom));
    let aside = if matches!(curve.side, HPos::Left) { 4 } else { -4 };
    for at in select_apart(&pixels) {
        let position = (pixels[at].0 + aside, pixels[at].1 - 5);
        area.draw(&Text::new(digits((curve.value)(&points[at]), 3), position, number.clone())).map_err(to_text)?;
    }
    if below > 0 { axis(area, points, &pixels) } else { Ok(()) }
}

/// Draws each ratio and its bytes under its point, and the label of the axis.
fn axis(area: &Area, points: &[Point], pixels: &[(i32, i32)]) -> Drawn<()> {
    let style = |height: u32| (FONT, height).into_font().color(&INK).pos(Pos::new(HPos::Center, VPos::Top));
    let (width, height) = area.dim_in_pixel();
    let top = height as i32 - AXIS_HEIGHT;
    for at in select_apart(pixels) {
        let (x, point) = (pixels[at].0, &points[at]);
        area.draw(&Text::new(format!("{}×", point.ratio), (x, top), style(16))).map_err(to_text)?;
        area.draw(&Text::new(size(point.bytes), (x, top + 20), style(14))).map_err(to_text)?;
    }
    let what = "ratio, and the bytes of all vectors";
    area.draw(&Text::new(what, ((width as i32 + LABELS_WIDTH) / 2, top + 46), style(15))).map_err(to_text)
}

/// Indexes of the points whose numbers do not overlap, from the left.
fn select_apart(pixels: &[(i32, i32)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pixels.len()).collect();
    order.sort_by_key(|at| pixels[*at].0);
    let mut last = None;
    order.retain(|at| {
        let x = pixels[*at].0;
        let has_room = last.is_none_or(|last| x - last >= NUMBER_WIDTH);
        if has_room {
            last = Some(x);
        }
        has_room
    });
    order
}

/// The error as text, because errors of plotters borrow the image.
fn to_text(error: impl std::error::Error) -> Box<dyn std::error::Error> {
    error.to_string().into()
}

/// A number with at most `count` significant digits.
fn digits(value: f64, count: i32) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = count - 1 - value.abs().log10().floor() as i32;
    if decimals > 6 { format!("{value:.1e}") } else { without_zeros(&format!("{value:.*}", decimals.max(1) as usize)) }
}

fn without_zeros(number: &str) -> String {
    number.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Bytes in the largest fitting unit, with three significant digits.
pub fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let power = (bytes.max(1).ilog10() / 3).min(4) as usize;
    let value = bytes as f64 / 1000f64.powi(power as i32);
    let decimals = 2usize.saturating_sub(value.max(1.0).log10() as usize);
    let text = format!("{value:.decimals$}");
    format!("{} {}", if decimals > 0 { without_zeros(&text) } else { text }, units[power])
}
