//! Files that become visible once, whatever number of runs were planned for them.
//!
//! The loads of new files into a target are numbered, and the next begins when the one before has ended
//! ([`FileLoad`]). So a load sees the files of all before it. If one of a run's files is visible already, the run
//! ends as overtaken. A load that its own loader left unfinished is carried to its end by the next.

use std::collections::HashSet;
use std::task::Poll;

use chrono::Utc;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sluice_contracts::documents::{FileLoad, NewFiles, ObjectVersion, RunId, Table};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::store::{Created, FileLoadState, RunStore};
use sluice_contracts::{Error, Kind, Result};

use sluice_targets::{Shown, Targets};

use super::{Run, Tries, commit};
use crate::outcome::Outcome;
use crate::view::RunView;

/// Attempts to begin a load while others begin theirs.
const ROUNDS: u32 = 5;

/// Whether the files of a run may become visible.
pub(super) enum Turn {
    /// No other run makes one of them visible.
    Ours,
    /// The run that has made some of them visible.
    Overtaken(RunId),
}

/// A load of new files, and how far it is.
struct BegunLoad {
    number: u32,
    state: FileLoadState,
    load: FileLoad,
}

impl Run<'_> {
    /// Begins the load of a table's new files, once no other is under way. A run without a new file only ends the
    /// load that another has left.
    pub(super) async fn begin_files(&self, table: &Table, new: &NewFiles) -> Result<Poll<Turn>> {
        let bucket = self.store.bucket();
        for _ in 0..ROUNDS {
            let loads = self.loads_since_the_plan(table, new).await?;
            let own = loads.iter().rev().find(|begun| begun.load.run == self.manifest.run);
            if own.is_some_and(|own| own.state != FileLoadState::Failed) {
                return Ok(Poll::Ready(Turn::Ours));
            }
            if let Some(BegunLoad { number, state: FileLoadState::Begun, load: other }) =
                loads.last()
            {
                if self.end_other(table, *number, other).await?.is_pending() {
                    return Ok(Poll::Pending);
                }
                continue;
            }
            let visible = |begun: &&BegunLoad| {
                begun.state == FileLoadState::Loaded
                    && has_some_of(&begun.load, new, table.write.disposition)
            };
            if let Some(begun) = loads.iter().find(visible) {
                return Ok(Poll::Ready(Turn::Overtaken(begun.load.run)));
            }
            if new.files.is_empty() {
                return Ok(Poll::Ready(Turn::Ours));
            }
            let number = loads.last().map_or(new.unknown_from, |last| last.number + 1);
            let load = FileLoad {
                version: FileLoad::VERSION,
                target: table.target.clone(),
                run: self.manifest.run,
                begun: self.tries.begun,
                root: new.root.clone(),
                files: new.files.clone(),
            };
            if bucket.begin_file_load(number, &load).await? == Created::First {
                return Ok(Poll::Ready(Turn::Ours));
            }
        }
        Ok(Poll::Pending)
    }

    /// The loads into a table that the plan of the run does not know, in their order.
    async fn loads_since_the_plan(&self, table: &Table, new: &NewFiles) -> Result<Vec<BegunLoad>> {
        let bucket = self.store.bucket();
        let states = bucket.file_loads(&table.target).await?;
        let states = states.range(new.unknown_from..);
        let numbers: Vec<u32> = states.clone().map(|(number, _)| *number).collect();
        let loads = bucket.read_file_loads(&table.target, &numbers).await?;
        let begun = |((&number, &state), load)| BegunLoad { number, state, load };
        Ok(states.zip(loads).map(begun).collect())
    }

    /// Carries the load of another run to its end.
    async fn end_other(&self, table: &Table, number: u32, other: &FileLoad) -> Result<Poll<()>> {
        let (run, bucket) = (self.manifest.run, self.store.bucket());
        tracing::info!(run = %run, other = %other.run, table = table.target, "ends the load of another run");
        let view = RunView::new(RunStore::new(bucket.clone(), other.run));
        let tries = Tries { begun: other.begun, give_up: self.tries.give_up };
        let cause = match boxed(&view, self.targets, tries).await {
            Ok(Poll::Ready(outcome)) => {
                let states = bucket.file_loads(&table.target).await?;
                if states.get(&number) != Some(&FileLoadState::Begun) {
                    return Ok(Poll::Ready(()));
                }
                outcome.tables.into_iter().find_map(|table| table.result.err())
            }
            Ok(Poll::Pending) => None,
            Err(error) => Some(error),
        };
        if cause.as_ref().is_none_or(Error::is_transient) && Utc::now() < self.tries.give_up {
            return Ok(Poll::Pending);
        }
        let (target, other) = (&table.target, other.run);
        let what = format!(
            "load run `{run}` into `{target}`: run `{other}` loads files into it and has not ended"
        );
        let folder = bucket.file_load_url(target, number);
        let error = Error::new(Kind::Conflict, what).hint(format!(
            "`sluice load {other}` ends it, and `sluice load {run}` loads this one then; if the documents of \
             `{other}` are gone, look whether its rows are in the table, and make a file `loaded.json` or \
             `failed.json` in `{folder}`"
        ));
        Err(match cause {
            Some(cause) => error.because(cause),
            None => error,
        })
    }

    /// Ends the load of a table's new files that failed, as far as the target knows what it shows. A load whose
    /// rows may be visible does not end here: their files would be loaded again.
    pub(super) async fn end_failed_files(&self, table: &Table) {
        if table.write.new_files.is_none() {
            return;
        }
        let ended = async {
            let shown = match self.load(table) {
                Ok(load) => self.targets.find(&table.target)?.shown(&load).await?,
                // The target was not asked to load anything.
                Err(_) => Shown::No,
            };
            match shown {
                Shown::No => self.end_files(table, false).await,
                Shown::Yes => self.end_files(table, true).await,
                Shown::Coming => Ok(()),
            }
        };
        if let Err(error) = ended.await {
            let run = self.manifest.run;
            tracing::warn!(run = %run, "a load of files is not ended: {}", error.chain());
        }
    }

    /// Ends the load of a table's new files, if it has some.
    pub(super) async fn end_files(&self, table: &Table, is_loaded: bool) -> Result<()> {
        let Some(new) = &table.write.new_files else { return Ok(()) };
        let (bucket, run) = (self.store.bucket(), self.manifest.run);
        let loads = self.loads_since_the_plan(table, new).await?;
        match loads.iter().rev().find(|begun| begun.load.run == run) {
            Some(own) => bucket.end_file_load(&table.target, own.number, run, is_loaded).await,
            // It was overtaken, or has no file.
            None => Ok(()),
        }
    }
}

/// The commit of another run, which this one contains.
fn boxed<'a>(
    view: &'a RunView,
    targets: &'a Targets,
    tries: Tries,
) -> BoxFuture<'a, Result<Poll<Outcome>>> {
    commit(view, targets, tries).boxed()
}

/// Whether a load has one of these files. Where rows are added, any version of it counts: the rows of both would
/// be in the table.
fn has_some_of(load: &FileLoad, new: &NewFiles, disposition: WriteDisposition) -> bool {
    let any_version = disposition != WriteDisposition::Merge;
    let name = |file: &ObjectVersion| {
        let version = (!any_version).then(|| (file.generation.clone(), file.size));
        (file.path.clone(), version)
    };
    let has: HashSet<_> = load.files.iter().map(name).collect();
    load.root == new.root && new.files.iter().any(|file| has.contains(&name(file)))
}
