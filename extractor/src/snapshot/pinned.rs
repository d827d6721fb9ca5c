//! A snapshot that no task has to hold: the plan pinned it, or each unit sees the source as it is
//! when it is read.
//!
//! Nothing is handed on, and no death of a task ends it, so the run has one generation.

use sluice_contracts::Result;
use sluice_sources::Join;

use super::{Joined, Joiner};

/// The only generation.
const GENERATION: u32 = 0;

impl Joiner<'_> {
    /// A reader at the snapshot. The first task records that the run's units are being read.
    pub(super) async fn join_pinned(&self, join: Join<'_>) -> Result<Joined> {
        let reader = self.reader(join).await?;
        if !self.store.is_founded(GENERATION).await? {
            let token = if let Join::Pinned(value) = join { value } else { "" };
            let snapshot = self.document(GENERATION, token.to_owned());
            self.store.create_founder(&snapshot).await?;
        }
        Ok(Joined::at(self.joined(reader, GENERATION)))
    }
}
