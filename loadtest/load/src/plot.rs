//! Plots as inline SVG without scripts, fonts or other files. The colours are custom properties of the page,
//! so that plots follow the reader's light or dark setting.

use maud::{Markup, html};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;

/// A curve of a plot.
#[derive(Debug, Clone)]
pub struct Curve<'a> {
    /// The name in the legend.
    pub name: &'a str,
    /// The custom property of the page with the colour, for example `--a`.
    pub colour: &'a str,
    /// The points of the curve.
    pub points: Vec<(f64, f64)>,
}

/// The mapping of values to positions on an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// A linear scale from 0 to the bound.
    Linear(f64),
    /// A logarithmic scale between the bounds.
    Log(f64, f64),
}

impl Scale {
    /// Returns the position of a value, from 0 to 1.
    fn position(self, value: f64) -> f64 {
        match self {
            Self::Linear(max) => (value / max).clamp(0.0, 1.0),
            Self::Log(min, max) => ((value.max(min) / min).ln() / (max / min).ln()).clamp(0.0, 1.0),
        }
    }

    /// Returns the values of the grid lines: decades, or up to six round steps.
    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear(max) => {
                let step = round_up(max / 5.0);
                (0..=6).map(|n| f64::from(n) * step).take_while(|tick| *tick <= max * 1.0001).collect()
            }
            Self::Log(min, max) => {
                let mut ticks = Vec::new();
                let mut tick = 10f64.powf(min.log10().floor());
                while tick <= max * 1.0001 && ticks.len() < 12 {
                    if tick >= min * 0.9999 {
                        ticks.push(tick);
                    }
                    tick *= 10.0;
                }
                ticks
            }
        }
    }

    /// Returns a logarithmic scale that covers all positive values with whole decades.
    pub fn log_over(values: impl Iterator<Item = f64>) -> Self {
        let (min, max) = values
            .filter(|value| *value > 0.0)
            .fold((f64::MAX, 0f64), |(min, max), value| (min.min(value), max.max(value)));
        if max == 0.0 {
            return Self::Log(1.0, 10.0);
        }
        let (low, high) = (10f64.powf(min.log10().floor()), 10f64.powf(max.log10().ceil()));
        Self::Log(low, if high > low { high } else { low * 10.0 })
    }

    /// Returns a linear scale that covers all values with a round bound.
    pub fn linear_over(values: impl Iterator<Item = f64>) -> Self {
        Self::Linear(round_up(values.fold(0.0, f64::max)))
    }
}

/// Returns the next of 1, 2, 2.5 and 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= value * 0.9999);
    factor.unwrap_or(10.0) * power
}

/// An axis with its scale, its title and the labels of its ticks.
pub struct Axis<'a> {
    /// The scale of the values.
    pub scale: Scale,
    /// The title below or beside the axis.
    pub title: &'a str,
    /// The ticks with their labels; `None` for the ticks of the scale.
    pub labels: Option<Vec<(f64, String)>>,
}

impl Axis<'_> {
    fn marks(&self) -> Vec<(f64, String)> {
        self.labels
            .clone()
            .unwrap_or_else(|| self.scale.ticks().into_iter().map(|tick| (tick, short(tick))).collect())
    }
}

/// Formats a number in few characters: `0.1`, `250`, `1.5k`.
fn short(value: f64) -> String {
    if value >= 1000.0 {
        format!("{}k", value / 1000.0)
    } else {
        format!("{}", (value * 1000.0).round() / 1000.0)
    }
}

/// Renders curves over two axes with a legend as a `<figure>`.
pub fn render(title: &str, x: &Axis<'_>, y: &Axis<'_>, curves: &[Curve<'_>]) -> Markup {
    let (plot_width, plot_height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let at_x = |value: f64| LEFT + x.scale.position(value) * plot_width;
    let at_y = |value: f64| TOP + (1.0 - y.scale.position(value)) * plot_height;
    let (bottom, right) = (TOP + plot_height, LEFT + plot_width);
    html! {
        figure {
            figcaption { (title) span.legend { @for curve in curves { (legend_entry(curve)) } } }
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                @for (value, label) in x.marks() {
                    (line((at_x(value), TOP), (at_x(value), bottom)))
                    text x=(px(at_x(value))) y=(px(bottom + 16.0)) text-anchor="middle" { (label) }
                }
                @for (value, label) in y.marks() {
                    (line((LEFT, at_y(value)), (right, at_y(value))))
                    text x=(px(LEFT - 8.0)) y=(px(at_y(value) + 4.0)) text-anchor="end" { (label) }
                }
                text.axis x=(px(LEFT + plot_width / 2.0)) y=(px(HEIGHT - 6.0)) text-anchor="middle" { (x.title) }
                text.axis transform=(format!("translate(14 {:.1}) rotate(-90)", TOP + plot_height / 2.0))
                    text-anchor="middle" { (y.title) }
                @for curve in curves {
                    @let points: Vec<_> = curve.points.iter().map(|(x, y)| (at_x(*x), at_y(*y))).collect();
                    (polyline(&points, curve.colour))
                }
            }
        }
    }
}

/// Formats a coordinate.
fn px(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}

fn line((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> Markup {
    html! { line.grid x1=(px(x1)) y1=(px(y1)) x2=(px(x2)) y2=(px(y2)) {} }
}

/// Renders a curve; a single point becomes a circle.
fn polyline(points: &[(f64, f64)], colour: &str) -> Markup {
    let coordinates: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    html! {
        @if !points.is_empty() {
            polyline points=(coordinates.join(" ")) style=(format!("stroke:var({colour})")) {}
        }
        @if let [(x, y)] = points {
            circle cx=(px(*x)) cy=(px(*y)) r="3" style=(format!("fill:var({colour})")) {}
        }
    }
}

fn legend_entry(curve: &Curve<'_>) -> Markup {
    html! { span { i style=(format!("background:var({})", curve.colour)) {} (curve.name) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_cover_their_values_with_round_bounds() {
        assert_eq!(Scale::log_over([0.3, 42.0].into_iter()), Scale::Log(0.1, 100.0));
        assert_eq!(Scale::linear_over([0.0, 180.0].into_iter()), Scale::Linear(200.0));
        assert_eq!(Scale::linear_over([].into_iter()), Scale::Linear(1.0));
        assert_eq!(Scale::Log(0.1, 100.0).ticks().len(), 4);
        assert!((Scale::Log(0.1, 1000.0).position(10.0) - 0.5).abs() < 1e-9);
        for max in [1.0, 7.0, 2.5e6] {
            let ticks = Scale::Linear(round_up(max)).ticks();
            assert!((2..=7).contains(&ticks.len()), "{ticks:?}");
        }
    }

    #[test]
    fn a_plot_contains_each_curve_and_its_name() {
        let axis = |scale| Axis { scale, title: "t", labels: None };
        let curve = Curve { name: "p99", colour: "--a", points: vec![(0.0, 1.0), (1.0, 2.0)] };
        let svg = render("latency", &axis(Scale::Linear(1.0)), &axis(Scale::Log(0.1, 10.0)), &[curve])
            .into_string();
        assert!(svg.contains("<polyline points=\"64.0,") && svg.contains("p99"), "{svg}");
        assert_eq!(svg.matches("<svg").count(), 1);
    }
}
