//! The trade: how low the score is after how many moves. Written by hand as SVG: two lines and two axes need no library.

use std::fmt::Write as _;

/// One line of the plot.
pub(crate) struct Line<'a> {
    /// What it is.
    pub(crate) name: &'a str,
    /// The score before any move and after each.
    pub(crate) scores: Vec<f64>,
    /// A colour, as CSS writes it.
    pub(crate) colour: &'a str,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 50.0;

/// The plot, with the score on a logarithmic axis.
#[expect(clippy::cast_precision_loss, reason = "a plan has fewer than 2^52 moves")]
pub(crate) fn plot(title: &str, lines: &[Line<'_>]) -> String {
    let moves = lines.iter().map(|line| line.scores.len()).max().unwrap_or(1).saturating_sub(1).max(1);
    let all = || lines.iter().flat_map(|line| line.scores.iter().copied());
    let top = all().fold(f64::MIN_POSITIVE, f64::max).log10().ceil();
    let bottom = all().fold(f64::MAX, f64::min).max(1e-6).log10().floor().min(top - 1.0);
    let x = |at: usize| LEFT + (WIDTH - LEFT - RIGHT) * at as f64 / moves as f64;
    let y = |score: f64| TOP + (HEIGHT - TOP - BOTTOM) * (top - score.max(1e-6).log10()) / (top - bottom);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>\n"
    );
    let (left, right, low) = (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut power = bottom;
    while power <= top {
        let at = y(10_f64.powf(power));
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            at + 4.0,
            number(power)
        );
        power += 1.0;
    }
    let step = (moves / 8).max(1);
    for at in (0..=moves).step_by(step) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at}</text>",
            x(at),
            low + 20.0
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"M{left} {TOP}V{low}H{right}\" fill=\"none\" stroke=\"#444\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">moves</text>\n\
         <text x=\"18\" y=\"{:.1}\" transform=\"rotate(-90 18 {:.1})\" text-anchor=\"middle\">score</text>",
        f64::midpoint(left, right),
        HEIGHT - 12.0,
        f64::midpoint(TOP, low),
        f64::midpoint(TOP, low),
    );
    for (number, line) in lines.iter().enumerate() {
        let points: Vec<String> = line
            .scores
            .iter()
            .enumerate()
            .map(|(at, score)| format!("{:.1},{:.1}", x(at), y(*score)))
            .collect();
        let label = TOP + 16.0 + 20.0 * number as f64;
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <path d=\"M{:.1} {label:.1}h24\" stroke=\"{colour}\" stroke-width=\"3\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            points.join(" "),
            right - 260.0,
            right - 228.0,
            label + 4.0,
            line.name,
            colour = line.colour,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Ten to this power, without what floating point adds.
fn number(power: f64) -> String {
    let decimals =
        if power < 0.0 { (0..6).find(|digits| f64::from(-*digits) <= power).unwrap_or(6) } else { 0 };
    format!("{:.*}", usize::try_from(decimals).unwrap_or(0), 10_f64.powf(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_is_well_formed_and_holds_every_point() {
        let line = |name, scores| Line { name, scores, colour: "#c00" };
        let svg = plot("a", &[line("one", vec![20.0, 5.0, 0.5]), line("two", vec![20.0, 10.0])]);
        let mut reader = quick_xml::Reader::from_str(&svg);
        let mut lines = 0;
        loop {
            match reader.read_event().expect("it is XML") {
                quick_xml::events::Event::Eof => break,
                quick_xml::events::Event::Empty(tag) if tag.name().as_ref() == b"polyline" => {
                    let points = tag.try_get_attribute("points").expect("well-formed").expect("there");
                    assert_eq!(points.value.split(|byte| *byte == b' ').count(), 3 - lines);
                    lines += 1;
                }
                _ => {}
            }
        }
        assert_eq!(lines, 2);
    }
}
