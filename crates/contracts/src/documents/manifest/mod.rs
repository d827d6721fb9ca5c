//! The manifest: the plan of a run, written once.

mod version_2;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dataflow::DataflowWorkers;
use super::engine::EngineChoice;
use super::error_report::ErrorReport;
use super::least_tls::LeastTls;
use super::native::{Native, NativeRows};
use super::relation::Relation;
use super::run_id::RunId;
use super::schema::Column;
use super::snapshot::SnapshotPlan;
use super::table_write::{PartitionWidth, TableWrite};
use super::task_kind::TaskKind;
use super::unit::{Unit, UnitRef};
use crate::error::{Error, Kind};
use crate::job::{Excluded, RowSecurity};

pub(crate) use self::version_2::ManifestVersion2;

/// The plan of a run: its tables, how many units each has, and which task reads which.
///
/// A plan of few units holds them in its tasks. The units of a large one lie in a document for each
/// task, [`TaskUnits`], so that the manifest stays small and a task reads its own units only.
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
    /// How the connection to the source was protected when the run was planned, in words; absent
    /// where nothing leaves the machine, and where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// How well each connection to the source must be protected: what the operator of the planner
    /// demands. A task resolves the source's URL anew, so each task checks it again.
    #[serde(default, skip_serializing_if = "LeastTls::is_default")]
    pub least_tls: LeastTls,
    /// Bucket that holds the run's documents and parts.
    pub bucket: String,
    /// How its units come to see one state of the source.
    pub snapshot: SnapshotPlan,
    /// Whether no table becomes visible unless all do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all_or_nothing: bool,
    /// Whether all tables become visible in one step, which they do only if the run is
    /// `all_or_nothing`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_once: bool,
    /// Whether receipts have [`Stages`](super::Stages), which an earlier loader does not know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stages: bool,
    /// Which tasks of the deployment carry it out.
    #[serde(default, skip_serializing_if = "TaskKind::is_default")]
    pub task_kind: TaskKind,
    /// Number of executions after which the run is given up.
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
    /// Warnings that concern the run and no single table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Folder of the documents that hold the units of the tasks; absent if the tasks hold them.
    ///
    /// Each planner that plans the run has a folder of its own: of two plans, only one becomes the
    /// manifest, and the units of the other belong to no run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units_folder: Option<String>,
    /// Which task reads which units.
    pub tasks: Vec<Task>,
    /// The estimated size, time and cost of the run.
    pub estimate: Estimate,
}

impl Manifest {
    /// The version this build writes.
    pub const VERSION: u32 = 3;

    /// Whether the failure of one table ends the whole run: it is all or nothing, or moves no
    /// other table.
    pub fn fails_as_a_whole(&self) -> bool {
        self.all_or_nothing || self.tables.len() == 1
    }

    /// URL of the folder of the documents that name the rows which are set aside.
    pub fn bad_rows_url(&self) -> String {
        format!("{}/runs/{}/bad-rows", self.bucket.trim_end_matches('/'), self.run)
    }

    /// Every unit of the run.
    pub fn units(&self) -> impl Iterator<Item = UnitRef> + '_ {
        self.tables
            .iter()
            .flat_map(|table| (0..table.units).map(|unit| UnitRef { table: table.index, unit }))
    }

    /// Number of units of the run.
    pub fn unit_count(&self) -> u64 {
        self.tables.iter().map(|table| u64::from(table.units)).sum()
    }

    /// The units that the tasks hold, in the order of the tasks. None if they lie in documents of
    /// their own.
    pub fn held_units(&self) -> impl Iterator<Item = &Unit> {
        self.tasks.iter().filter_map(|task| task.units.as_ref()).flatten()
    }

    /// The same plan without the units, which lie in the documents of `folder`.
    pub(crate) fn without_units(&self, folder: String) -> Self {
        let tasks = self.tasks.iter().map(|task| Task { units: None, ..*task }).collect();
        Self { units_folder: Some(folder), tasks, ..self.clone() }
    }
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
    /// A table of this name and target that cannot be moved because of `error`.
    pub fn because(table: String, target: String, error: &Error) -> Self {
        let hint = error.remedy().map(str::to_owned);
        Self { table, target, kind: error.kind(), message: error.chain(), hint }
    }

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
    /// What happens where policies of the source hide rows.
    #[serde(default, skip_serializing_if = "RowSecurity::is_default")]
    pub row_security: RowSecurity,
    /// Seconds that the source may compute without sending a row before the table is given up; the
    /// reader's own limit, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_within: Option<u64>,
    /// URL of the target table.
    pub target: String,
    /// What the load does to the target.
    pub write: TableWrite,
    /// Name of the strategy that cut it.
    pub strategy: String,
    /// Why that strategy was chosen, in one sentence.
    pub reason: String,
    /// What moves the table, and why; absent in the plans of earlier builds, which knew tasks alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<EngineChoice>,
    /// The workers that bring the rows of the parts into the target; absent where none do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataflow: Option<DataflowWorkers>,
    /// The query whose rows the target takes by itself, in the target's language. For a table with units,
    /// the query by which tasks read it, where the source computes that when the run is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// What that query reads, or the files that the target loads; present where the target takes the
    /// rows by itself. Such a table has no units, and every other table has at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Native>,
    /// What the load does until the rows are visible, and what that costs, for the reader of the
    /// plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
    /// How the target is partitioned, if a load may be too wide for one job: the receipts tell which
    /// values the rows have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitioned_by: Option<PartitionWidth>,
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
    /// Number of its units, which are disjoint and cover the table.
    pub units: u32,
}

