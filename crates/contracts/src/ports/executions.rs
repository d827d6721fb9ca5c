//! Executions: where tasks run.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::documents::TaskKind;
use crate::error::Result;

/// Where tasks run: starts executions, and reports their state.
#[async_trait]
pub trait Executions: std::fmt::Debug + Send + Sync {
    /// Starts an execution of `task_count` tasks of a kind and returns its name without waiting for
    /// the tasks. Each task finds `manifest_url` and `launch` in its environment.
    ///
    /// Not idempotent: two calls start two executions. An error of kind `Transient` may have
    /// started one. `Invalid` if there are no tasks of that kind.
    async fn start(
        &self,
        kind: &TaskKind,
        manifest_url: &str,
        launch: u32,
        task_count: u32,
    ) -> Result<String>;

    /// The state of an execution; `None` if no execution has that name.
    async fn state(&self, execution: &str) -> Result<Option<ExecutionState>>;

    /// Whether there are tasks of a kind, as far as that is known without a call. `Invalid` if not.
    fn check(&self, kind: &TaskKind) -> Result<()>;

    /// What tasks of a kind are. `Invalid` if there are none of that kind.
    async fn tasks(&self, kind: &TaskKind) -> Result<TaskTerms>;

    /// Cancels an execution's tasks. Does nothing to an execution that has ended already.
    async fn cancel(&self, execution: &str) -> Result<()>;
}

/// What the tasks of a kind are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TaskTerms {
    /// The most tasks of one execution that run at once; `None` where the platform is told no
    /// limit. Tasks beyond it start when others end.
    pub parallelism: Option<u32>,
    /// CPUs of a task, and its memory in GiB; `None` where the platform does not say.
    pub size: Option<(f64, f64)>,
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
