//! How a run ends, and who is told.

use std::collections::BTreeMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::manifest::RunId;

/// What is to become of a run. Created once, before anything of the run becomes visible: of two
/// loaders of which one would load and the other give up, the first decides for both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Version of this document, [`Verdict::VERSION`].
    pub version: u32,
    /// Whether it is loaded.
    pub decision: Decision,
    /// Generation of the snapshot that is loaded, where it is: one that becomes complete later
    /// changes nothing, so that no table is loaded twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u32>,
    /// Tables that are passed over where units of them are missing, by their index, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub given_up: BTreeMap<u32, Word>,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Word>,
    /// When, by the clock of who decided.
    pub at: DateTime<Utc>,
}

impl Verdict {
    /// The version this build writes.
    pub const VERSION: u32 = 1;

    /// That a run is loaded.
    pub fn commit(snapshot: u32, given_up: BTreeMap<u32, Word>, at: DateTime<Utc>) -> Self {
        Self {
            version: Self::VERSION,
            decision: Decision::Commit,
            snapshot: Some(snapshot),
            given_up,
            failure: None,
            at,
        }
    }

    /// That a run is not loaded, and why.
    pub fn fail(failure: Word, at: DateTime<Utc>) -> Self {
        Self {
            version: Self::VERSION,
            decision: Decision::Fail,
            snapshot: None,
            given_up: BTreeMap::new(),
            failure: Some(failure),
            at,
        }
    }
}

/// Whether a run is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It is.
    Commit,
    /// It is not, and nothing of it ever will be.
    Fail,
}

/// An error as a document keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// Who must act.
    pub kind: Kind,
    /// The chain of what was being done.
    pub message: String,
    /// The remedy, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&Error> for Word {
    fn from(error: &Error) -> Self {
        Self { kind: error.kind(), message: error.chain(), hint: error.remedy().map(str::to_owned) }
    }
}

impl Word {
    /// The same as an error.
    pub fn into_error(self) -> Error {
        let error = Error::new(self.kind, self.message);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// What became of each table of a run that was loaded. Nothing changes after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Committed {
    /// Version of this document, [`Committed::VERSION`].
    pub version: u32,
    /// Every table of the manifest, in its order, then those that the plan refused.
    pub tables: Vec<TableEnding>,
    /// When, by the loader's clock.
    pub at: DateTime<Utc>,
}

impl Committed {
    /// The version this build writes.
    pub const VERSION: u32 = 1;

    /// Whether every table is visible.
    pub fn is_whole(&self) -> bool {
        self.tables.iter().all(|table| table.failure.is_none())
    }
}

/// What became of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableEnding {
    /// The table.
    pub table: String,
    /// URL of the table that it becomes.
    pub target: String,
    /// Rows made visible.
    pub rows: u64,
    /// Why it is not visible; absent where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Word>,
}

/// The end of a run, for whoever waits for it. Pub/Sub messages carry it as JSON, with `event`,
/// `run` and `job` as attributes too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunEvent {
    /// Version of this document, [`RunEvent::VERSION`].
    pub version: u32,
    /// What happened.
    pub event: EventName,
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: String,
    /// What the caller told this request from others by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_key: Option<String>,
    /// Rows made visible in all tables.
    pub rows: u64,
    /// What became of each table. Empty for a run that never was planned.
    pub tables: Vec<TableEnding>,
    /// Why the run failed, where it did as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Word>,
    /// When the run ended, by the clock of who says so.
    pub at: DateTime<Utc>,
}

impl RunEvent {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EventName {
    /// Every table is visible.
    #[serde(rename = "run.finished")]
    Finished,
    /// At least one is not.
    #[serde(rename = "run.failed")]
    Failed,
}

impl EventName {
    /// The word in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "run.finished",
            Self::Failed => "run.failed",
        }
    }
}

/// Tells whoever listens that a run has ended.
///
/// At least once: an event may be told twice, and is not lost once the call has returned `Ok`.
#[async_trait]
pub trait Announcer: std::fmt::Debug + Send + Sync {
    /// Tells it. Retries what is transient.
    async fn announce(&self, event: &RunEvent) -> Result<()>;
}
