//! The documents of a run's end.

use super::{Created, RunStore};
use crate::documents::{Committed, Extracted, LoadOrder, RunEvent, Verdict};
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

    /// Orders that the run is loaded again.
    pub async fn create_load_order(&self, order: &LoadOrder) -> Result<Created> {
        self.create(&self.layout.load_order(order.load), order).await
    }

    /// The newest order to load the run again; `None` if it was loaded once at most. They are
    /// numbered from 1, without gaps.
    pub async fn newest_load(&self) -> Result<Option<LoadOrder>> {
        let mut newest = None;
        for load in 1.. {
            let order = self.read(&self.layout.load_order(load), LoadOrder::VERSION).await?;
            if order.is_none() {
                break;
            }
            newest = order;
        }
        Ok(newest)
    }

    /// Records the outcome of each table after a load. Nothing changes after it, unless the run is
    /// loaded again.
    pub async fn create_committed(&self, load: u32, committed: &Committed) -> Result<Created> {
        self.create(&self.layout.committed(load), committed).await
    }

    /// The outcome of each table after a load, if it is recorded.
    pub async fn committed_of(&self, load: u32) -> Result<Option<Committed>> {
        self.read(&self.layout.committed(load), Committed::VERSION).await
    }

    /// The outcome of each table after the newest load, if it is recorded.
    pub async fn committed(&self) -> Result<Option<Committed>> {
        self.committed_of(self.load_number().await?).await
    }

    /// Records that the run's end was announced, after a load of it.
    pub async fn create_announced(&self, load: u32, event: &RunEvent) -> Result<Created> {
        self.create(&self.layout.announced(load), event).await
    }

    /// The announcement of the run's end after a load, if it was made.
    pub async fn announced_of(&self, load: u32) -> Result<Option<RunEvent>> {
        self.read(&self.layout.announced(load), RunEvent::VERSION).await
    }

    /// The announcement of the run's end after the newest load, if it was made.
    pub async fn announced(&self) -> Result<Option<RunEvent>> {
        self.announced_of(self.load_number().await?).await
    }

    async fn load_number(&self) -> Result<u32> {
        Ok(self.newest_load().await?.map_or(0, |order| order.load))
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
