//! A run as its documents show it.

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::manifest::RunId;
use sluice_contracts::store::{Bucket, RunStore};

use super::remembering::remembering;
use super::{Look, Window};
use crate::answer::Answer;
use crate::render::status::render;
use crate::render::story::story;
use crate::status::StatusReport;

/// Looks into the bucket.
#[derive(Debug)]
pub(crate) struct DocumentsWindow {
    store: RunStore,
}

impl DocumentsWindow {
    /// Shows a run of a bucket.
    pub(crate) fn new(bucket: Bucket, run: RunId) -> Self {
        Self { store: RunStore::new(remembering(bucket), run) }
    }
}

#[async_trait]
impl Window for DocumentsWindow {
    async fn look(&mut self) -> Result<Look> {
        let report = StatusReport::read(&self.store).await?;
        let answer = Answer::new(&report, render(&report))?;
        Ok(Look { story: story(&report), end: report.end(), answer })
    }
}
