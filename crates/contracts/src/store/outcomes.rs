//! The documents of a run's end.

use super::{Created, RunStore};
use crate::documents::{Committed, Extracted, RunEvent, Verdict};
use crate::error::Result;

impl RunStore {
    /// Records the verdict.
    pub async fn create_verdict(&self, verdict: &Verdict) -> Result<Created> {
        self.create(&self.layout.verdict(), verdict).await
    }

    /// The verdict, if there is one.
    pub async fn verdict(&self) -> Result<Option<Verdict>> {
        self.read(&self.layout.verdict(), Verdict::VERSION).await
    }

    /// Records the outcome of each table. Nothing changes after it.
    pub async fn create_committed(&self, committed: &Committed) -> Result<Created> {
        self.create(&self.layout.committed(), committed).await
    }

    /// The outcome of each table, if it is recorded.
    pub async fn committed(&self) -> Result<Option<Committed>> {
        self.read(&self.layout.committed(), Committed::VERSION).await
    }

    /// Records that the run's end was announced.
    pub async fn create_announced(&self, event: &RunEvent) -> Result<Created> {
        self.create(&self.layout.announced(), event).await
    }

    /// The announcement of the run's end, if it was made.
    pub async fn announced(&self) -> Result<Option<RunEvent>> {
        self.read(&self.layout.announced(), RunEvent::VERSION).await
    }

    /// Records that no unit of a generation is left to read: each has a receipt, or was given up.
    pub async fn create_extracted(&self, extracted: &Extracted) -> Result<Created> {
        self.create(&self.layout.extracted(extracted.snapshot), extracted).await
    }

    /// Whether no unit of a generation is left to read. `false` may be out of date: the task that
    /// read the last unit may have died before it recorded this.
    pub async fn is_extracted(&self, generation: u32) -> Result<bool> {
        self.exists(&self.layout.extracted(generation)).await
    }
}
