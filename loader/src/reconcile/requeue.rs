//! When a run is checked again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sluice_contracts::documents::{RunId, TaskKind};
use sluice_contracts::ports::Check;

use super::{Loader, elapsed};

/// Seconds between two checks; they grow with the time that a run has taken.
const PACES: [i64; 6] = [5, 10, 20, 60, 120, 300];
/// Shortest pace for tasks, which ask for a check when they are done.
const TASKS: i64 = 20;
/// Pace after a failure, which the queue repeats by itself too.
const FAILURES: i64 = 300;

/// The pace at which a run is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requeue {
    what: &'static str,
    since: DateTime<Utc>,
    shortest: i64,
}

impl Requeue {
    /// Checks the tasks of an execution.
    pub(super) fn for_tasks(since: DateTime<Utc>) -> Self {
        Self { what: "sweep", since, shortest: TASKS }
    }

    /// Checks targets that load, which ask for nothing.
    pub(super) fn for_targets(since: DateTime<Utc>) -> Self {
        Self { what: "load", since, shortest: PACES[0] }
    }

    /// The next check after `now`.
    ///
    /// Checks lie on a grid in time, and get their names from it. So all callers that ask for the
    /// next check ask for the same one, and a signal that comes five times leads to one check and
    /// not to five chains of checks.
    pub(super) fn at(self, run: RunId, now: DateTime<Utc>) -> Check {
        let age = i64::try_from(elapsed(self.since, now).as_secs()).unwrap_or(i64::MAX);
        let usual = PACES.into_iter().rfind(|pace| pace.saturating_mul(4) <= age).unwrap_or(0);
        let pace = usual.max(self.shortest);
        // Never the check that is being answered, even if its clock is a little ahead of ours.
        let slot = (now.timestamp() + pace / 2).div_euclid(pace) + 1;
        let due = DateTime::from_timestamp(slot * pace, 0).unwrap_or(now);
        let after = (due - now).to_std().unwrap_or(Duration::ZERO);
        Check { run, name: format!("{}-{pace}-{slot}", self.what), after }
    }
}

impl Loader {
    /// Asks for another check of a run that could not be checked. The queue repeats the checks that
    /// it was asked for, but not forever, and does not repeat Pub/Sub's messages.
    pub(super) async fn check_after_failure(&self, run: RunId, now: DateTime<Utc>) {
        let since = run.since().unwrap_or(now);
        // By then its end was decided long ago, or a person has to fix what prevents the check. Its plan
        // may be what cannot be read, so it counts as one whose executions are delayed.
        let longest = self.deadline.saturating_mul(2) + 3 * TaskKind::LONGEST_DELAY;
        if elapsed(since, now) >= longest {
            tracing::error!("gave up checking a run");
            return;
        }
        let requeue = Requeue { what: "again", since, shortest: FAILURES };
        if let Err(error) = self.checks.ask(&requeue.at(run, now)).await {
            tracing::warn!(error = error.chain(), "could not ask for another check");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> DateTime<Utc> {
        #[expect(clippy::cast_possible_truncation, reason = "a test's own numbers")]
        DateTime::from_timestamp_millis((seconds * 1000.0) as i64).unwrap()
    }

    #[test]
    fn checks_grow_apart_and_who_asks_at_once_asks_for_the_same() {
        let run = RunId::generate();
        let check = |since: f64, now: f64| Requeue::for_tasks(at(since)).at(run, at(now));
        assert_eq!(check(0.0, 1.0).name, "sweep-20-1");
        assert_eq!(check(0.0, 1.0).after, Duration::from_secs(19));
        assert_eq!(check(0.0, 9.9).name, "sweep-20-1");
        assert_eq!(check(0.0, 299.0).name, "sweep-60-6");
        assert_eq!(check(0.0, 9000.0).name, "sweep-300-31");
        // Asked by the check that is due, and by a clock that is a little behind it.
        assert_eq!(check(0.0, 60.0).name, "sweep-20-4");
        assert_eq!(check(0.0, 59.0).name, "sweep-20-4");
        assert_eq!(Requeue::for_targets(at(0.0)).at(run, at(0.5)).name, "load-5-1");
    }
}
