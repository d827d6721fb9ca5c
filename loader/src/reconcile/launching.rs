//! Executions: the state of the newest one, and when another one is started.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sluice_contracts::Result;
use sluice_contracts::documents::Order;
use sluice_contracts::ports::ExecutionState;
use sluice_runtime::launch::carry_out;

use super::decide::{Decided, LaunchState, Undecided};
use super::requeue::Requeue;
use super::{RunState, elapsed};
use crate::coverage::{MissingUnits, tasks_to_start};
use crate::failures::Failures;

/// How long a launch may be without an execution that claims it, before one is started again.
const UNCLAIMED: Duration = Duration::from_mins(2);
/// How long an execution may be without a task that has started, if it is not a delayed one.
const NOT_STARTED: Duration = Duration::from_mins(15);

impl Undecided<'_> {
    /// The state of the newest launch. One that was ordered and never started is started.
    pub(super) async fn watch(&self) -> Result<LaunchState> {
        let Some(launch) = self.store.newest_launch().await? else {
            // The planner orders the first one right after the plan, unless it died.
            let planned = self.manifest.planned;
            if elapsed(planned, self.now) < UNCLAIMED {
                return Ok(LaunchState::Open(Requeue::for_tasks(planned)));
            }
            let tasks = self.manifest.tasks.iter().map(|task| task.index).collect();
            let reason = "the run was planned, and never launched".to_owned();
            return self.carry_out(self.order(0, tasks, reason)).await;
        };
        let order = self.store.order(launch).await?;
        let since = order.as_ref().map_or(self.manifest.planned, |order| order.at);
        let Some(claim) = self.store.claim(launch).await? else {
            return match order {
                Some(order) if elapsed(since, self.now) >= UNCLAIMED => self.carry_out(order).await,
                _ => Ok(LaunchState::Open(Requeue::for_tasks(since))),
            };
        };
        let execution = claim.execution;
        match self.service.executions.state(&execution).await? {
            Some(state) if state.ended.is_some() => {
                Ok(LaunchState::Ended { launch, why: last_words(&execution, &state) })
            }
            Some(state) if state.started.is_none() && self.is_late(state.created) => {
                self.service.executions.cancel(&execution).await?;
                let minutes = self.longest_start().as_secs() / 60;
                let mut why = format!("execution `{execution}` did not start in {minutes} minutes");
                add_platforms_words(&mut why, &state);
                Ok(LaunchState::Ended { launch, why })
            }
            Some(state) => Ok(LaunchState::Open(Requeue::for_tasks(state.created))),
            None if elapsed(since, self.now) >= NOT_STARTED => {
                Ok(LaunchState::Ended { launch, why: format!("execution `{execution}` is gone") })
            }
            None => Ok(LaunchState::Open(Requeue::for_tasks(since))),
        }
    }

    fn is_late(&self, since: DateTime<Utc>) -> bool {
        elapsed(since, self.now) >= self.longest_start()
    }

    fn longest_start(&self) -> Duration {
        NOT_STARTED + self.manifest.task_kind.delay()
    }

    /// Another execution for the units that are missing, or the end of the run.
    pub(super) async fn launch_again(
        &self,
        launch: u32,
        why: &str,
        missing: &MissingUnits,
    ) -> Result<Decided> {
        let failures = Failures::read(self.store).await?;
        let next = launch + 1;
        let run = self.manifest.run;
        if next >= self.manifest.max_executions {
            let executions = if next == 1 { "execution" } else { "executions" };
            let what = format!("run `{run}`: given up after {next} {executions}: {why}");
            return Ok(self.fail(&self.incomplete(&what, missing, &failures, None)));
        }
        let tasks = tasks_to_start(self.store, self.manifest, &missing.units).await?;
        if tasks.is_empty() {
            let what = format!("run `{run}`: no task of its plan reads what is missing");
            let hint = "the manifest was changed; ask for the job again".to_owned();
            return Ok(self.fail(&self.incomplete(&what, missing, &failures, Some(hint))));
        }
        let (missing, all) = (missing.units.len(), self.manifest.unit_count());
        let order = self.order(next, tasks, format!("{why}; {missing} of {all} units are missing"));
        tracing::warn!(launch = next, reason = order.reason, "launching the tasks again");
        match self.carry_out(order).await? {
            LaunchState::Impossible(error) => Ok(self.fail(&error)),
            _ => Ok(Decided::Open(RunState::Extracting, Requeue::for_tasks(self.now))),
        }
    }

    fn order(&self, launch: u32, tasks: Vec<u32>, reason: String) -> Order {
        Order { version: Order::VERSION, launch, tasks, reason, at: self.now }
    }

    async fn carry_out(&self, order: Order) -> Result<LaunchState> {
        let (executions, kind) = (self.service.executions.as_ref(), &self.manifest.task_kind);
        // The planner knew this kind: the loader's settings are behind, and the run is not at fault.
        executions.check(kind)?;
        match carry_out(self.store, executions, kind, order).await {
            Ok(_) => Ok(LaunchState::Open(Requeue::for_tasks(self.now))),
            Err(error) if error.is_transient() => Err(error),
            Err(error) => Ok(LaunchState::Impossible(error)),
        }
    }
}

/// How an execution ended, in one sentence.
fn last_words(execution: &str, state: &ExecutionState) -> String {
    let mut why = format!("execution `{execution}` ended");
    let tasks = [(state.failed, "failed"), (state.cancelled, "were cancelled")];
    let counts: Vec<String> = tasks
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} of its tasks {what}"))
        .collect();
    if !counts.is_empty() {
        why.push_str(": ");
        why.push_str(&counts.join(", "));
    }
    add_platforms_words(&mut why, state);
    why
}

fn add_platforms_words(why: &mut String, state: &ExecutionState) {
    if let Some(message) = &state.message {
        why.push_str(": ");
        why.push_str(message.trim_end_matches('.'));
    }
    if let Some(log) = &state.log_url {
        why.push_str(" (its log: ");
        why.push_str(log);
        why.push(')');
    }
}
