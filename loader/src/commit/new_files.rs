//! Files that become visible once, whatever number of runs were planned for them.
//!
//! The loads of new files into a target are numbered, and the next begins when the one before has ended
//! ([`FileLoad`]). So a load sees the files of all before it, and a run of which one is visible already ends as
//! overtaken. A load that its own loader left unfinished is carried to its end by the next.

use std::collections::HashSet;
use std::task::Poll;

use chrono::Utc;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use sluice_contracts::documents::{FileLoad, NewFiles, RunId, Table};
use sluice_contracts::store::{Created, FileLoadState, RunStore};
use sluice_contracts::{Error, Kind, Result};

use sluice_targets::Targets;

use super::{Run, Tries, commit};
use crate::outcome::Outcome;
use crate::view::RunView;

/// Attempts to begin a load while others begin theirs.
const ROUNDS: u32 = 5;

/// Whether the files of a run may become visible.
pub(super) enum Turn {
    /// No other run makes one of them visible.
    Ours,
    /// This run has made some of them visible.
    Overtaken(RunId),
}

impl Run<'_> {
    /// Begins the load of a table's new files, once no other is under way. A run without a new file only ends the
    /// load that another has left.
    pub(super) async fn begin_files(&self, table: &Table, new: &NewFiles) -> Result<Poll<Turn>> {
        let bucket = self.store.bucket();
        for _ in 0..ROUNDS {
            let states = bucket.file_loads(&table.target).await?;
            let numbers: Vec<u32> = states.range(new.unknown_from..).map(|(at, _)| *at).collect();
            let loads = bucket.read_file_loads(&table.target, &numbers).await?;
            let loads: Vec<(FileLoadState, FileLoad)> = numbers
                .iter()
                .filter_map(|number| states.get(number).copied())
                .zip(loads)
                .collect();
            let own = loads.iter().rev().find(|(_, load)| load.run == self.manifest.run);
            if own.is_some_and(|(state, _)| *state != FileLoadState::Failed) {
                return Ok(Poll::Ready(Turn::Ours));
            }
            if let Some((FileLoadState::Begun, other)) = loads.last() {
                if self.end_other(table, other).await?.is_pending() {
                    return Ok(Poll::Pending);
                }
                continue;
            }
            let visible = |(state, load): &&(FileLoadState, FileLoad)| {
                *state == FileLoadState::Loaded && has_some_of(load, new)
            };
            if let Some((_, load)) = loads.iter().find(visible) {
                return Ok(Poll::Ready(Turn::Overtaken(load.run)));
            }
            if new.files.is_empty() {
                return Ok(Poll::Ready(Turn::Ours));
            }
            let number = states.last_key_value().map_or(0, |(last, _)| last + 1);
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

    /// Carries the load of another run to its end.
    async fn end_other(&self, table: &Table, other: &FileLoad) -> Result<Poll<()>> {
        let run = self.manifest.run;
        tracing::info!(run = %run, other = %other.run, table = table.target, "ends the load of another run");
        let view = RunView::new(RunStore::new(self.store.bucket().clone(), other.run));
        let tries = Tries { begun: other.begun, give_up: self.tries.give_up };
        let ended = boxed(&view, self.targets, tries).await;
        let waits = match ended {
            Ok(Poll::Ready(_)) => return Ok(Poll::Ready(())),
            Ok(Poll::Pending) => None,
            Err(error) if error.is_transient() => Some(error),
            Err(error) => return Err(self.not_ended(table, other, Some(error))),
        };
        if Utc::now() < self.tries.give_up {
            return Ok(Poll::Pending);
        }
        Err(self.not_ended(table, other, waits))
    }

    fn not_ended(&self, table: &Table, other: &FileLoad, cause: Option<Error>) -> Error {
        let (run, target, other) = (self.manifest.run, &table.target, other.run);
        let error = Error::new(
            Kind::Conflict,
            format!("load run `{run}` into `{target}`: run `{other}` loads files into it and has not ended"),
        )
        .hint(format!("`sluice load {other}` ends it; then load this run again"));
        match cause {
            Some(cause) => error.because(cause),
            None => error,
        }
    }

    /// Ends the load of a table's new files, if it has some.
    pub(super) async fn end_files(&self, table: &Table, is_loaded: bool) -> Result<()> {
        let Some(new) = &table.write.new_files else { return Ok(()) };
        let (bucket, run) = (self.store.bucket(), self.manifest.run);
        let states = bucket.file_loads(&table.target).await?;
        let numbers: Vec<u32> = states.range(new.unknown_from..).map(|(at, _)| *at).collect();
        let loads = bucket.read_file_loads(&table.target, &numbers).await?;
        let own = numbers.iter().zip(loads).rev().find(|(_, load)| load.run == run);
        match own {
            Some((number, _)) => bucket.end_file_load(&table.target, *number, run, is_loaded).await,
            None if is_loaded && !new.files.is_empty() => Err(Error::bug(format!(
                "load run `{run}` into `{}`: the load of its files was not begun",
                table.target
            ))),
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

/// Whether a load has one of these files, in this version.
fn has_some_of(load: &FileLoad, new: &NewFiles) -> bool {
    let version = |file: &sluice_contracts::documents::ObjectVersion| {
        (file.path.clone(), file.generation.clone(), file.size)
    };
    let has: HashSet<_> = load.files.iter().map(version).collect();
    load.root == new.root && new.files.iter().any(|file| has.contains(&version(file)))
}
