//! The heat map: time across, response time up, the darker the more requests.

use super::axis::Axis;
use super::over_time::{shading, time_axis};
use super::panel::{Line, Panel, Shape};
use super::theme::{self, Layout};
use crate::analysis::Analysis;
use crate::number::thousands;

pub(crate) fn heatmap(analysis: &Analysis, layout: Layout) -> Panel {
    let heat = &analysis.heat;
    let most = heat.counts.iter().flatten().copied().max().unwrap_or(0);
    let steps = steps(most);
    let mut lines: Vec<Line> = steps
        .iter()
        .zip(theme::HEAT)
        .map(|((from, to), color)| {
            let name = if from == to {
                thousands(*from)
            } else {
                format!("{}–{}", thousands(*from), thousands(*to))
            };
            Line { name, color, segments: Vec::new(), shape: Shape::Cells }
        })
        .collect();
    for (column, counts) in heat.counts.iter().enumerate() {
        for (row, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let step = steps.iter().position(|(from, to)| (*from..=*to).contains(count)).unwrap_or(0);
            lines[step].segments.push(vec![
                (heat.times_s[column], heat.edges_ms[row]),
                (heat.times_s[column + 1], heat.edges_ms[row + 1]),
            ]);
        }
    }
    let y = match (heat.edges_ms.first(), heat.edges_ms.last()) {
        (Some(low), Some(high)) => {
            let mut axis = Axis::fitting(*low, high.max(low * 10.0), 8);
            axis.from = low.log10();
            axis.to = high.log10().max(axis.from + 0.1);
            axis.ticks.retain(|(at, _)| (axis.from..=axis.to).contains(at));
            axis
        }
        _ => Axis::from_zero(1.0, 4),
    };
    lines.extend(shading(analysis));
    Panel {
        title: "Response time, ms, logarithmic; colour: requests in a cell".to_owned(),
        x: time_axis(analysis, layout),
        y,
        x_title: None,
        bands: Vec::new(),
        marks: Vec::new(),
        lines,
        tells_spans: true,
        empty: "no request was answered",
    }
}

/// Up to as many steps of counts as there are colours, each wider than the one before by the same factor.
fn steps(most: u64) -> Vec<(u64, u64)> {
    let colors = theme::HEAT.len() as f64;
    let mut steps = Vec::new();
    let mut from = 1_u64;
    for step in 1..=theme::HEAT.len() {
        let to = ((most.max(1) as f64).powf(step as f64 / colors).round() as u64).max(from);
        if from > most {
            break;
        }
        let to = if step == theme::HEAT.len() { most.max(from) } else { to };
        steps.push((from, to));
        from = to + 1;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_one_step() {
        for most in [1, 2, 5, 40, 1_000, 123_456] {
            let steps = steps(most);
            assert_eq!((steps[0].0, steps[steps.len() - 1].1), (1, most));
            assert!(steps.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{steps:?}");
        }
    }
}
