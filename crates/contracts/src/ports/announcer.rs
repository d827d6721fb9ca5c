//! Announcing that a run has ended.

use async_trait::async_trait;

use crate::documents::RunEvent;
use crate::error::Result;

/// Announces that a run has ended.
///
/// At least once: an event may be announced twice, and is not lost once the call has returned `Ok`.
#[async_trait]
pub trait Announcer: std::fmt::Debug + Send + Sync {
    /// Announces an event. Retries transient errors.
    async fn announce(&self, event: &RunEvent) -> Result<()>;
}
