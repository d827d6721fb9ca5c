//! Launches: which execution reads which of a run's tasks, and the port that starts them.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;

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

/// Where tasks run: starts executions, and says how they are.
#[async_trait]
pub trait Executions: std::fmt::Debug + Send + Sync {
    /// Starts an execution of `task_count` tasks and returns its name at once, without waiting for
    /// it. Each task finds `manifest_url` and `launch` in its environment.
    ///
    /// Not idempotent: two calls start two executions. An error of kind `Transient` may have
    /// started one.
    async fn start(&self, manifest_url: &str, launch: u32, task_count: u32) -> Result<String>;

    /// How an execution is; nothing where there is none of that name.
    async fn state(&self, execution: &str) -> Result<Option<ExecutionState>>;

    /// Ends an execution's tasks. One that has ended already stays as it is.
    async fn cancel(&self, execution: &str) -> Result<()>;
}

/// How an execution is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionState {
    /// When it was asked for, by the platform's clock.
    pub created: DateTime<Utc>,
    /// When its first task started.
    pub started: Option<DateTime<Utc>>,
    /// When its last task ended for good.
    pub ended: Option<DateTime<Utc>>,
    /// Tasks that ended well.
    pub succeeded: u32,
    /// Tasks that failed for good.
    pub failed: u32,
    /// Tasks that were cancelled.
    pub cancelled: u32,
    /// What the platform says of it, where it failed.
    pub message: Option<String>,
    /// Where people find its log.
    pub log_url: Option<String>,
}
