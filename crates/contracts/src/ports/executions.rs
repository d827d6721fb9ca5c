//! Executions: where tasks run.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::error::Result;

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
