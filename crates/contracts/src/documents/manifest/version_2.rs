//! Manifests of versions 1 and 2, which hold every unit in its table.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Estimate, Manifest, Refused, Table, Task};
use crate::documents::least_tls::LeastTls;
use crate::documents::relation::Relation;
use crate::documents::run_id::RunId;
use crate::documents::schema::Column;
use crate::documents::snapshot::SnapshotPlan;
use crate::documents::table_write::{SchemaChanges, TableWrite};
use crate::documents::task_kind::TaskKind;
use crate::documents::unit::{Cut, KeyType, Leaf, Unit, UnitRef};
use crate::error::{Error, Result};
use crate::job::{Consistency, Excluded, RowSecurity, WriteDisposition};

/// A manifest of version 1 or 2.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManifestVersion2 {
    #[serde(rename = "version")]
    _version: u32,
    run: RunId,
    job: String,
    planned: DateTime<Utc>,
    source: String,
    bucket: String,
    consistency: Consistency,
    #[serde(default)]
    all_or_nothing: bool,
    #[serde(default = "executions_of_version_1")]
    max_executions: u32,
    tables: Vec<OldTable>,
    #[serde(default)]
    refused: Vec<Refused>,
    #[serde(default)]
    excluded: Vec<Excluded>,
    tasks: Vec<OldTask>,
    estimate: Estimate,
}

/// Version 1 did not state a limit.
fn executions_of_version_1() -> u32 {
    3
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OldTable {
    index: u32,
    name: String,
    relation: Relation,
    #[serde(default)]
    filter: Option<String>,
    target: String,
    write_disposition: WriteDisposition,
    strategy: String,
    reason: String,
    columns: Vec<Column>,
    shape: String,
    rows: u64,
    bytes: u64,
    #[serde(default)]
    warnings: Vec<String>,
    units: Vec<OldUnit>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OldTask {
    index: u32,
    units: Vec<UnitRef>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct OldUnit {
    index: u32,
    #[serde(default)]
    leaf: Option<String>,
    cut: OldCut,
    predicate: String,
    rows: u64,
    bytes: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum OldCut {
    Full,
    Range { column: String, key: KeyType, lo: Option<i64>, hi: Option<i64> },
    Null { column: String },
    Hash { columns: Vec<String>, modulus: u32, remainder: u32 },
    Ctid { lo: u32, hi: Option<u32> },
}

impl ManifestVersion2 {
    /// The same plan as this build writes it.
    ///
    /// # Errors
    /// `Data` if a task names a unit that no table has.
    pub(crate) fn upgrade(self) -> Result<Manifest> {
        let find = |at: UnitRef| {
            let table = self.tables.get(at.table as usize)?;
            Some(table.units.get(at.unit as usize)?.clone().upgrade(at.table))
        };
        let mut tasks = Vec::with_capacity(self.tasks.len());
        for task in &self.tasks {
            let units: Option<Vec<Unit>> = task.units.iter().map(|at| find(*at)).collect();
            let units = units.ok_or_else(|| {
                Error::data(format!("read the manifest: task {} has an unknown unit", task.index))
                    .hint("the manifest was changed; start the run again")
            })?;
            tasks.push(Task::new(task.index, units));
        }
        Ok(Manifest {
            task_kind: TaskKind::default(),
            version: Manifest::VERSION,
            run: self.run,
            job: self.job,
            planned: self.planned,
            source: self.source,
            connection: None,
            least_tls: LeastTls::default(),
            bucket: self.bucket,
            snapshot: match self.consistency {
                Consistency::Snapshot => SnapshotPlan::Held,
                Consistency::None => SnapshotPlan::Independent,
            },
            all_or_nothing: self.all_or_nothing,
            at_once: false,
            stages: false,
            max_executions: self.max_executions,
            tables: self.tables.into_iter().map(OldTable::upgrade).collect(),
            refused: self.refused,
            excluded: self.excluded,
            warnings: Vec::new(),
            units_folder: None,
            tasks,
            estimate: self.estimate,
        })
    }
}

impl OldTable {
    fn upgrade(self) -> Table {
        Table {
            index: self.index,
            name: self.name,
            relation: self.relation,
            filter: self.filter,
            // These versions did not say that rows are hidden.
            row_security: RowSecurity::Filter,
            answer_within: None,
            target: self.target,
            write: TableWrite {
                schema_changes: SchemaChanges::Replace,
                ..TableWrite::of(self.write_disposition)
            },
            strategy: self.strategy,
            reason: self.reason,
            engine: None,
            dataflow: None,
            statement: None,
            native: None,
            way: None,
            partitioned_by: None,
            columns: self.columns,
            shape: self.shape,
            rows: self.rows,
            bytes: self.bytes,
            warnings: self.warnings,
            units: u32::try_from(self.units.len()).unwrap_or(u32::MAX),
        }
    }
}

impl OldUnit {
    fn upgrade(self, table: u32) -> Unit {
        Unit {
            table,
            index: self.index,
            leaf: self.leaf.map(Leaf::Partition),
            cut: match self.cut {
                OldCut::Full => Cut::Full,
                OldCut::Range { column, key, lo, hi } => Cut::Range { column, key, lo, hi },
                OldCut::Null { column } => Cut::Null { column },
                OldCut::Hash { columns, modulus, remainder } => {
                    Cut::Hash { columns, modulus, remainder }
                }
                OldCut::Ctid { lo, hi } => Cut::Blocks { lo, hi },
            },
            predicate: self.predicate,
            rows: self.rows,
            bytes: self.bytes,
        }
    }
}
