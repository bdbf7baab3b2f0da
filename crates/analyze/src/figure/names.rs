//! Where the names of lines stand: beside the last point of each, off the other lines and each other.

use super::pen::Plot;

/// Pixels of a polyline.
pub(crate) type Pixels = Vec<(i32, i32)>;

/// A line that has a name.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    /// Its segments.
    pub(crate) segments: Vec<Pixels>,
    /// Width of its name.
    pub(crate) width: i32,
}

impl Named {
    fn end(&self) -> Option<(i32, i32)> {
        self.segments.last()?.last().copied()
    }
}

/// Where a name stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The middle of its left edge.
    pub(crate) at: (i32, i32),
    /// The line's last point, where the name stands away from it and something must lead there.
    pub(crate) from: Option<(i32, i32)>,
}

/// A place for the name of each line, in their order: names of lines that come near the right edge stand
/// behind it, the others inside where nothing is in their way. `None` where there is not room for all.
pub(crate) fn places(lines: &[Named], plot: Plot, text: i32) -> Option<Vec<Place>> {
    let mut placed: Vec<Option<Place>> = vec![None; lines.len()];
    let mut behind: Vec<(i32, usize)> = Vec::new();
    let mut taken: Vec<Room> = Vec::new();
    let near = plot.right - text.max((plot.right - plot.left) / 10);
    for (number, line) in lines.iter().enumerate() {
        let end = line.end()?;
        let inside = || {
            let others = lines.iter().flat_map(|line| &line.segments);
            let free = |place: &Room| {
                place.lies_within(plot)
                    && !others.clone().any(|pixels| place.is_crossed_by(pixels))
                    && !taken.iter().any(|other| other.overlaps(place))
            };
            around(end, line.width, text).into_iter().find(free)
        };
        match (end.0 < near).then(inside).flatten() {
            Some(place) => {
                placed[number] = Some(Place { at: (place.left, (place.top + place.bottom) / 2), from: None });
                taken.push(place);
            }
            None => behind.push((end.1, number)),
        }
    }
    behind.sort_unstable();
    let wanted: Vec<i32> = behind.iter().map(|(y, _)| *y).collect();
    let found = apart(&wanted, text, plot.top, plot.bottom)?;
    for ((y, number), middle) in behind.into_iter().zip(found) {
        let end = lines[number].end()?;
        let away = (middle - y).abs() > text / 4 || end.0 < plot.right - text;
        let from = (end.0 >= near && away).then_some(end);
        placed[number] = Some(Place { at: (plot.right + text * 2 / 3, middle), from });
    }
    placed.into_iter().collect()
}

/// Middles, at least `height` from each other and as near as can be to the wanted ones, which are sorted.
fn apart(wanted: &[i32], height: i32, top: i32, bottom: i32) -> Option<Vec<i32>> {
    if wanted.len() as i32 * height > bottom - top + height {
        return None;
    }
    // What would overlap becomes a block in the middle of where its members want to be.
    let mut blocks: Vec<Vec<i32>> = Vec::new();
    let begin = |block: &[i32]| {
        let count = block.len() as i32;
        let offsets = block.iter().zip(0..).map(|(y, at)| y - at * height);
        (offsets.sum::<i32>() / count).clamp(top, (bottom - (count - 1) * height).max(top))
    };
    for y in wanted {
        let mut block = vec![*y];
        while let Some(above) = blocks.pop() {
            if begin(&above) + above.len() as i32 * height <= begin(&block) {
                blocks.push(above);
                break;
            }
            block = [above, block].concat();
        }
        blocks.push(block);
    }
    let middles = blocks.iter().flat_map(|block| {
        let begin = begin(block);
        (0..block.len() as i32).map(move |at| begin + at * height)
    });
    Some(middles.collect())
}

