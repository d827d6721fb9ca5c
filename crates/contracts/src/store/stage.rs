//! The stage of a run, derived from its documents.

use serde::Serialize;

use super::RunStore;
use crate::documents::{Committed, Decision, Verdict};
use crate::error::Result;

/// The stage of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is requested, and has no plan yet.
    Planning,
    /// It has a plan, and no execution yet.
    Launching,
    /// Tasks read its units.
    Extracting,
    /// No unit is left to read, and its tables become visible.
    Loading,
    /// Every table is visible.
    Finished,
    /// At least one table is not visible, and will not be.
    Failed,
}

impl Stage {
    /// The name in documents and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Planning => "planning",
            Self::Launching => "launching",
            Self::Extracting => "extracting",
            Self::Loading => "loading",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

impl RunStore {
    /// The stage of the run. The caller has read how it ended, if it has, and whether it has a
    /// plan; the other documents are looked up by name.
    pub async fn stage(
        &self,
        committed: Option<&Committed>,
        verdict: Option<&Verdict>,
        is_planned: bool,
    ) -> Result<Stage> {
        if let Some(committed) = committed {
            return Ok(if committed.is_whole() { Stage::Finished } else { Stage::Failed });
        }
        match verdict.map(|verdict| verdict.decision) {
            Some(Decision::Commit) => return Ok(Stage::Loading),
            Some(Decision::Fail) => return Ok(Stage::Failed),
            None if !is_planned => return Ok(Stage::Planning),
            None => {}
        }
        Ok(match self.generation().await? {
            Some(generation) if self.is_extracted(generation).await? => Stage::Loading,
            // A task that began a generation was launched, by a program or by hand.
            Some(_) => Stage::Extracting,
            None if self.claim(0).await?.is_some() => Stage::Extracting,
            None => Stage::Launching,
        })
    }
}
