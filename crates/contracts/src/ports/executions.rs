//! Executions: where tasks run.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::error::Result;

/// Where tasks run: starts executions, and reports their state.
#[async_trait]
pub trait Executions: std::fmt::Debug + Send + Sync {
    /// Starts an execution of `task_count` tasks and returns its name without waiting for the
    /// tasks. Each task finds `manifest_url` and `launch` in its environment.
    ///
    /// Not idempotent: two calls start two executions. An error of kind `Transient` may have
    /// started one.
    async fn start(&self, manifest_url: &str, launch: u32, task_count: u32) -> Result<String>;

    /// The state of an execution; `None` if no execution has that name.
    async fn state(&self, execution: &str) -> Result<Option<ExecutionState>>;

    /// The most tasks of one execution that run at once; `None` where the platform is told no
    /// limit. Tasks beyond it start when others end.
    async fn parallelism(&self) -> Result<Option<u32>>;

    /// Cancels an execution's tasks. Does nothing to an execution that has ended already.
    async fn cancel(&self, execution: &str) -> Result<()>;
}

/// The state of an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionState {
    /// When it was requested, by the platform's clock.
    pub created: DateTime<Utc>,
    /// When its first task started.
    pub started: Option<DateTime<Utc>>,
    /// When its last task ended for good.
    pub ended: Option<DateTime<Utc>>,
    /// Tasks that succeeded.
    pub succeeded: u32,
    /// Tasks that failed for good.
    pub failed: u32,
    /// Tasks that were cancelled.
    pub cancelled: u32,
    /// The platform's message, if it failed.
    pub message: Option<String>,
    /// URL of its log, for people.
    pub log_url: Option<String>,
}
