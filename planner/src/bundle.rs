//! Bundling small partitions, or small files: a unit is a part file and a receipt, and thousands of them for
//! a few rows each cost more than the rows.

use sluice_contracts::documents::{Cut, Leaf, ObjectVersion};
use sluice_sources::Piece;

use crate::cut::Weighed;

/// Most rows of a bundle, whatever the table's units have.
const MOST_ROWS: f64 = 1e6;
/// Most bytes of a bundle.
const MOST_BYTES: f64 = 1_073_741_824.0;
/// Most partitions or files of a bundle: each one costs a task some time, even if it is empty.
const MOST_LEAVES: usize = 1_000;

/// The rows that a unit will cover.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedUnit {
    pub(crate) leaf: Option<Leaf>,
    pub(crate) cut: Cut,
    /// Expected rows.
    pub(crate) rows: f64,
    /// Expected bytes.
    pub(crate) bytes: f64,
    /// Whether it stays a unit of its own.
    alone: bool,
}

impl PlannedUnit {
    /// What one cut covers of a piece.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn of(piece: &Piece, weighed: Weighed) -> Self {
        let bytes = weighed.rows * (piece.bytes as f64 / piece.rows.max(1) as f64);
        Self {
            leaf: piece.leaf.clone(),
            cut: weighed.cut,
            rows: weighed.rows,
            bytes,
            alone: piece.is_undivided(),
        }
    }

    /// The partition or the file that it consists of, if that may be read with others.
    fn member(&self) -> Option<Member> {
        match (&self.leaf, &self.cut) {
            _ if self.alone => None,
            (Some(Leaf::Partition(name)), Cut::Full) => Some(Member::Partition(name.clone())),
            (Some(Leaf::Object(object)), Cut::Full) => Some(Member::Object(object.clone())),
            _ => None,
        }
    }
}

/// What a bundle is made of. All of one table are of one kind.
#[derive(Debug)]
enum Member {
    Partition(String),
    Object(ObjectVersion),
}

/// How large a bundle may become.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    rows: f64,
}

impl Goal {
    /// About as many rows as the table's other units have.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn new(rows: u64) -> Self {
        Self { rows: (rows as f64).min(MOST_ROWS) }
    }
}

/// Bundles whole partitions or files up to the goal, each with those that come next. All other units stay
/// as they are.
pub(crate) fn bundle(units: Vec<PlannedUnit>, goal: Goal) -> Vec<PlannedUnit> {
    let mut bundled: Vec<PlannedUnit> = Vec::with_capacity(units.len());
    // Place and members of the bundle that may still grow.
    let mut open: Option<(usize, Vec<Member>)> = None;
    for unit in units {
        let Some(member) = unit.member() else {
            bundled.push(unit);
            continue;
        };
        if let Some((at, members)) = &mut open
            && let Some(into) = bundled.get_mut(*at)
            && members.len() < MOST_LEAVES
            && into.rows + unit.rows <= goal.rows
            && into.bytes + unit.bytes <= MOST_BYTES
        {
            into.rows += unit.rows;
            into.bytes += unit.bytes;
            members.push(member);
            into.leaf = None;
            continue;
        }
        close(&mut bundled, open.take());
        open = Some((bundled.len(), vec![member]));
        bundled.push(unit);
    }
    close(&mut bundled, open);
    bundled
}

/// Gives a bundle of more than one member their names.
fn close(bundled: &mut [PlannedUnit], open: Option<(usize, Vec<Member>)>) {
    if let Some((at, members)) = open
        && members.len() > 1
        && let Some(into) = bundled.get_mut(at)
    {
        let (mut names, mut objects) = (Vec::new(), Vec::new());
        for member in members {
            match member {
                Member::Partition(name) => names.push(name),
                Member::Object(object) => objects.push(object),
            }
        }
        into.leaf =
            Some(if names.is_empty() { Leaf::Objects(objects) } else { Leaf::Partitions(names) });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unit(name: usize, rows: f64, bytes: f64, alone: bool, cut: Cut) -> PlannedUnit {
        PlannedUnit { leaf: Some(Leaf::Partition(format!("p{name}"))), cut, rows, bytes, alone }
    }

    /// Every partition with its cut, in any order.
    fn covered(units: &[PlannedUnit]) -> Vec<(String, String)> {
        let mut covered: Vec<(String, String)> = units
            .iter()
            .flat_map(|unit| {
                let names = match unit.leaf.clone() {
                    Some(Leaf::Partitions(names)) => names,
                    leaf => vec![leaf.map(|leaf| leaf.to_string()).unwrap_or_default()],
                };
                names.into_iter().map(|name| (name, format!("{:?}", unit.cut)))
            })
            .collect();
        covered.sort();
        covered
    }

    proptest! {
        #[test]
        fn no_partition_is_lost_or_read_twice(
            pieces in proptest::collection::vec((0.0_f64..3e6, 0.0_f64..2e9, 0..6), 0..80),
            goal in 1_u64..2_000_000,
        ) {
            let units: Vec<PlannedUnit> = (0..)
                .zip(&pieces)
                .map(|(name, &(rows, bytes, kind))| {
                    let part = Cut::Blocks { lo: 0, hi: None };
                    let cut = if kind == 0 { part } else { Cut::Full };
                    unit(name, rows, bytes, kind == 1, cut)
                })
                .collect();
            let bundled = bundle(units.clone(), Goal::new(goal));
            prop_assert_eq!(covered(&units), covered(&bundled));
            for unit in &bundled {
                if let Some(Leaf::Partitions(names)) = &unit.leaf {
                    prop_assert!(names.len() > 1 && unit.rows <= MOST_ROWS);
                    prop_assert!(unit.cut == Cut::Full && !unit.alone);
                }
            }
        }
    }

    #[test]
    fn small_partitions_share_a_unit_and_large_ones_do_not() {
        let days = (0..3_000).map(|day| unit(day, 400.0, 40_000.0, false, Cut::Full));
        let bundled = bundle(days.collect(), Goal::new(50_000));
        assert_eq!(bundled.len(), 24);
        assert_eq!(bundled[0].leaf.as_ref().map(Leaf::count), Some(125));
        let large = (0..5).map(|year| unit(year, 2e6, 1e8, false, Cut::Full));
        assert_eq!(bundle(large.collect(), Goal::new(u64::MAX)).len(), 5);
        let wide = (0..4).map(|day| unit(day, 10.0, 6e8, false, Cut::Full));
        assert_eq!(bundle(wide.collect(), Goal::new(1_000)).len(), 4);
        let empty = (0..2_500).map(|day| unit(day, 0.0, 0.0, false, Cut::Full));
        assert_eq!(bundle(empty.collect(), Goal::new(1)).len(), 3);
    }
}
