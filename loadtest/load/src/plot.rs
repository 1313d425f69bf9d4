//! Plots as inline SVG: no script, no font, no file beside the page. Colours come from the page's
//! custom properties, so that both of them follow the reader's light or dark setting.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;

/// One line of a plot.
#[derive(Debug, Clone)]
pub struct Curve<'a> {
    /// In the legend.
    pub name: &'a str,
    /// A custom property of the page, `--a`.
    pub colour: &'a str,
    /// Where it goes.
    pub points: Vec<(f64, f64)>,
}

/// How values become places on an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Even steps, from 0 to the bound.
    Linear(f64),
    /// Even factors between the bounds.
    Log(f64, f64),
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear(max) => (value / max).clamp(0.0, 1.0),
            Self::Log(min, max) => ((value.max(min) / min).ln() / (max / min).ln()).clamp(0.0, 1.0),
        }
    }
    /// Where the grid lines go: decades, or up to six round steps.
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
    /// A logarithmic scale over all positive values, from and to a whole decade.
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
    /// A linear scale over all values, to a round bound.
    pub fn linear_over(values: impl Iterator<Item = f64>) -> Self {
        Self::Linear(round_up(values.fold(0.0, f64::max)))
    }
}

/// The next of 1, 2, 2.5, 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|factor| factor * power >= value * 0.9999);
    factor.unwrap_or(10.0) * power
}

/// An axis: its scale, its title, and the words at its ticks.
pub struct Axis<'a> {
    /// How values become places.
    pub scale: Scale,
    /// Under or beside it.
    pub title: &'a str,
    /// Ticks at these places rather than where the scale would put them.
    pub labels: Option<Vec<(f64, String)>>,
}

impl Axis<'_> {
    fn marks(&self) -> Vec<(f64, String)> {
        self.labels
            .clone()
            .unwrap_or_else(|| self.scale.ticks().into_iter().map(|tick| (tick, short(tick))).collect())
    }
}

/// A number in few characters: `0.1`, `250`, `1.5k`.
fn short(value: f64) -> String {
    if value >= 1000.0 {
        format!("{}k", value / 1000.0)
    } else {
        format!("{}", (value * 1000.0).round() / 1000.0)
    }
}

/// Draws curves over two axes, with a legend.
pub fn lines(title: &str, x: &Axis<'_>, y: &Axis<'_>, curves: &[Curve<'_>]) -> String {
    let (plot_width, plot_height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
    let at_x = |value: f64| LEFT + x.scale.place(value) * plot_width;
    let at_y = |value: f64| TOP + (1.0 - y.scale.place(value)) * plot_height;
    let mut svg = String::new();
    // Writing into a String cannot fail.
    let _ = write!(
        svg,
        r#"<figure><figcaption>{title}<span class="legend">{}</span></figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">"#,
        legend(curves)
    );
    for (value, label) in x.marks() {
        let at = at_x(value);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{at:.1}" y1="{TOP}" x2="{at:.1}" y2="{:.1}"/><text x="{at:.1}" y="{:.1}" text-anchor="middle">{label}</text>"#,
            TOP + plot_height,
            TOP + plot_height + 16.0
        );
    }
    for (value, label) in y.marks() {
        let at = at_y(value);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" y1="{at:.1}" x2="{:.1}" y2="{at:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#,
            LEFT + plot_width,
            LEFT - 8.0,
            at + 4.0
        );
    }
    let _ = write!(
        svg,
        r#"<text class="axis" x="{:.1}" y="{:.1}" text-anchor="middle">{}</text><text class="axis" transform="translate(14 {:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
        LEFT + plot_width / 2.0,
        HEIGHT - 6.0,
        x.title,
        TOP + plot_height / 2.0,
        y.title
    );
    for curve in curves.iter().filter(|curve| !curve.points.is_empty()) {
        let points: Vec<_> =
            curve.points.iter().map(|(px, py)| format!("{:.1},{:.1}", at_x(*px), at_y(*py))).collect();
        let _ =
            write!(svg, r#"<polyline points="{}" style="stroke:var({})"/>"#, points.join(" "), curve.colour);
        if let [only] = points.as_slice()
            && let Some((cx, cy)) = only.split_once(',')
        {
            let _ = write!(svg, r#"<circle cx="{cx}" cy="{cy}" r="3" style="fill:var({})"/>"#, curve.colour);
        }
    }
    svg.push_str("</svg></figure>");
    svg
}

fn legend(curves: &[Curve<'_>]) -> String {
    let entries = curves.iter().map(|curve| {
        format!(r#"<span><i style="background:var({})"></i>{}</span>"#, curve.colour, curve.name)
    });
    entries.collect()
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
        assert!((Scale::Log(0.1, 1000.0).place(10.0) - 0.5).abs() < 1e-9);
        for max in [1.0, 7.0, 2.5e6] {
            let ticks = Scale::Linear(round_up(max)).ticks();
            assert!((2..=7).contains(&ticks.len()), "{ticks:?}");
        }
    }

    #[test]
    fn a_plot_draws_each_curve_and_names_it() {
        let axis = |scale| Axis { scale, title: "t", labels: None };
        let curve = Curve { name: "p99", colour: "--a", points: vec![(0.0, 1.0), (1.0, 2.0)] };
        let svg = lines("latency", &axis(Scale::Linear(1.0)), &axis(Scale::Log(0.1, 10.0)), &[curve]);
        assert!(svg.contains("<polyline points=\"64.0,") && svg.contains("p99"), "{svg}");
        assert_eq!(svg.matches("<svg").count(), 1);
    }
}
