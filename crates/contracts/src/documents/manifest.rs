//! The manifest: the plan of a run, written once.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error_report::ErrorReport;
use super::relation::Relation;
use super::run_id::RunId;
use super::schema::Column;
use super::unit::Unit;
use crate::error::Kind;
use crate::job::{Consistency, Excluded, WriteDisposition};

/// The plan of a run: its tables, their units, and which task reads which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this document, [`Manifest::VERSION`].
    pub version: u32,
    /// The run that is planned.
    pub run: RunId,
    /// Name of the job.
    pub job: String,
    /// Time of planning, by the planner's clock.
    pub planned: DateTime<Utc>,
    /// The source's URL as the job spells it, environment variables unexpanded.
    pub source: String,
    /// Bucket that holds the run's documents and parts.
    pub bucket: String,
    /// Whether all units are read in one snapshot.
    pub consistency: Consistency,
    /// Whether no table becomes visible unless all do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_or_nothing: bool,
    /// Number of executions after which the run is given up.
    #[serde(default = "executions_of_version_1")]
    pub max_executions: u32,
    /// What the run moves.
    pub tables: Vec<Table>,
    /// Tables that the job asks for and the plan refuses. The others are moved, unless
    /// `all_or_nothing`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Tables that the job leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<Excluded>,
    /// Which task reads which units, heaviest first.
    pub tasks: Vec<Task>,
    /// The estimated size, time and cost of the run.
    pub estimate: Estimate,
}

impl Manifest {
    /// The version this build writes.
    pub const VERSION: u32 = 2;

    /// Whether the failure of one table ends the whole run: it is all or nothing, or moves no
    /// other table.
    pub fn fails_as_a_whole(&self) -> bool {
        self.all_or_nothing || self.tables.len() == 1
    }

    /// The unit that a reference names.
    pub fn unit(&self, unit: UnitRef) -> Option<(&Table, &Unit)> {
        let table = self.tables.get(unit.table as usize)?;
        Some((table, table.units.get(unit.unit as usize)?))
    }

    /// Every unit of the run.
    pub fn units(&self) -> impl Iterator<Item = UnitRef> + '_ {
        self.tables.iter().flat_map(|table| {
            table.units.iter().map(|unit| UnitRef { table: table.index, unit: unit.index })
        })
    }
}

/// Version 1 of the manifest did not state a limit.
fn executions_of_version_1() -> u32 {
    3
}

/// A table that the plan refuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The table.
    pub table: String,
    /// URL of the target table.
    pub target: String,
    /// Who must act.
    pub kind: Kind,
    /// Why it is refused.
    pub message: String,
    /// The remedy, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Refused {
    /// Why the table is refused.
    pub fn report(&self) -> ErrorReport {
        ErrorReport { kind: self.kind, message: self.message.clone(), hint: self.hint.clone() }
    }
}

/// One table of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Place among the run's tables, from 0.
    pub index: u32,
    /// The table's name, or `query`.
    pub name: String,
    /// What is read.
    pub relation: Relation,
    /// The job's own filter, in the source's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// URL of the target table.
    pub target: String,
    /// What happens to the rows that the target already has.
    pub write_disposition: WriteDisposition,
    /// Name of the strategy that cut it.
    pub strategy: String,
    /// Why that strategy was chosen, in one sentence.
    pub reason: String,
    /// Its columns, in the order of the part files.
    pub columns: Vec<Column>,
    /// Names and types of the columns, and the partitions, as planned: a reader that finds
    /// another shape refuses to read.
    pub shape: String,
    /// Expected rows.
    pub rows: u64,
    /// Expected bytes in the source.
    pub bytes: u64,
    /// Warnings for the reader of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Its units: disjoint, and covering the table.
    pub units: Vec<Unit>,
}

/// One task of the plan. In an execution of fewer tasks, each task carries out several of the
/// plan's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Place among the plan's tasks, from 0.
    pub index: u32,
    /// Its units, in the order they are read.
    pub units: Vec<UnitRef>,
}

/// A unit by its place in the manifest.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct UnitRef {
    /// Index of the table.
    pub table: u32,
    /// Index of the unit in the table.
    pub unit: u32,
}

/// The estimated size, time and cost of a run. Printed, never enforced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of all tables, in the source.
    pub bytes: u64,
    /// Seconds until the slowest task ends.
    pub seconds: f64,
    /// US dollars for the Cloud Run tasks, before the free tier.
    pub dollars: f64,
}