/// The pixels of a name.
#[derive(Clone, Copy, Debug)]
struct Room {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

/// Beside a line's last point, above it and below it.
fn around((x, y): (i32, i32), width: i32, text: i32) -> [Room; 3] {
    let of = |left: i32, middle: i32| Room {
        left,
        right: left + width,
        top: middle - text / 2,
        bottom: middle + text / 2,
    };
    [of(x + text / 3, y), of(x - width + text / 3, y - text), of(x - width + text / 3, y + text)]
}

impl Room {
    fn lies_within(&self, plot: Plot) -> bool {
        self.left >= plot.left
            && self.right <= plot.right
            && self.top >= plot.top
            && self.bottom <= plot.bottom
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }

    fn is_crossed_by(&self, pixels: &[(i32, i32)]) -> bool {
        pixels.first().is_some_and(|point| self.is_met_by(*point, *point))
            || pixels.windows(2).any(|pair| self.is_met_by(pair[0], pair[1]))
    }

    /// Whether a straight line comes into it, looked at every third pixel.
    fn is_met_by(&self, from: (i32, i32), to: (i32, i32)) -> bool {
        let (across, down) = (to.0 - from.0, to.1 - from.1);
        if from.0.max(to.0) < self.left
            || from.0.min(to.0) > self.right
            || from.1.max(to.1) < self.top
            || from.1.min(to.1) > self.bottom
        {
            return false;
        }
        let steps = (across.abs().max(down.abs()) / 3).max(1);
        (0..=steps).any(|step| {
            let (x, y) = (from.0 + across * step / steps, from.1 + down * step / steps);
            (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLOT: Plot = Plot { left: 50, right: 1_000, top: 50, bottom: 450 };
    const TEXT: i32 = 20;

    fn line(width: i32, points: &[(i32, i32)]) -> Named {
        Named { segments: vec![points.to_vec()], width }
    }

    #[test]
    fn names_stand_behind_the_ends_of_their_lines_and_apart() {
        let lines = [
            line(60, &[(50, 400), (1_000, 300)]),
            line(60, &[(50, 300), (1_000, 304)]),
            line(60, &[(50, 90), (1_000, 100)]),
        ];
        let found = places(&lines, PLOT, TEXT).unwrap();
        let middles: Vec<i32> = found.iter().map(|place| place.at.1).collect();
        assert_eq!(middles, [292, 312, 100], "two around where both end, one at its end");
        assert!(found.iter().all(|place| place.at.0 > 1_000));
        assert_eq!(found[1].from, Some((1_000, 304)), "what stands away is led to");
        assert_eq!(found[2].from, None);
    }

    #[test]
    fn a_line_that_ends_early_has_its_name_where_no_other_line_runs() {
        let early = line(60, &[(50, 400), (500, 200)]);
        let alone = places(std::slice::from_ref(&early), PLOT, TEXT).unwrap();
        assert_eq!(alone[0].at, (506, 200));
        // Another runs on through the place beside its end.
        let found = places(&[early.clone(), line(60, &[(50, 202), (1_000, 202)])], PLOT, TEXT).unwrap();
        assert_eq!(found[0].at, (446, 180), "above");
        let steep = line(60, &[(50, 170), (1_000, 170)]);
        let found = places(&[early, line(60, &[(50, 202), (1_000, 202)]), steep], PLOT, TEXT).unwrap();
        assert!(found[0].at.0 > 1_000, "behind the others, where none of the three is free: {found:?}");
    }

    #[test]
    fn what_has_no_room_is_not_named_beside_its_line() {
        let many = vec![line(60, &[(50, 100), (1_000, 100)]); 40];
        assert_eq!(places(&many, PLOT, TEXT), None);
        assert_eq!(places(&[line(60, &[])], PLOT, TEXT), None, "nor what has no end");
    }

    proptest::proptest! {
        #[test]
        fn names_keep_their_order_and_their_distance(
            mut wanted in proptest::collection::vec(50..450_i32, 0..21),
        ) {
            wanted.sort_unstable();
            let found = apart(&wanted, TEXT, 50, 450).unwrap();
            proptest::prop_assert_eq!(found.len(), wanted.len());
            proptest::prop_assert!(found.windows(2).all(|pair| pair[1] - pair[0] >= TEXT));
            proptest::prop_assert!(found.iter().all(|y| (50..=450).contains(y)));
        }
    }
}
