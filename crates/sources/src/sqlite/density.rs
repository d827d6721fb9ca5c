//! How keys are distributed in an index, from a few reads of it.

use sluice_contracts::Result;

use crate::description::Span;

/// Keys that one read returns.
pub(super) const LOOK: usize = 32;

/// An index, as a line of integers.
pub(super) trait KeyIndex {
    /// Up to [`LOOK`] keys from `key` on, ascending.
    fn from(&mut self, key: i64) -> Result<Vec<i64>>;

    /// The highest key up to `key`.
    fn last(&mut self, key: i64) -> Result<Option<i64>>;

    /// Rows that have this very key, of which there are many.
    fn rows_at(&mut self, key: i64) -> Result<f64>;
}

/// Part of the line, from one key that exists to another.
#[derive(Debug, Clone, Copy)]
struct Cell {
    span: Span,
    /// How many steps from key to key were read, and their total distance; `None` if a closer look
    /// would not show more.
    looked: Option<(f64, f64)>,
}

/// Where the keys lie. The line is read in `cells` even steps; then the part that seems to hold
/// most keys is halved, at most `refinements` times.
pub(super) fn spans(line: &mut dyn KeyIndex, cells: u32, refinements: u32) -> Result<Vec<Span>> {
    let Some(lo) = line.from(i64::MIN)?.first().copied() else { return Ok(Vec::new()) };
    let hi = line.last(i64::MAX)?.unwrap_or(lo).max(lo);
    let width = i128::from(hi) - i128::from(lo) + 1;
    let steps = i128::from(cells.max(1)).min(width);
    let mut found = Vec::new();
    for step in 0..steps {
        let edge = |step: i128| i128::from(lo) + width * step / steps;
        found.extend(measure(line, narrow(edge(step)), narrow(edge(step + 1) - 1))?);
    }
    for _ in 0..refinements {
        let total: f64 = found.iter().map(|cell: &Cell| cell.span.rows).sum();
        let heaviest = found
            .iter()
            .enumerate()
            .filter(|(_, cell)| cell.looked.is_some() && cell.span.lo < cell.span.hi)
            .max_by(|(_, a), (_, b)| a.span.rows.total_cmp(&b.span.rows));
        let Some((place, cell)) = heaviest else { break };
        if cell.span.rows * f64::from(cells) <= total * 2.0 {
            break;
        }
        let Span { lo, hi, .. } = cell.span;
        let middle = narrow(i128::midpoint(i128::from(lo), i128::from(hi)));
        let mut halves = measure(line, lo, middle)?;
        halves.extend(measure(line, middle.saturating_add(1), hi)?);
        found.splice(place..=place, halves);
    }
    Ok(smoothed(&found))
}

/// The cells' spans, each as dense as it and its neighbours are together. A read is short, so a gap
/// in it changes its result much. Neighbours of a very different density are ignored.
fn smoothed(cells: &[Cell]) -> Vec<Span> {
    const REACH: usize = 4;
    const ALIKE: f64 = 8.0;
    let smooth = |(place, cell): (usize, &Cell)| {
        let Some((own_steps, own_distance)) = cell.looked else { return cell.span };
        let near = &cells[place.saturating_sub(REACH)..cells.len().min(place + REACH + 1)];
        let alike = |(steps, distance): &(f64, f64)| {
            let ratio = (own_steps * distance) / (own_distance * steps);
            (1.0 / ALIKE..=ALIKE).contains(&ratio)
        };
        let (steps, gone) = near
            .iter()
            .filter_map(|cell| cell.looked)
            .filter(alike)
            .fold((0.0, 0.0), |(steps, gone), looked| (steps + looked.0, gone + looked.1));
        let rows = 1.0 + steps * distance(cell.span.lo, cell.span.hi) / gone;
        Span { rows, ..cell.span }
    };
    cells.iter().enumerate().map(smooth).collect()
}

/// What lies in `lo..=hi`: a cell, or what is before a key of many rows, that key, and a cell after
/// it.
fn measure(line: &mut dyn KeyIndex, lo: i64, hi: i64) -> Result<Vec<Cell>> {
    let mut cells = Vec::new();
    let keys = look(line, lo, hi)?;
    let Some(&many) = keys.last() else { return Ok(cells) };
    let before = keys.partition_point(|key| *key < many);
    if keys.len() < LOOK || keys.len() - before <= LOOK / 4 {
        cells.push(spread(line, &keys, hi)?);
        return Ok(cells);
    }
    // The read ended among the rows of one key, so their number has to be queried.
    if before > 0 {
        cells.push(spread(line, &keys[..before], hi)?);
    }
    let rows = line.rows_at(many)?.max(rows_of(keys.len() - before));
    cells.push(Cell { span: Span { lo: many, hi: many, rows }, looked: None });
    if many == hi {
        return Ok(cells);
    }
    let keys = look(line, many + 1, hi)?;
    let (Some(&next), Some(&far)) = (keys.first(), keys.last()) else { return Ok(cells) };
    if keys.len() < LOOK || far > next {
        cells.push(spread(line, &keys, hi)?);
        return Ok(cells);
    }
    // Every key has many rows, as days have: the first one represents the others.
    let end = line.last(hi)?.unwrap_or(next).max(next);
    let step = distance(many, next);
    let span = Span { lo: next, hi: end, rows: rows * (1.0 + distance(next, end) / step) };
    cells.push(Cell { span, looked: (next < end).then_some((rows, step)) });
    Ok(cells)
}

