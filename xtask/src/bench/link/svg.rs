//! Plain charts as SVG: a grid of panels over one time axis, with labelled axes.

use std::fmt::Write as _;

/// A range of values on a range of pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    at: f64,
    len: f64,
}

impl Scale {
    /// `from` lies at pixel `at`, `to` so many pixels further.
    const fn new((from, to): (f64, f64), at: f64, len: f64) -> Self {
        Self { from, to, at, len }
    }

    /// The pixel of a value; what lies outside is drawn at the edge.
    fn place(&self, value: f64) -> f64 {
        let share = (value - self.from) / (self.to - self.from).max(f64::MIN_POSITIVE);
        self.at + share.clamp(0.0, 1.0) * self.len
    }

    /// Round values inside, about `count` of them, and how many digits they need.
    fn ticks(&self, count: f64) -> (Vec<f64>, usize) {
        let rough = (self.to - self.from).max(1e-9) / count;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        let mut ticks = Vec::new();
        let mut tick = (self.from / step).ceil() * step;
        while tick <= self.to + step * 1e-6 {
            ticks.push(tick);
            tick += step;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "digits of a step"
        )]
        let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
        (ticks, digits)
    }
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pen {
    /// From point to point.
    Line(&'static str),
    /// Each value until the next.
    Steps(&'static str),
    /// The same, filled down to nothing.
    Area(&'static str),
}

/// One series of a panel.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) pen: Pen,
    pub(super) points: Vec<(f64, f64)>,
}

/// One panel: series over the common time.
#[derive(Debug, Clone, Default)]
pub(super) struct Panel {
    pub(super) series: Vec<Drawn>,
    /// Times that are shaded.
    pub(super) shaded: Vec<(f64, f64)>,
}

/// A column of panels: what it shows, in which unit, up to which value.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) title: String,
    pub(super) unit: &'static str,
    pub(super) max: f64,
    /// Names of the pens.
    pub(super) legend: Vec<(Pen, &'static str)>,
}

/// A grid of panels.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) seconds: f64,
    pub(super) columns: Vec<Column>,
    /// Each row's name, and a panel for each column.
    pub(super) rows: Vec<(String, Vec<Panel>)>,
}

const WIDTH: f64 = 1_200.0;
const HEAD: f64 = 112.0;
const FOOT: f64 = 46.0;
const ROW: f64 = 150.0;
const GAP: f64 = 34.0;
/// Room for an axis to the left of a panel.
const AXIS: f64 = 72.0;
const INK: &str = "#24292f";
const GREY: &str = "#d0d7de";

/// What may not stand in a text of XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn text(out: &mut String, (x, y): (f64, f64), more: &str, words: &str) {
    _ = writeln!(out, r#"<text x="{x:.1}" y="{y:.1}" {more}>{}</text>"#, escaped(words));
}

/// The chart as a file. It has a background of its own, so that it is read on a dark page as well.
pub(super) fn render(chart: &Chart) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let (rows, columns) = (chart.rows.len() as f64, chart.columns.len().max(1) as f64);
    let height = HEAD + rows * (ROW + GAP) + FOOT - GAP;
    let mut out = String::new();
    _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" font-size="14" fill="{INK}">"#
    );
    _ = writeln!(out, r##"<rect width="{WIDTH}" height="{height}" rx="8" fill="#ffffff"/>"##);
    text(&mut out, (16.0, 28.0), r#"font-size="16" font-weight="600""#, &chart.title);
    let wide = (WIDTH - 16.0) / columns;
    let mut left = AXIS;
    for (n, column) in chart.columns.iter().enumerate() {
        let across = Scale::new((0.0, chart.seconds), left, wide - AXIS - 12.0);
        head(&mut out, left, column);
        let mut top = HEAD;
        for (name, panels) in &chart.rows {
            let up = Scale::new((0.0, column.max), top + ROW, -ROW);
            if let Some(one) = panels.get(n) {
                panel(&mut out, &across, &up, one);
            }
            axes(&mut out, &across, &up, column.unit);
            if n == 0 {
                text(&mut out, (left, top - 7.0), r#"font-weight="600""#, name);
            }
            top += ROW + GAP;
        }
        foot(&mut out, &across, top - GAP);
        left += wide;
    }
    out.push_str("</svg>\n");
    out
}

/// What a column shows, and the names of its pens.
fn head(out: &mut String, left: f64, column: &Column) {
    text(out, (left, 52.0), "", &column.title);
    let mut x = left;
    for (pen, name) in &column.legend {
        let (Pen::Line(colour) | Pen::Steps(colour) | Pen::Area(colour)) = pen;
        let thick = if matches!(pen, Pen::Area(_)) { 10 } else { 2 };
        _ = writeln!(
            out,
            r#"<path d="M{x:.1} 67h16" stroke="{colour}" stroke-width="{thick}" fill="none"/>"#
        );
        text(out, (x + 21.0, 71.0), r#"font-size="12""#, name);
        #[expect(clippy::cast_precision_loss, reason = "letters")]
        let letters = name.chars().count() as f64;
        x += 34.0 + letters * 6.6;
    }
}

fn axes(out: &mut String, across: &Scale, up: &Scale, unit: &str) {
    let (right, low, high) = (across.at + across.len, up.at, up.at + up.len);
    let (ticks, digits) = up.ticks(4.0);
    for tick in ticks {
        let y = up.place(tick);
        _ = writeln!(
            out,
            r#"<path d="M{:.1} {y:.1}H{right:.1}" stroke="{GREY}" stroke-width="0.6"/>"#,
            across.at
        );
        let more = r#"font-size="12" text-anchor="end""#;
        text(out, (across.at - 6.0, y + 4.0), more, &format!("{tick:.digits$}"));
    }
    let middle = low.midpoint(high);
    let turned = format!(
        r#"font-size="12" text-anchor="middle" transform="rotate(-90 {:.1} {middle:.1})""#,
        across.at - 50.0
    );
    text(out, (across.at - 50.0, middle), &turned, unit);
    _ = writeln!(
        out,
        r#"<path d="M{:.1} {high:.1}V{low:.1}H{right:.1}" stroke="{INK}" fill="none"/>"#,
        across.at
    );
}

/// The time below the last row.
fn foot(out: &mut String, across: &Scale, low: f64) {
    let (ticks, digits) = across.ticks(6.0);
    for tick in ticks {
        let more = r#"font-size="12" text-anchor="middle""#;
        text(out, (across.place(tick), low + 16.0), more, &format!("{tick:.digits$}"));
    }
    let middle = across.at + across.len / 2.0;
    text(out, (middle, low + 33.0), r#"font-size="12" text-anchor="middle""#, "seconds");
}

fn panel(out: &mut String, across: &Scale, up: &Scale, panel: &Panel) {
    for (from, to) in &panel.shaded {
        let (from, to) = (across.place(*from), across.place(*to));
        _ = writeln!(
            out,
            r##"<rect x="{from:.1}" y="{:.1}" width="{:.1}" height="{:.1}" fill="#ffd8d3"/>"##,
            up.at + up.len,
            (to - from).max(0.5),
            -up.len
        );
    }
    for one in &panel.series {
        series(out, across, up, one);
    }
}

fn series(out: &mut String, across: &Scale, up: &Scale, drawn: &Drawn) {
    let Some((first, rest)) = drawn.points.split_first() else { return };
    let at = |(x, y): &(f64, f64)| (across.place(*x), up.place(*y));
    let (x, y) = at(first);
    let mut path = format!("M{x:.1} {y:.1}");
    for point in rest {
        let (x, y) = at(point);
        _ = match drawn.pen {
            Pen::Line(_) => write!(path, "L{x:.1} {y:.1}"),
            Pen::Steps(_) | Pen::Area(_) => write!(path, "H{x:.1}V{y:.1}"),
        };
    }
    let (Pen::Line(colour) | Pen::Steps(colour)) = drawn.pen else {
        let Pen::Area(colour) = drawn.pen else { return };
        let right = across.at + across.len;
        _ = writeln!(out, r#"<path d="{path}H{right:.1}V{:.1}H{x:.1}Z" fill="{colour}"/>"#, up.at);
        return;
    };
    _ = writeln!(
        out,
        r#"<path d="{path}" stroke="{colour}" stroke-width="1.4" stroke-linejoin="round" fill="none"/>"#
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_lie_where_they_belong_and_not_outside() {
        let across = Scale::new((0.0, 60.0), 100.0, 300.0);
        assert_eq!(
            (across.place(0.0), across.place(30.0), across.place(60.0)),
            (100.0, 250.0, 400.0)
        );
        assert_eq!((across.place(-5.0), across.place(90.0)), (100.0, 400.0));
        let up = Scale::new((0.0, 200.0), 150.0, -100.0);
        assert_eq!((up.place(0.0), up.place(50.0), up.place(200.0)), (150.0, 125.0, 50.0));
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let ticks = |to: f64| Scale::new((0.0, to), 0.0, 100.0).ticks(4.0);
        assert_eq!(ticks(2_500.0).0, [0.0, 1_000.0, 2_000.0]);
        assert_eq!(ticks(60.0).0, [0.0, 20.0, 40.0, 60.0]);
        let (small, digits) = ticks(1.0);
        assert_eq!((small.len(), digits), (3, 1));
        assert_eq!(ticks(0.0).0.first(), Some(&0.0));
    }

    #[test]
    fn a_chart_has_its_panels_its_axes_and_no_loose_ends() {
        let drawn = |pen| Drawn { pen, points: vec![(0.0, 0.0), (10.0, 500.0), (30.0, 9_000.0)] };
        let panel = Panel {
            series: vec![
                drawn(Pen::Area("#eee")),
                drawn(Pen::Line("#00f")),
                drawn(Pen::Steps("#f00")),
            ],
            shaded: vec![(5.0, 6.0)],
        };
        let column = Column {
            title: "rate".to_owned(),
            unit: "kbit/s",
            max: 1_000.0,
            legend: vec![(Pen::Line("#00f"), "target <b>")],
        };
        let chart = Chart {
            title: "a & b".to_owned(),
            seconds: 30.0,
            columns: vec![column.clone(), column],
            rows: vec![("longrein".to_owned(), vec![panel.clone(), Panel::default()])],
        };
        let svg = render(&chart);
        assert!(svg.contains("a &amp; b") && svg.contains("target &lt;b&gt;"));
        assert_eq!(svg.matches("kbit/s").count(), 2);
        assert_eq!(svg.matches("seconds").count(), 2);
        assert_eq!(svg.matches("#ffd8d3").count(), 1);
        // What is too large ends at the upper edge of its panel.
        assert!(
            svg.contains(&format!("{:.1}", HEAD)) && !svg.contains("NaN") && !svg.contains("-1")
        );
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
