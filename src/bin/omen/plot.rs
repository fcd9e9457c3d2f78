//! The curve of `omen estimate`: error and recall against ratio, each point with the bytes it takes.

use crate::estimate::Point;
use crate::failure::{Failure, Outcome};
use crate::files::Whole;
use plotters::prelude::*;
use plotters::style::{register_font, text_anchor::*};
use std::path::Path;

type Drawn<T> = Result<T, Box<dyn std::error::Error>>;

const SIZE: (u32, u32) = (900, 640);
const FONT: &str = "Hack";
/// Room beyond the first and the last ratio, in doublings.
const MARGIN: f64 = 0.4;

/// Draws `points` into a PNG at `path`.
pub fn draw(path: &Path, points: &[Point]) -> Outcome<()> {
    let mut whole = Whole::create(path)?;
    let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
    let encoded = render(&mut pixels, points).and_then(|()| encode(&pixels));
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

/// Ratios stand at their logarithms: each doubling is as wide as the next.
fn render(pixels: &mut [u8], points: &[Point]) -> Drawn<()> {
    register_font(FONT, FontStyle::Normal, epaint_default_fonts::HACK_REGULAR).map_err(|_| "the font is damaged")?;
    let root = BitMapBackend::with_buffer(pixels, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(told)?;
    let doublings = || points.iter().map(|point| point.ratio.log2());
    let x = doublings().fold(f64::MAX, f64::min) - MARGIN..doublings().fold(0.0, f64::max) + MARGIN;
    let worst = points.iter().map(|point| point.relative_mse).fold(1e-9, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(&root)
        .margin(20)
        .x_label_area_size(56)
        .y_label_area_size(90)
        .right_y_label_area_size(70)
        .build_cartesian_2d(x.clone(), 0.0..worst)
        .map_err(told)?
        .set_secondary_coord(x, 0.0..1.15);
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(8)
        .x_label_formatter(&|doublings| format!("{:.0}", doublings.exp2()))
        .x_desc("ratio: raw float32 bytes / bytes; under each point the bytes of all vectors")
        .y_desc("relative MSE")
        .label_style((FONT, 15))
        .draw()
        .map_err(told)?;
    chart.configure_secondary_axes().y_desc("recall@10").label_style((FONT, 15)).draw().map_err(told)?;
    let errors: Vec<(f64, f64)> = doublings().zip(points.iter().map(|point| point.relative_mse)).collect();
    let recalls: Vec<(f64, f64)> = doublings().zip(points.iter().map(|point| point.recall)).collect();
    chart
        .draw_series(LineSeries::new(errors.clone(), RED.stroke_width(2)).point_size(4))
        .map_err(told)?
        .label("relative MSE")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], RED.stroke_width(2)));
    chart
        .draw_secondary_series(LineSeries::new(recalls, BLUE.stroke_width(2)).point_size(4))
        .map_err(told)?
        .label("recall@10")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], BLUE.stroke_width(2)));
    let style = (FONT, 13).into_font().color(&BLACK).pos(Pos::new(HPos::Center, VPos::Top));
    let labels = errors
        .iter()
        .zip(points)
        .map(|(at, point)| EmptyElement::at(*at) + Text::new(size(point.bytes), (0, 8), style.clone()));
    chart.draw_series(labels).map_err(told)?;
    chart
        .configure_series_labels()
        .label_font((FONT, 15))
        .background_style(WHITE)
        .border_style(BLACK)
        .position(SeriesLabelPosition::MiddleLeft)
        .draw()
        .map_err(told)?;
    root.present().map_err(told)
}

/// The errors of the drawing live no longer than the picture.
fn told(error: impl std::error::Error) -> Box<dyn std::error::Error> {
    error.to_string().into()
}

/// Bytes in the unit that fits.
fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let power = (bytes.max(1).ilog10() / 3).min(4);
    format!("{:.3} {}", bytes as f64 / 1000f64.powi(power as i32), units[power as usize])
}
