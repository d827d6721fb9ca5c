//! Launches: which execution reads which of a run's tasks.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A launch to carry out. Created before anything is started, so that another program can start the
/// same launch if the one that ordered it dies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Version of this document, [`Order::VERSION`].
    pub version: u32,
    /// Place among the run's launches, from 0.
    pub launch: u32,
    /// Indexes of the manifest's tasks that it carries out. The execution's task 0 carries out the
    /// first of them, and so on.
    pub tasks: Vec<u32>,
    /// Why, in one sentence.
    pub reason: String,
    /// Time of the order, by the clock of the program that ordered it.
    pub at: DateTime<Utc>,
}

impl Order {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

/// Which execution carries a launch out.
///
/// Starting an execution is not idempotent, so a program that dies after starting one and before
/// recording it causes a second. The first to create this document, the program that started the
/// execution or one of the execution's own tasks, decides: the tasks of every other execution end
/// quietly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Version of this document, [`Claim::VERSION`].
    pub version: u32,
    /// Place among the run's launches.
    pub launch: u32,
    /// Name of the execution, as its tasks find it in `CLOUD_RUN_EXECUTION`.
    pub execution: String,
    /// Time of the claim, by the clock of the program or task that made it.
    pub at: DateTime<Utc>,
}

impl Claim {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}