/// One cell from the keys that begin it.
fn spread(line: &mut dyn KeyIndex, keys: &[i64], hi: i64) -> Result<Cell> {
    let (first, far) = match keys {
        [] => (hi, hi),
        [first, .., far] => (*first, *far),
        [only] => (*only, *only),
    };
    if keys.len() < LOOK || far == first {
        let span = Span { lo: first, hi: far, rows: rows_of(keys.len()) };
        return Ok(Cell { span, looked: None });
    }
    let end = line.last(hi)?.unwrap_or(far).max(far);
    let (steps, gone) = (rows_of(LOOK - 1), distance(first, far));
    let rows = 1.0 + steps * distance(first, end) / gone;
    Ok(Cell { span: Span { lo: first, hi: end, rows }, looked: Some((steps, gone)) })
}

/// The next keys up to `hi`. Values that an application stored in another spelling may be out of
/// order.
fn look(line: &mut dyn KeyIndex, lo: i64, hi: i64) -> Result<Vec<i64>> {
    let mut keys = line.from(lo)?;
    keys.retain(|key| (lo..=hi).contains(key));
    keys.sort_unstable();
    Ok(keys)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate of rows")]
fn distance(lo: i64, hi: i64) -> f64 {
    (i128::from(hi) - i128::from(lo)) as f64
}

#[expect(clippy::cast_precision_loss, reason = "at most a look's keys")]
fn rows_of(keys: usize) -> f64 {
    keys as f64
}

/// Converts back from the arithmetic that cannot overflow.
fn narrow(key: i128) -> i64 {
    i64::try_from(key).unwrap_or(if key < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sorted keys in memory; counts the reads.
    struct Keys(Vec<i64>, usize);

    impl KeyIndex for Keys {
        fn from(&mut self, key: i64) -> Result<Vec<i64>> {
            self.1 += 1;
            let start = self.0.partition_point(|k| *k < key);
            Ok(self.0[start..].iter().take(LOOK).copied().collect())
        }

        fn last(&mut self, key: i64) -> Result<Option<i64>> {
            self.1 += 1;
            let end = self.0.partition_point(|k| *k <= key);
            Ok(end.checked_sub(1).map(|place| self.0[place]))
        }

        fn rows_at(&mut self, key: i64) -> Result<f64> {
            Ok(self.0.iter().filter(|k| **k == key).map(|_| 1.0).sum())
        }
    }

    fn check(mut keys: Vec<i64>, tolerance: f64) -> Vec<Span> {
        keys.sort_unstable();
        let rows: f64 = keys.iter().map(|_| 1.0).sum();
        let mut line = Keys(keys, 0);
        let spans = spans(&mut line, 64, 128).unwrap();
        assert!(line.1 < 1_000, "{} looks", line.1);
        assert!(spans.iter().all(|span| span.lo <= span.hi));
        assert!(spans.windows(2).all(|pair| pair[0].hi < pair[1].lo), "{spans:?}");
        let expected: f64 = spans.iter().map(|span| span.rows).sum();
        assert!((expected - rows).abs() <= rows * tolerance, "{expected} of {rows}");
        spans
    }

    #[test]
    fn even_keys_are_counted_exactly() {
        check((1..=100_000).collect(), 0.001);
        check((0..50_000).map(|key| key * 1_000_003).collect(), 0.001);
        check(vec![7], 0.0);
        check(vec![i64::MIN, 0, i64::MAX], 0.0);
        assert!(check(vec![], 0.0).is_empty());
    }

    #[test]
    fn gaps_that_a_look_may_miss_are_averaged_out() {
        let (mut key, mut state) = (0, 1_u32);
        let keys = (0..500_000).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            key += if state >> 8 & 1023 < 26 { i64::from(state >> 20) % 60 + 1 } else { 1 };
            key
        });
        check(keys.collect(), 0.12);
    }

    #[test]
    fn clumps_at_the_ends_of_the_line_are_found_across_the_gap() {
        let clumps = [i64::MIN, -5_000, 1 << 40, i64::MAX - 9_999];
        let keys = clumps.iter().flat_map(|start| (0..10_000).map(move |key| start + key));
        check(keys.collect(), 0.01);
    }

    #[test]
    fn one_key_of_many_rows_is_one_span() {
        let spans = check(vec![42; 5_000], 0.0);
        assert_eq!(spans.len(), 1);
        // Ten days of a thousand rows each, all of the second one's at its midnight. A few reads
        // may miss them; nothing else may be lost.
        let day =
            |n: i64| (0..1_000).map(move |row| n * 86_400 + if n == 1 { 0 } else { row * 86 });
        check((0..10).flat_map(day).collect(), 0.11);
        check((0..3_000).flat_map(|day| std::iter::repeat_n(day, 30)).collect(), 0.05);
    }

    #[test]
    fn density_that_grows_is_followed() {
        let keys = (0..200_000_u32).map(|row| {
            #[expect(clippy::cast_possible_truncation, reason = "below 1e12")]
            let key = (f64::from(row).sqrt() * 1e9) as i64;
            key
        });
        let spans = check(keys.collect(), 0.05);
        let middle = 223_606_797_749; // half of the range holds a quarter of the rows
        let below: f64 = spans.iter().filter(|s| s.hi < middle).map(|s| s.rows).sum();
        assert!((below - 50_000.0).abs() < 5_000.0, "{below}");
    }
}
