//! A run as its documents show it.

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::documents::RunId;
use sluice_contracts::store::{Bucket, RunStore};

use super::caching_store::caching;
use super::{Observation, Window};
use crate::answer::Answer;
use crate::render::status::render;
use crate::render::timeline::timeline;
use crate::status::StatusReport;

/// Looks into the bucket.
#[derive(Debug)]
pub(crate) struct DocumentsWindow {
    store: RunStore,
}

impl DocumentsWindow {
    /// Shows a run of a bucket.
    pub(crate) fn new(bucket: Bucket, run: RunId) -> Self {
        Self { store: RunStore::new(caching(bucket), run) }
    }
}

#[async_trait]
impl Window for DocumentsWindow {
    async fn observe(&mut self) -> Result<Observation> {
        let report = StatusReport::read(&self.store).await?;
        let answer = Answer::new(&report, render(&report))?;
        Ok(Observation { timeline: timeline(&report), end: report.end(), answer })
    }
}
