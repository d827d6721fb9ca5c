//! The arithmetic of cutting a line of keys into ranges of about equal weight.

use sluice_contracts::documents::{Cut, KeyType};
use sluice_sources::{Distribution, Key, Span};

/// A cut with the rows it is expected to cover.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighed {
    /// Which rows.
    pub cut: Cut,
    /// How many, probably.
    pub rows: f64,
}

/// Cuts a key's line into about `count` ranges of equal weight, open at both ends, and one unit for
/// NULL if the column allows it. The units are disjoint and cover the key, whatever the
/// distribution says.
pub(crate) fn ranges(key: &Key, distribution: &Distribution, count: u32) -> Vec<Weighed> {
    let spans = &distribution.spans;
    let bounds = snap(key.key_type, boundaries(spans, count));
    let mut lows = vec![None];
    lows.extend(bounds.iter().copied().map(Some));
    let mut weighed: Vec<Weighed> = lows
        .iter()
        .enumerate()
        .map(|(at, &lo)| {
            let hi = bounds.get(at).copied();
            let cut = Cut::Range { column: key.column.clone(), key: key.key_type, lo, hi };
            Weighed { cut, rows: weight(spans, lo, hi) }
        })
        .collect();
    if key.nullable {
        let cut = Cut::Null { column: key.column.clone() };
        weighed.push(Weighed { cut, rows: distribution.nulls });
    }
    weighed
}

/// Strictly ascending keys between which about equal numbers of rows lie.
fn boundaries(spans: &[Span], count: u32) -> Vec<i64> {
    let total: f64 = spans.iter().map(|span| span.rows).sum();
    let Some(first) = spans.first() else { return Vec::new() };
    if count < 2 || total <= 0.0 {
        return Vec::new();
    }
    let step = total / f64::from(count);
    let mut bounds: Vec<i64> = Vec::new();
    let mut push = |key: i128| {
        // Nothing lies below the first key, and a bound past the last integer cannot be written.
        if let Ok(key) = i64::try_from(key)
            && key > first.lo
            && bounds.last().is_none_or(|&last| key > last)
        {
            bounds.push(key);
        }
    };
    let mut before = 0.0;
    let mut next = step;
    for (at, span) in spans.iter().enumerate() {
        let after = before + span.rows;
        while next < after && span.rows > 0.0 {
            let share = (next - before) / span.rows;
            push(i128::from(span.lo) + scaled(width(span), share));
            next += step;
        }
        if span.lo == span.hi && span.rows >= step && at + 1 < spans.len() {
            // A single key that fills a unit alone is not joined with its neighbours.
            push(i128::from(span.hi) + 1);
        }
        before = after;
    }
    bounds
}

/// Keys in a span.
fn width(span: &Span) -> i128 {
    i128::from(span.hi) - i128::from(span.lo) + 1
}

/// `width * share`, rounded down. Bounds need not be exact, so neither is this.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a bound may lie anywhere; only its order matters"
)]
fn scaled(width: i128, share: f64) -> i128 {
    (width as f64 * share) as i128
}

/// Expected rows with `lo <= key < hi`.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn weight(spans: &[Span], lo: Option<i64>, hi: Option<i64>) -> f64 {
    spans
        .iter()
        .map(|span| {
            let from = lo.map_or(span.lo, |lo| lo.max(span.lo));
            let to = hi
                .map_or(i128::from(span.hi) + 1, |hi| i128::from(hi).min(i128::from(span.hi) + 1));
            let inside = (to - i128::from(from)).max(0);
            span.rows * (inside as f64 / width(span) as f64)
        })
        .sum()
}

