//! Launches: which execution reads which of a run's tasks.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What shall be launched. Created before anything is started, so that whoever finds the program
/// that ordered it gone can start the very same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Version of this document, [`Order::VERSION`].
    pub version: u32,
    /// Place among the run's launches, from 0.
    pub launch: u32,
    /// Indexes of the manifest's tasks that it carries out: the execution's task 0 the first of
    /// them, and so on.
    pub tasks: Vec<u32>,
    /// Why, in one sentence.
    pub reason: String,
    /// When, by the clock of the program that ordered it.
    pub at: DateTime<Utc>,
}

impl Order {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

/// Which execution carries a launch out.
///
/// Starting an execution is not idempotent, so a program that dies between starting one and saying
/// so leads to a second. Whoever creates this document first, the program that started the
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
    /// When, by the clock of who claimed it.
    pub at: DateTime<Utc>,
}

impl Claim {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}