impl Table {
    /// The rows that the target takes by itself, if the plan says so in a way that this build knows.
    pub fn native_rows(&self) -> Option<NativeRows> {
        match (self.native.clone()?, self.statement.clone()) {
            (Native::Query(query), Some(statement)) => Some(NativeRows::Query { statement, query }),
            (Native::Files(files), None) => Some(NativeRows::Files(files)),
            _ => None,
        }
    }
}

/// One task of the plan. In an execution of fewer tasks, each task carries out several of the
/// plan's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Place among the plan's tasks, from 0.
    pub index: u32,
    /// Number of its units.
    pub count: u32,
    /// The unit that it reads last: once that has a receipt, the task is almost certainly done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<UnitRef>,
    /// Its units, in the order they are read; absent if they lie in a document of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<Vec<Unit>>,
}

impl Task {
    /// A task that holds its units, in the order they are read.
    pub fn new(index: u32, units: Vec<Unit>) -> Self {
        Self {
            index,
            count: u32::try_from(units.len()).unwrap_or(u32::MAX),
            last: units.last().map(Unit::place),
            units: Some(units),
        }
    }
}

/// The units of one task of a large plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskUnits {
    /// Version of this document, [`TaskUnits::VERSION`].
    pub version: u32,
    /// Index of the task.
    pub task: u32,
    /// Its units, in the order they are read.
    pub units: Vec<Unit>,
}

impl TaskUnits {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
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
    /// US dollars for a second of one task, if it is not [`Estimate::USUAL_PRICE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dollars_per_second: Option<f64>,
}

/// Cloud Run bills a task for at least a minute.
/// <https://cloud.google.com/run/pricing>
const LEAST_BILLED_SECONDS: f64 = 60.0;

impl Estimate {
    /// US dollars that Cloud Run bills for tasks that work so many seconds each, at this price of a
    /// second.
    pub fn bill(task_seconds: impl IntoIterator<Item = f64>, dollars_per_second: f64) -> f64 {
        let billed = task_seconds.into_iter().map(|seconds| seconds.max(LEAST_BILLED_SECONDS));
        // The sum of nothing is -0.0.
        billed.map(|seconds| seconds * dollars_per_second).fold(0.0, std::ops::Add::add)
    }

    /// US dollars for a second of a task with 1 vCPU and 2 GiB that is not delayed, in a tier 1 region.
    /// <https://cloud.google.com/run/pricing>
    pub const USUAL_PRICE: f64 = 0.000_018 + 2.0 * 0.000_002;

    /// US dollars for a second of one task.
    pub fn price(&self) -> f64 {
        self.dollars_per_second.unwrap_or(Self::USUAL_PRICE)
    }

    /// The same estimate at another price of a second.
    #[must_use]
    pub fn at_price(self, price: f64) -> Self {
        let is_usual = (price / Self::USUAL_PRICE - 1.0).abs() < 1e-9;
        let dollars_per_second = (!is_usual).then_some(price);
        Self { dollars: self.dollars / self.price() * price, dollars_per_second, ..self }
    }
}
