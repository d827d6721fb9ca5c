//! A snapshot that lives while a task holds it, handed from task to task.
//!
//! A transaction that joined a snapshot can export it again. So no task's death ends a run:
//!
//! 1. The first task to start founds a generation: it takes a snapshot, and publishes an export.
//! 2. Every other task joins by the export of any task that lives, and publishes an export of its
//!    own. So does a task that starts again.
//! 3. A task that holds the snapshot alone reads, but proves nothing: its death would end the
//!    snapshot and make its receipts worthless. It keeps them until every task that has units has
//!    joined, or, some seconds after it joined, any other task has ([`PendingReceipts`](crate::pending_receipts::PendingReceipts)).
//! 4. A task holds the snapshot until every unit has a receipt.
//! 5. If no task holds the snapshot any more and units are left, the next generation is founded. A
//!    task that has joined and is about to publish that is given some seconds first.
//!
//! So no single death loses anything that was proved: either another task holds the snapshot, or
//! the generation has no receipt that the next one could make worthless. Receipts become worthless,
//! and everything is read again, only when all tasks that had joined are dead.

use std::time::Duration;

use sluice_contracts::store::Created;
use sluice_contracts::{Error, Result};
use sluice_sources::Join;

use super::{Joined, JoinedSnapshot, Joiner};

/// Holders that are tried before a generation is given up, the newest first.
const HOLDERS_TRIED: usize = 16;
/// How often holders are looked for before a generation is given up: a task may have just joined
/// and be about to publish that.
const TRIES: u32 = 4;
/// How often a run may begin again because no task holds its snapshot any more.
pub const BEGINS_AGAIN: u32 = 5;

impl Joiner<'_> {
    /// Joins the run's newest generation, or founds one if none exists or the newest is known to be
    /// lost.
    pub(super) async fn join_held(&self) -> Result<Joined> {
        let mut tries = 0;
        loop {
            let Some(generation) = self.store.generation().await? else {
                match self.found(0).await? {
                    Some(snapshot) => return Ok(Joined::at(snapshot)),
                    None => continue,
                }
            };
            if let Some(snapshot) = self.join_any(generation).await? {
                return Ok(Joined::at(snapshot));
            }
            if self.lost != Some(generation) {
                tries += 1;
                if tries == TRIES {
                    return Ok(Joined::Lost(generation));
                }
                tokio::time::sleep(Duration::from_millis(500) * tries).await;
                continue;
            }
            let next = generation + 1;
            let most = BEGINS_AGAIN + self.costly.begun();
            if next > most {
                let error = Error::data(format!(
                    "read run `{}` at one moment: began again {most} times, and {next} snapshots \
                     ended before all units were read",
                    self.store.run()
                ));
                let error = match self.costly.why() {
                    Some(why) => error.because(format!("the last one ended with: {why}")),
                    None => error,
                };
                return Err(error.hint(
                    "the source ends long transactions, or all tasks were killed at once; \
                     on a standby, set `hot_standby_feedback = on`",
                ));
            }
            if self.store.receipted(self.manifest, generation).await?.is_empty() {
                tracing::info!(
                    generation = next,
                    "no task holds the snapshot any more, or needs it"
                );
            } else {
                tracing::warn!(
                    generation = next,
                    "no task holds the snapshot any more: the run begins again ({next} of at most \
                     {most})"
                );
            }
            if let Some(snapshot) = self.found(next).await? {
                return Ok(Joined::at(snapshot));
            }
        }
    }

    /// Makes a reader that met an error fit for another unit, while its snapshot lives; joins again
    /// otherwise.
    ///
    /// A second connection is tried first: on the first, the rest of the unit would have to be
    /// skipped, and that may be most of a large table. But the server may refuse a second one; then
    /// the first still holds the snapshot.
    pub(super) async fn rejoin_held(&self, broken: JoinedSnapshot) -> Result<Joined> {
        let JoinedSnapshot { mut reader, generation, receipts } = broken;
        if let Ok(token) = reader.export().await {
            match self.join_token(&token, generation).await {
                Ok(Some(snapshot)) => {
                    return Ok(Joined::at(JoinedSnapshot { receipts, ..snapshot }));
                }
                Ok(None) => {}
                Err(error) => {
                    let error = error.chain();
                    tracing::info!(error, "no second connection; going on with the first");
                    if reader.recover().await.is_ok() {
                        return Ok(Joined::at(JoinedSnapshot { reader, generation, receipts }));
                    }
                }
            }
        }
        drop(reader);
        Ok(match self.join_held().await? {
            Joined::At(snapshot) if snapshot.generation == generation => {
                Joined::at(JoinedSnapshot { receipts, ..*snapshot })
            }
            joined => joined,
        })
    }

    /// Founds a generation; `None` if another task was first.
    async fn found(&self, generation: u32) -> Result<Option<JoinedSnapshot>> {
        let mut reader = self.reader(Join::New).await?;
        let snapshot = self.document(generation, reader.export().await?);
        Ok(match self.store.create_founder(&snapshot).await? {
            Created::First => Some(self.joined(reader, generation)),
            Created::Lost => None,
        })
    }

    /// Joins a generation by any of its holders, and becomes one.
    async fn join_any(&self, generation: u32) -> Result<Option<JoinedSnapshot>> {
        let holders = self.store.holders(generation).await?;
        for holder in holders.iter().take(HOLDERS_TRIED) {
            if let Some(snapshot) = self.join_token(&holder.token, generation).await? {
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    async fn join_token(&self, token: &str, generation: u32) -> Result<Option<JoinedSnapshot>> {
        let reader = self.source.reader(&self.application(), Join::Token(token)).await?;
        let Some(mut reader) = reader else { return Ok(None) };
        let snapshot = self.document(generation, reader.export().await?);
        // A task that lost its connection joins, and publishes that, more than once.
        let again = uuid::Uuid::new_v4().simple();
        self.store.create_holder(&snapshot, &format!("{}-{again}", self.writer_id)).await?;
        Ok(Some(self.joined(reader, generation)))
    }
}

#[cfg(test)]
mod tests;
