//! The documents through which the programs communicate, one file for each.
//!
//! A document is created once and never changed. A reader checks its version first, and every
//! version that was ever written still loads.

mod bad_row;
mod commit;
mod committed;
mod dataflow;
mod dedup;
mod engine;
mod error_report;
mod event;
mod extracted;
mod failure;
mod file_load;
mod latest_run;
mod launch;
mod least_tls;
mod load_order;
mod manifest;
mod native;
mod receipt;
mod relation;
mod request;
mod run_id;
mod schema;
mod snapshot;
mod table_write;
mod task_kind;
mod unit;
mod verdict;

pub use bad_row::{BadRow, RowPlace};
pub use commit::Commit;
pub use committed::{Committed, TableOutcome};
pub use dataflow::{
    DataflowAttempt, DataflowLaunch, DataflowOrder, DataflowResult, DataflowWorkers, StagingTable,
};
pub use dedup::{Dedup, Dropped};
pub use engine::{Engine, EngineChoice, EngineEstimate, EngineOption};
pub use error_report::ErrorReport;
pub use event::{EventName, RunEvent};
pub use extracted::Extracted;
pub use failure::{Failure, PermanentFailures};
pub use file_load::{FileLoad, FileLoadEnd, NewFiles};
pub use latest_run::LatestRun;
pub use launch::{Claim, Order};
pub use least_tls::LeastTls;
pub use load_order::LoadOrder;
pub(crate) use manifest::ManifestVersion2;
pub use manifest::{Estimate, Manifest, Refused, Table, Task, TaskUnits};
pub use native::{Native, NativeCsv, NativeFiles, NativeFormat, NativeQuery, NativeRows};
pub use receipt::{BadRows, Part, Receipt, Stages};
pub use relation::Relation;
pub use request::{Request, Reservation};
pub use run_id::RunId;
pub use schema::{
    Column, Decimal, OnInvalid, TargetType, arrow_schema, bigquery_field, bigquery_schema, digits,
    fixed_length, is_short_integer, scalar_type,
};
pub use snapshot::{Snapshot, SnapshotPlan};
pub use table_write::{
    Granularity, NewTable, PartitionBy, PartitionWidth, SchemaChanges, TableWrite, Watermark,
};
pub use task_kind::TaskKind;
pub use unit::{Cut, KeyType, Leaf, ObjectVersion, Unit, UnitRef};
pub use verdict::{Decision, Verdict};
