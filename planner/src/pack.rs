//! Packing units onto few tasks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use sluice_contracts::documents::{Estimate, Table, Task, Unit};
use sluice_contracts::job::Limits;

use crate::price;

/// Tasks, what they are expected to take, and what the reader of the plan should know.
#[derive(Debug)]
pub(crate) struct Packing {
    pub(crate) tasks: Vec<Task>,
    pub(crate) estimate: Estimate,
    pub(crate) warning: Option<String>,
}

/// Packs the units of all tables together, heaviest first, each onto the least loaded task.
///
/// There are as many tasks as keep each one busy for some minutes, or as the wanted duration
/// needs; never more than there are units, connections or tasks allowed.
pub(crate) fn pack(tables: &[Table], units: Vec<Unit>, limits: &Limits) -> Packing {
    let mut units: Vec<(f64, Unit)> =
        units.into_iter().map(|unit| (price::seconds(&unit), unit)).collect();
    units.sort_by(|(a, left), (b, right)| {
        b.total_cmp(a).then_with(|| left.place().cmp(&right.place()))
    });
    let work: f64 = units.iter().map(|(seconds, _)| seconds).sum();
    let wanted = wanted_tasks(work, limits);
    let low = low_utilisation(units.len(), wanted);
    let count = usize::try_from(wanted).unwrap_or(usize::MAX).min(units.len());

    let mut loads: BinaryHeap<Reverse<Load>> =
        (0..count).map(|task| Reverse(Load { seconds: 0.0, task })).collect();
    let mut tasks: Vec<Vec<Unit>> = vec![Vec::new(); count];
    for (seconds, unit) in units {
        let Some(Reverse(least)) = loads.pop() else { break };
        if let Some(task) = tasks.get_mut(least.task) {
            task.push(unit);
        }
        loads.push(Reverse(Load { seconds: least.seconds + seconds, task: least.task }));
    }
    let task_seconds = || loads.iter().map(|Reverse(load)| load.seconds);
    let estimate = Estimate {
        rows: tables.iter().map(|table| table.rows).sum(),
        bytes: tables.iter().map(|table| table.bytes).sum(),
        seconds: task_seconds().fold(0.0, f64::max),
        dollars: Estimate::bill(task_seconds(), Estimate::USUAL_PRICE),
        dollars_per_second: None,
    };
    let tasks = (0_u32..).zip(tasks).map(|(index, units)| Task::new(index, units)).collect();
    Packing { tasks, estimate, warning: low }
}

/// Tasks that the work, the wanted duration and the limits ask for.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the result is clamped to the limits"
)]
pub(crate) fn wanted_tasks(work: f64, limits: &Limits) -> u32 {
    let cheap = (work / price::GOOD_TASK_SECONDS).ceil();
    let quick = limits.finish_within.map_or(0.0, |within| (work / within.as_secs_f64()).ceil());
    let most = limits.max_connections.min(limits.max_tasks).max(1);
    (cheap.max(quick).max(1.0) as u32).min(most)
}

/// The seed's warning, kept under its own name for the people who look for it.
fn low_utilisation(units: usize, wanted: u32) -> Option<String> {
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
    let percent = units * 100 / wanted.max(1);
    (units > 0 && percent < 30).then(|| {
        format!(
            "worker utilisation < 30 %: {units} units for {wanted} wanted tasks; \
             set a smaller `partitioning.target_rows` or a longer `limits.finish_within`"
        )
    })
}

/// A task's work so far; the least comes first, the lowest index among equals.
#[derive(Debug, Clone, Copy)]
struct Load {
    seconds: f64,
    task: usize,
}

impl Ord for Load {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.seconds.total_cmp(&other.seconds).then(self.task.cmp(&other.task))
    }
}

impl PartialOrd for Load {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Load {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Load {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;
    use sluice_contracts::documents::{Cut, Relation, TableWrite, UnitRef};
    use sluice_contracts::job::{RowSecurity, WriteDisposition};

    use super::*;

    /// Packs the units of one table, of so many rows each.
    fn packed(rows: &[u64], limits: &Limits) -> Packing {
        let units: Vec<Unit> = (0_u32..)
            .zip(rows)
            .map(|(index, &rows)| Unit {
                table: 0,
                index,
                leaf: None,
                cut: Cut::Full,
                predicate: String::new(),
                rows,
                bytes: rows * 100,
            })
            .collect();
        let table = Table {
            index: 0,
            name: "t".into(),
            relation: Relation::table(None, "t"),
            filter: None,
            target: String::new(),
            row_security: RowSecurity::default(),
            answer_within: None,
            write: TableWrite::of(WriteDisposition::Truncate),
            strategy: "full".into(),
            reason: String::new(),
            engine: None,
            dataflow: None,
            statement: None,
            native: None,
            way: None,
            partitioned_by: None,
            columns: Vec::new(),
            shape: String::new(),
            rows: rows.iter().sum(),
            bytes: 0,
            warnings: Vec::new(),
            units: u32::try_from(units.len()).unwrap(),
        };
        pack(&[table], units, limits)
    }

    fn limits(max_connections: u32, within: Option<u64>) -> Limits {
        Limits {
            max_connections,
            max_tasks: 100,
            finish_within: within.map(Duration::from_secs),
            ..Limits::default()
        }
    }

    proptest! {
        #[test]
        fn every_unit_is_packed_once_within_the_limits(
            rows in proptest::collection::vec(0_u64..5_000_000, 1..60),
            connections in 1_u32..20,
            within in proptest::option::of(1_u64..100),
        ) {
            let packing = packed(&rows, &limits(connections, within));
            let units = packing.tasks.iter().flat_map(|task| task.units.iter().flatten());
            let packed: Vec<UnitRef> = units.map(Unit::place).collect();
            prop_assert_eq!(packed.len(), rows.len());
            prop_assert_eq!(packed.iter().collect::<BTreeSet<_>>().len(), rows.len());
            prop_assert!(packing.tasks.len() <= connections as usize);
            prop_assert!(packing.tasks.iter().all(|task| task.count > 0));
        }
    }

    #[test]
    fn small_work_is_one_task_and_a_wanted_duration_makes_more() {
        let rows = [2_000_000; 10];
        assert_eq!(packed(&rows, &limits(8, None)).tasks.len(), 1);
        assert_eq!(packed(&rows, &limits(8, Some(10))).tasks.len(), 6);
        assert!(packed(&[], &limits(8, None)).tasks.is_empty());
    }

    #[test]
    fn loads_are_even() {
        let rows = [90, 10, 50, 50, 100].map(|n| n * 1_000_000);
        let packing = packed(&rows, &limits(3, Some(1)));
        let sizes: Vec<u32> = packing.tasks.iter().map(|task| task.count).collect();
        assert_eq!(sizes, [1, 2, 2]);
    }

    #[test]
    fn fewer_units_than_a_third_of_the_wanted_tasks_is_warned_of() {
        let packing = packed(&[100_000_000], &limits(8, Some(10)));
        assert_eq!(packing.tasks.len(), 1);
        assert!(packing.warning.unwrap().starts_with("worker utilisation < 30 %"));
    }
}
