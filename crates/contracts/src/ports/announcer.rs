//! Announcing that a run has ended.

use async_trait::async_trait;

use crate::documents::RunEvent;
use crate::error::Result;

/// Tells whoever listens that a run has ended.
///
/// At least once: an event may be told twice, and is not lost once the call has returned `Ok`.
#[async_trait]
pub trait Announcer: std::fmt::Debug + Send + Sync {
    /// Tells it. Retries what is transient.
    async fn announce(&self, event: &RunEvent) -> Result<()>;
}
