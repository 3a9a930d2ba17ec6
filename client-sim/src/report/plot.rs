//! Plots as SVG: lines over an axis with ticks and a unit, and nothing that has to be loaded.

use maud::{Markup, html};

/// The picture, in its own units; the page scales it.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;
/// Where the lower axis is.
const BASE: f64 = HEIGHT - BOTTOM;

/// A plot.
pub(super) struct Plot {
    pub(super) title: &'static str,
    /// What it shows, and how to read it.
    pub(super) caption: &'static str,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    /// Moments at which something happened.
    pub(super) marks: Vec<(f64, String)>,
}

/// An axis.
pub(super) struct Axis {
    pub(super) label: &'static str,
    pub(super) scale: Scale,
}

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// Evenly, from 0.
    Linear,
    /// By powers of ten.
    Log,
    /// Shares, by how many nines they have.
    Nines,
}

/// A line.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// Where values lie, from 0 to 1, and the ticks with their names.
struct Range {
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Plot {
    /// The plot with its title, legend and caption; nothing if there is nothing to show.
    pub(super) fn figure(&self) -> Markup {
        let filled = || self.series.iter().filter(|series| !series.points.is_empty());
        if filled().next().is_none() {
            return html! {};
        }
        html! {
            figure {
                h3 { (self.title) }
                @if filled().count() > 1 {
                    ul.legend {
                        @for (number, series) in self.series.iter().enumerate() {
                            @if !series.points.is_empty() {
                                li { span class={ "swatch s" (number % 6) } {} (series.name) }
                            }
                        }
                    }
                }
                (self.svg())
                figcaption { (self.caption) }
            }
        }
    }

    fn svg(&self) -> Markup {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let frame = Frame {
            x: Range::of(self.x.scale, points().map(|(x, _)| *x)),
            y: Range::of(self.y.scale, points().map(|(_, y)| *y)),
        };
        let (across, down) = ((LEFT + WIDTH - RIGHT) / 2.0, (TOP + HEIGHT - BOTTOM) / 2.0);
        let turned = format!("translate(12 {down}) rotate(-90)");
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label=(self.title) {
                (frame.ticks())
                @for (moment, what) in &self.marks { (frame.mark(*moment, what)) }
                @for (number, series) in self.series.iter().enumerate() {
                    polyline class={ "line s" (number % 6) } points=(frame.line(&series.points)) {
                        title { (series.name) }
                    }
                }
                text.label.middle x=(across) y=(HEIGHT - 6.0) { (self.x.label) }
                text.label.middle transform=(turned) { (self.y.label) }
            }
        }
    }
}

/// Where what lies in the picture.
struct Frame {
    x: Range,
    y: Range,
}

impl Frame {
    fn at_x(&self, value: f64) -> f64 {
        tenths(LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT))
    }

    fn at_y(&self, value: f64) -> f64 {
        tenths(BASE - self.y.place(value) * (BASE - TOP))
    }

    fn ticks(&self) -> Markup {
        let ys = self.y.ticks.iter().map(|tick| (self.at_y(*tick), self.y.name(*tick)));
        let xs = self.x.ticks.iter().map(|tick| (self.at_x(*tick), self.x.name(*tick)));
        html! {
            @for (y, name) in ys {
                line.grid x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                text.tick.end x=(LEFT - 6.0) y=(y + 4.0) { (name) }
            }
            @for (x, name) in xs {
                line.axis x1=(x) x2=(x) y1=(BASE) y2=(BASE + 4.0) {}
                text.tick.middle x=(x) y=(BASE + 18.0) { (name) }
            }
            line.axis x1=(LEFT) x2=(WIDTH - RIGHT) y1=(BASE) y2=(BASE) {}
        }
    }

    fn mark(&self, moment: f64, what: &str) -> Markup {
        let x = self.at_x(moment);
        html! {
            line.mark x1=(x) x2=(x) y1=(TOP) y2=(BASE) {}
            text.tick x=(x + 4.0) y=(TOP + 10.0) { (what) }
        }
    }

    fn line(&self, points: &[(f64, f64)]) -> String {
        let place = |(x, y): &(f64, f64)| format!("{},{}", self.at_x(*x), self.at_y(*y));
        points.iter().map(place).collect::<Vec<_>>().join(" ")
    }
}

fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

impl Range {
    fn of(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Self {
        let largest = values.clone().fold(0.0_f64, f64::max);
        match scale {
            Scale::Linear => {
                let step = step(largest);
                let high = (largest / step).ceil().max(1.0) * step;
                let ticks =
                    (0..=12).map(|n| f64::from(n) * step).filter(|tick| *tick <= high * 1.0001);
                Self { scale, low: 0.0, high, ticks: ticks.collect() }
            }
            Scale::Log => {
                let positive = values.filter(|value| *value > 0.0);
                let smallest = positive.fold(f64::INFINITY, f64::min).min(largest).max(1e-3);
                let (low, high) = (smallest.log10().floor(), largest.max(smallest).log10().ceil());
                let high = high.max(low + 1.0);
                #[expect(clippy::cast_possible_truncation, reason = "powers of ten of a time")]
                let ticks = (low as i32..=high as i32).map(|power| 10_f64.powi(power)).collect();
                Self { scale, low, high, ticks }
            }
            Scale::Nines => {
                let ticks = vec![0.5, 0.9, 0.99, 0.999, 0.9999];
                Self { scale, low: 0.0, high: nines(0.9999), ticks }
            }
        }
    }

    fn place(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(1e-3).log10(),
            Scale::Nines => nines(value),
        };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    fn name(&self, tick: f64) -> String {
        match self.scale {
            Scale::Nines => format!("{}", (tick * 1e6).round() / 1e4) + " %",
            _ => short(tick),
        }
    }
}

fn nines(share: f64) -> f64 {
    -(1.0 - share).max(1e-5).log10()
}

/// A step of 1, 2 or 5 times a power of ten, so that there are four to ten of them.
fn step(largest: f64) -> f64 {
    let power = 10_f64.powf((largest.max(1e-6) / 5.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    steps.into_iter().find(|step| largest / step <= 6.0).unwrap_or(power * 10.0)
}

/// A number in a few characters.
pub(super) fn short(number: f64) -> String {
    let trimmed = |value: f64, unit: &str| {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned() + unit
    };
    match number {
        n if n >= 1e6 => trimmed(n / 1e6, "M"),
        n if n >= 1e4 => trimmed(n / 1e3, "k"),
        n if n >= 100.0 => format!("{n:.0}"),
        n if n > 0.0 && n < 0.01 => format!("{n:.3}"),
        n => trimmed(n, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(scale: Scale, points: Vec<(f64, f64)>) -> Plot {
        let axis = |label| Axis { label, scale: Scale::Linear };
        let series = vec![Series { name: "a <b>".to_owned(), points }];
        Plot {
            title: "A & B",
            caption: "",
            x: axis("time, s"),
            y: Axis { label: "ms", scale },
            series,
            marks: vec![(1.0, "restart".to_owned())],
        }
    }

    #[test]
    fn every_point_lies_inside_and_texts_are_escaped() {
        for scale in [Scale::Linear, Scale::Log, Scale::Nines] {
            let svg =
                plot(scale, vec![(0.0, 0.0), (1.0, 0.37), (2.0, 12345.0)]).svg().into_string();
            let line = svg.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
            for point in line.split_whitespace() {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!(
                    (LEFT..=WIDTH).contains(&x) && (0.0..=HEIGHT - BOTTOM).contains(&y),
                    "{point}"
                );
            }
            assert!(svg.contains("a &lt;b&gt;") && svg.contains("A &amp; B"), "{svg}");
        }
    }

    #[test]
    fn a_plot_of_nothing_is_left_out_and_one_of_zeros_is_not_broken() {
        assert_eq!(plot(Scale::Log, Vec::new()).figure().into_string(), "");
        let svg = plot(Scale::Linear, vec![(0.0, 0.0), (0.0, 0.0)]).svg().into_string();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.25, 3.0, 250.0, 12_500.0, 2.5e6].map(short);
        assert_eq!(shown, ["0", "0.25", "3", "250", "12.5k", "2.5M"]);
    }
}
