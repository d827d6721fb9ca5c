//! Which launch of the run this execution carries out, and which units are this task's share of it.
//!
//! Starting an execution is not idempotent: a program that dies between starting one and recording
//! that leads to a second. A claim decides between them: it names one execution, and the first
//! claim to be created counts. The tasks of the other execution end quietly.
//!
//! An execution that a person started has no launch in its environment. It takes the first launch
//! without a claim. If that launch has no order, the execution orders all tasks, so that each of
//! its tasks finds the same order.

use std::collections::HashMap;
use std::time::Duration;

use chrono::Utc;
use sluice_contracts::Result;
use sluice_contracts::documents::{Claim, Manifest, Order, Unit, UnitRef};
use sluice_contracts::store::{Created, RunStore};
use uuid::Uuid;

use crate::TaskConfig;

/// Starts are spread over this long for each task of the execution: a bucket that was idle serves
/// some thousand requests a second, and fewer for the same few documents.
const SPREAD: Duration = Duration::from_millis(5);
/// The longest spread.
const MOST_SPREAD: Duration = Duration::from_secs(10);
/// An execution of at most this many tasks starts them at once.
const FEW: u32 = 16;

/// What one task of an execution has to do.
#[derive(Debug, PartialEq)]
pub(crate) struct Share {
    /// Index of the launch among the run's launches.
    pub(crate) launch: u32,
    /// Tasks of the execution that have units to read, each with the unit that it reads last.
    pub(crate) peers: Vec<(u32, UnitRef)>,
    /// This task's units, in the order they are read.
    pub(crate) units: Vec<Unit>,
    /// Where each of them is.
    at: HashMap<UnitRef, usize>,
}

impl Share {
    /// This task's share; `None` if another execution carries the launch out.
    pub(crate) async fn take(
        store: &RunStore,
        manifest: &Manifest,
        config: &TaskConfig,
    ) -> Result<Option<Self>> {
        let launches = Launches { store, manifest, execution: &config.cloud_run_execution };
        let launch = match config.sluice_launch {
            Some(launch) if launches.claim(launch).await? => launch,
            Some(_) => return Ok(None),
            None => launches.first_free().await?,
        };
        let tasks = match store.order(launch).await? {
            Some(order) => order.tasks,
            None => all_tasks(manifest),
        };
        let (task, count) = (config.cloud_run_task_index, config.cloud_run_task_count);
        Self::of(store, manifest, launch, &tasks, task, count).await.map(Some)
    }

    /// The share of task `task` of `count`: every `count`th of the ordered tasks, so that any
    /// number of tasks covers all of them.
    pub(crate) async fn of(
        store: &RunStore,
        manifest: &Manifest,
        launch: u32,
        ordered: &[u32],
        task: u32,
        count: u32,
    ) -> Result<Self> {
        let count = count.max(1);
        let tasks_of = |task: u32| {
            let own = stride(ordered, task, count);
            own.filter_map(|index| manifest.tasks.get(index as usize))
        };
        let ordered_tasks = u32::try_from(ordered.len()).unwrap_or(u32::MAX);
        let peers = (0..count.min(ordered_tasks))
            .filter_map(|peer| Some((peer, tasks_of(peer).filter_map(|task| task.last).last()?)))
            .collect();
        let mut units = Vec::new();
        for task in tasks_of(task) {
            units.extend(store.units(manifest, task).await?);
        }
        let at = units.iter().map(Unit::place).zip(0..).collect();
        Ok(Self { launch, peers, units, at })
    }

    /// One of this task's units.
    pub(crate) fn unit(&self, place: UnitRef) -> Option<&Unit> {
        self.units.get(*self.at.get(&place)?)
    }

    /// A pause of `alone`, and `each` for every task of the execution: a hundred tasks must not ask
    /// for the same document a hundred times as often.
    pub(crate) fn pause(&self, alone: Duration, each: Duration) -> Duration {
        alone + each * u32::try_from(self.peers.len()).unwrap_or(u32::MAX)
    }
}

/// The ordered tasks that task `task` of `count` carries out.
fn stride(ordered: &[u32], task: u32, count: u32) -> impl Iterator<Item = u32> {
    ordered.iter().copied().skip(task as usize).step_by(count as usize)
}

fn all_tasks(manifest: &Manifest) -> Vec<u32> {
    manifest.tasks.iter().map(|task| task.index).collect()
}

/// A run's launches, as one execution finds them.
struct Launches<'a> {
    store: &'a RunStore,
    manifest: &'a Manifest,
    execution: &'a str,
}

impl Launches<'_> {
    /// Whether this execution carries a launch out.
    async fn claim(&self, launch: u32) -> Result<bool> {
        loop {
            // All tasks of an execution come here. Because they read first, only a few of them
            // write.
            if let Some(claim) = self.store.claim(launch).await? {
                return Ok(claim.execution == self.execution);
            }
            let claim = Claim {
                version: Claim::VERSION,
                launch,
                execution: self.execution.to_owned(),
                at: Utc::now(),
            };
            if self.store.create_claim(&claim).await? == Created::First {
                return Ok(true);
            }
        }
    }

    /// The first launch that this execution has claimed or can claim.
    async fn first_free(&self) -> Result<u32> {
        let mut launch = 0;
        loop {
            if self.store.claim(launch).await?.is_none() {
                self.order_all(launch).await?;
            }
            if self.claim(launch).await? {
                return Ok(launch);
            }
            launch += 1;
        }
    }

    /// Orders all tasks if the launch has no order.
    async fn order_all(&self, launch: u32) -> Result<()> {
        if self.store.order(launch).await?.is_some() {
            return Ok(());
        }
        let order = Order {
            version: Order::VERSION,
            launch,
            tasks: all_tasks(self.manifest),
            reason: "an execution was started that no program ordered".to_owned(),
            at: Utc::now(),
        };
        self.store.create_order(&order).await.map(drop)
    }
}

/// How long a task of many waits before its first request.
pub(crate) fn head_start(task_count: u32) -> Duration {
    if task_count <= FEW {
        return Duration::ZERO;
    }
    let spread = (SPREAD * task_count).min(MOST_SPREAD);
    spread.mul_f64(chance())
}

/// A number from 0 to below 1 that differs from task to task.
pub(crate) fn chance() -> f64 {
    let (_, low) = Uuid::new_v4().as_u64_pair();
    // The two highest bits of this half are the same in every such id.
    let bits = u32::try_from(low & u64::from(u32::MAX)).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
pub(crate) mod tests;
