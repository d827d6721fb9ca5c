//! The moment that all units of a run are read at, handed from task to task.
//!
//! A snapshot lives as long as any transaction that holds it, and one that joined it can export
//! it again. So no task's death ends a run: each task publishes an export of its own, and one that
//! starts, or starts again, joins any that lives. Only when nobody lives is a new moment founded,
//! and everything is read again.

use std::time::Duration;

use chrono::Utc;
use sluice_contracts::manifest::Consistency;
use sluice_contracts::receipt::Snapshot;
use sluice_contracts::store::{Created, RunStore};
use sluice_contracts::{Error, Result};
use sluice_sources::{Join, Reader, Source};

/// Holders that are tried before a generation is given up, the newest first.
const HOLDERS_TRIED: usize = 16;
/// How often holders are looked for before a generation is given up: one may have joined a moment
/// ago and be about to say so.
const LOOKS: u32 = 4;
/// Generations of a run before it is given up.
const MOST_GENERATIONS: u32 = 8;

/// A reader at the run's moment, and which generation of it that is.
pub(crate) struct Moment {
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) generation: u32,
}

/// Who joins.
pub(crate) struct Joiner<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) store: &'a RunStore,
    pub(crate) consistency: Consistency,
    pub(crate) task: u32,
    pub(crate) attempt: u32,
    /// Name of this process in the run's documents.
    pub(crate) writer_id: &'a str,
}

impl Joiner<'_> {
    /// Joins the run's newest moment, or founds one.
    pub(crate) async fn join(&self) -> Result<Moment> {
        let mut looks = 0;
        loop {
            let Some(generation) = self.store.generation().await? else {
                match self.found(0).await? {
                    Some(moment) => return Ok(moment),
                    None => continue,
                }
            };
            if let Some(moment) = self.join_any(generation).await? {
                return Ok(moment);
            }
            looks += 1;
            if looks < LOOKS {
                tokio::time::sleep(Duration::from_millis(500) * looks).await;
                continue;
            }
            let next = generation + 1;
            if next >= MOST_GENERATIONS {
                return Err(Error::data(format!(
                    "read run `{}` at one moment: {MOST_GENERATIONS} snapshots ended before all \
                     units were read",
                    self.store.run()
                ))
                .hint(
                    "the source ends long transactions, or all tasks were killed at once; \
                     on a standby, set `hot_standby_feedback = on`",
                ));
            }
            tracing::warn!(
                generation = next,
                "nobody holds the snapshot any more; beginning again"
            );
            if let Some(moment) = self.found(next).await? {
                return Ok(moment);
            }
            looks = 0;
        }
    }

    /// The moment of a reader that met an error, fit for another unit, while it lives; or else the
    /// run's.
    ///
    /// A second connection is tried first: on the one there is, what is left of the unit would have
    /// to be passed over, and that may be most of a large table. But the server need not give a
    /// second one, and then the first still holds the moment.
    pub(crate) async fn rejoin(&self, mut broken: Moment) -> Result<Moment> {
        if self.consistency == Consistency::Snapshot
            && let Ok(token) = broken.reader.export().await
        {
            match self.join_token(&token, broken.generation).await {
                Ok(Some(moment)) => return Ok(moment),
                Ok(None) => {}
                Err(error) => {
                    let error = error.chain();
                    tracing::info!(error, "no second connection; going on with the first");
                    if broken.reader.recover().await.is_ok() {
                        return Ok(broken);
                    }
                }
            }
        }
        drop(broken);
        self.join().await
    }

    /// Founds a generation; `None` where another task was first.
    async fn found(&self, generation: u32) -> Result<Option<Moment>> {
        let join = match self.consistency {
            Consistency::Snapshot => Join::Found,
            Consistency::None => Join::Independent,
        };
        let Some(mut reader) = self.source.reader(&self.application(), join).await? else {
            return Err(Error::bug("found a snapshot"));
        };
        let snapshot = self.snapshot(generation, reader.export().await?);
        Ok(match self.store.create_founder(&snapshot).await? {
            Created::First => Some(Moment { reader, generation }),
            Created::Lost => None,
        })
    }

    /// Joins a generation by any of its holders, and becomes one.
    async fn join_any(&self, generation: u32) -> Result<Option<Moment>> {
        if self.consistency == Consistency::None {
            let reader = self.source.reader(&self.application(), Join::Independent).await?;
            return Ok(reader.map(|reader| Moment { reader, generation }));
        }
        let holders = self.store.holders(generation).await?;
        for holder in holders.iter().take(HOLDERS_TRIED) {
            if let Some(moment) = self.join_token(&holder.token, generation).await? {
                return Ok(Some(moment));
            }
        }
        Ok(None)
    }

    async fn join_token(&self, token: &str, generation: u32) -> Result<Option<Moment>> {
        let reader = self.source.reader(&self.application(), Join::Token(token)).await?;
        let Some(mut reader) = reader else { return Ok(None) };
        let snapshot = self.snapshot(generation, reader.export().await?);
        // A task that lost its connection joins, and says so, more than once.
        let again = uuid::Uuid::new_v4().simple();
        self.store.create_holder(&snapshot, &format!("{}-{again}", self.writer_id)).await?;
        Ok(Some(Moment { reader, generation }))
    }

    /// What the source's operator sees.
    fn application(&self) -> String {
        format!("sluice {} {}", self.store.run(), self.task)
    }

    fn snapshot(&self, generation: u32, token: String) -> Snapshot {
        Snapshot {
            version: Snapshot::VERSION,
            generation,
            token,
            task: self.task,
            attempt: self.attempt,
            at: Utc::now(),
        }
    }
}