/// Moves the bounds of a time line down to whole days, hours, minutes or seconds where their
/// neighbours are far enough away that the units stay about as large: people read the plan.
fn snap(key_type: KeyType, bounds: Vec<i64>) -> Vec<i64> {
    const SECOND: i64 = 1_000_000;
    if !matches!(key_type, KeyType::Timestamp | KeyType::Timestamptz) {
        return bounds;
    }
    let mut snapped: Vec<i64> = Vec::with_capacity(bounds.len());
    for (at, &bound) in bounds.iter().enumerate() {
        let below = at.checked_sub(1).and_then(|at| bounds.get(at)).copied();
        let above = bounds.get(at + 1).copied();
        let gap = [
            below.map(|below| bound.saturating_sub(below)),
            above.map(|above| above.saturating_sub(bound)),
        ];
        let gap = gap.into_iter().flatten().min().unwrap_or(0);
        let grain = [86_400 * SECOND, 3_600 * SECOND, 60 * SECOND, SECOND, 1]
            .into_iter()
            .find(|grain| gap / 8 >= *grain)
            .unwrap_or(1);
        let down = bound.saturating_sub(bound.rem_euclid(grain));
        let key = if snapped.last().is_none_or(|&last| down > last) { down } else { bound };
        if snapped.last().is_none_or(|&last| key > last) {
            snapped.push(key);
        }
    }
    snapped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(nullable: bool, key_type: KeyType) -> Key {
        Key {
            column: "k".into(),
            key_type,
            indexed: true,
            primary: false,
            nullable,
            correlation: None,
        }
    }

    fn covering(units: &[Weighed], value: Option<i64>) -> usize {
        units
            .iter()
            .filter(|unit| match (&unit.cut, value) {
                (Cut::Range { lo, hi, .. }, Some(value)) => {
                    lo.is_none_or(|lo| lo <= value) && hi.is_none_or(|hi| value < hi)
                }
                (Cut::Null { .. }, None) => true,
                _ => false,
            })
            .count()
    }

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        let keys = prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -100_i64..100,];
        proptest::collection::btree_set(keys, 0..40).prop_flat_map(|keys| {
            let keys: Vec<i64> = keys.into_iter().collect();
            proptest::collection::vec((0.0_f64..1e6, any::<bool>()), keys.len()).prop_map(
                move |weights| {
                    keys.iter()
                        .enumerate()
                        .map(|(at, &lo)| {
                            let (rows, single) = weights[at];
                            let hi = match keys.get(at + 1) {
                                Some(next) if !single => next - 1,
                                _ => lo,
                            };
                            Span { lo, hi, rows }
                        })
                        .collect()
                },
            )
        })
    }

    proptest! {
        #[test]
        fn ranges_are_disjoint_and_cover_whatever_the_statistics_say(
            spans in spans(),
            count in 1_u32..200,
            nullable: bool,
            time: bool,
            probes in proptest::collection::vec(any::<i64>(), 20),
        ) {
            let key_type = if time { KeyType::Timestamp } else { KeyType::Integer };
            let distribution = Distribution { spans: spans.clone(), nulls: 0.0 };
            let units = ranges(&key(nullable, key_type), &distribution, count);
            let mut values = probes;
            values.extend([i64::MIN, i64::MAX, 0]);
            for unit in &units {
                if let Cut::Range { lo, hi, .. } = &unit.cut {
                    for bound in [lo, hi].into_iter().flatten() {
                        values.extend([bound.saturating_sub(1), *bound, bound.saturating_add(1)]);
                    }
                }
            }
            for value in values {
                prop_assert_eq!(covering(&units, Some(value)), 1);
            }
            prop_assert_eq!(covering(&units, None), usize::from(nullable));
            let total: f64 = spans.iter().map(|span| span.rows).sum();
            let planned: f64 = units.iter().map(|unit| unit.rows).sum();
            prop_assert!((total - planned).abs() <= total * 1e-6 + 1e-6, "{} {}", total, planned);
        }
    }

    #[test]
    fn hot_ranges_get_more_units_than_cold_ones() {
        let distribution = Distribution {
            spans: vec![
                Span { lo: 0, hi: 999, rows: 1000.0 },
                Span { lo: 1000, hi: 1999, rows: 9000.0 },
            ],
            nulls: 0.0,
        };
        let units = ranges(&key(false, KeyType::Integer), &distribution, 10);
        assert_eq!(units.len(), 10);
        let hot = units
            .iter()
            .filter(|unit| matches!(unit.cut, Cut::Range { lo: Some(lo), .. } if lo >= 1000))
            .count();
        assert_eq!(hot, 9);
        for unit in &units {
            assert!((unit.rows - 1000.0).abs() < 10.0, "{unit:?}");
        }
    }

    #[test]
    fn a_single_hot_key_stands_alone() {
        let distribution = Distribution {
            spans: vec![
                Span { lo: 0, hi: 99, rows: 100.0 },
                Span { lo: 100, hi: 100, rows: 800.0 },
                Span { lo: 101, hi: 199, rows: 100.0 },
            ],
            nulls: 0.0,
        };
        let units = ranges(&key(false, KeyType::Integer), &distribution, 10);
        let alone =
            Cut::Range { column: "k".into(), key: KeyType::Integer, lo: Some(100), hi: Some(101) };
        assert!(units.iter().any(|unit| unit.cut == alone), "{units:?}");
    }

    #[test]
    fn bounds_of_wide_time_ranges_are_whole_days() {
        const DAY: i64 = 86_400_000_000;
        let distribution =
            Distribution { spans: vec![Span { lo: 7, hi: 400 * DAY + 13, rows: 1e6 }], nulls: 0.0 };
        let units = ranges(&key(false, KeyType::Timestamp), &distribution, 10);
        assert_eq!(units.len(), 10);
        for unit in &units {
            let Cut::Range { hi, .. } = unit.cut else { panic!("{unit:?}") };
            assert!(hi.is_none_or(|hi| hi % DAY == 0), "{unit:?}");
        }
    }
}
