//! How long a task goes on trying, and the signals that it is sent meanwhile.

use std::time::Duration;

use backon::BackoffBuilder as _;
use rustix::process::Signal;
use sluice_contracts::{Error, Kind};
use sluice_sources::NoConnectionLeft;
use tokio::signal::unix::SignalKind;
use tokio::time::Instant;

/// How long an attempt of a task goes on trying without reading anything: a new path into a private
/// network can take two minutes to open.
pub(crate) const RETRY_FOR: Duration = Duration::from_secs(150);
/// How long a run goes on trying, in the first attempt of a task and in a second on another
/// machine, without reading anything.
pub const GIVES_UP_AFTER: Duration = Duration::from_secs(2 * RETRY_FOR.as_secs());
/// The same if the source gives no connection: the plan counted on one, and the client that has
/// taken it may need it for hours, while the run's other tasks wait for this one's units.
const CONNECTION_FOR: Duration = Duration::from_mins(1);
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How often a table is tried, without a unit that finishes, before it is given up: the source
/// refuses it for a reason that may pass, or the connection is lost. The source waits for a lock
/// itself, half a minute unless less is set.
pub(crate) const TABLE_TRIES: u32 = 5;
/// The same if each try costs the connection, and no other task reads: everything is read again
/// each time.
const COSTLY_TRIES: u32 = 3;
/// The same if other tasks read, but no other suspicious table was read at the last two tries. Once
/// may be chance: the network, or the server, may fail for all.
const SUSPICIOUS_TRIES: u32 = 4;
/// Pause between two questions whether a table may be read alone.
pub(crate) const TURN: Duration = Duration::from_secs(1);

/// How often a table is tried that fails. `works` says whether the connection survived, `alone`
/// whether the task has no peers, and `suspected` whether no other suspicious table was read.
pub(crate) fn most_tries(works: bool, alone: bool, suspected: bool) -> u32 {
    match () {
        () if works => TABLE_TRIES,
        () if alone => COSTLY_TRIES,
        () if suspected => SUSPICIOUS_TRIES,
        () => TABLE_TRIES,
    }
}

/// What is left of an attempt's budget.
pub(crate) struct RetryBudget {
    delays: Box<dyn Iterator<Item = Duration> + Send>,
    since: Instant,
    tries: u32,
}

/// The pause before a task begins again.
pub(crate) struct Pause {
    pub(crate) delay: Duration,
    /// How often it begins again, and how long it may.
    pub(crate) told: String,
}

impl RetryBudget {
    pub(crate) fn new() -> Self {
        Self { delays: Box::new(delays()), since: Instant::now(), tries: 0 }
    }

    /// The source answers: a path into its network is open.
    pub(crate) fn restart_clock(&mut self) {
        self.since = Instant::now();
    }

    /// The pause before tables are tried again that the source refuses.
    pub(crate) fn pause_for_tables(&mut self) -> Duration {
        self.restart_clock();
        self.delays.next().unwrap_or(LONGEST_PAUSE)
    }

    /// The pause before the next try after an error; `None` if it must not try again.
    pub(crate) fn pause(&mut self, error: &Error) -> Option<Pause> {
        let longest = if NoConnectionLeft::caused(error) { CONNECTION_FOR } else { RETRY_FOR };
        let left = longest.saturating_sub(self.since.elapsed());
        if !error.is_transient() || left.is_zero() {
            return None;
        }
        let delay = self.delays.next()?;
        self.tries += 1;
        let told = format!(
            "begins again ({}), and gives up after {} s without a row",
            self.tries,
            longest.as_secs()
        );
        Some(Pause { delay, told })
    }
}

/// The error of a task that tries no more. It is permanent if another attempt of the task would
/// not fare better: the source gave no connection, or this attempt is not the first.
pub(crate) fn exhausted(error: Error, attempt: u32) -> Error {
    if !error.is_transient() {
        return error;
    }
    let what = match attempt {
        _ if NoConnectionLeft::caused(&error) => {
            format!("wait {} s for a connection", CONNECTION_FOR.as_secs())
        }
        0 => return error,
        _ => format!("give up in attempt {}", attempt + 1),
    };
    let hint = error.remedy().map(str::to_owned);
    let denied = Error::new(Kind::Denied, what).because(error.chain());
    hint.into_iter().fold(denied, Error::hint)
}

/// Makes the error permanent: a person has to act, and no other table waits for that.
pub(crate) fn still_refused(error: &Error, tries: u32) -> Error {
    let hint = error.remedy().unwrap_or("run the job again when its cause is gone").to_owned();
    Error::new(Kind::Denied, format!("read a table, tried {tries} times"))
        .because(error.chain())
        .hint(hint)
}

/// Growing, jittered pauses, without an end.
fn delays() -> impl Iterator<Item = Duration> {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

/// A signal that may come again and again.
pub(crate) struct Heard(Option<tokio::signal::unix::Signal>);

impl Heard {
    /// The platform asks the task to end: SIGTERM, ten seconds before SIGKILL.
    pub(crate) fn told_to_stop() -> Self {
        Self::listen(SignalKind::terminate())
    }

    /// The task goes on after a pause: SIGCONT. Cloud Run stops a task, with SIGTSTP, to move it to
    /// another machine. Its connections do not move with it, and nothing reports that: a read that
    /// waits for the source would wait forever.
    ///
    /// <https://cloud.google.com/run/docs/configuring/vpc-direct-vpc>
    pub(crate) fn woken() -> Self {
        Self::listen(SignalKind::from_raw(Signal::CONT.as_raw()))
    }

    fn listen(kind: SignalKind) -> Self {
        match tokio::signal::unix::signal(kind) {
            Ok(signal) => Self(Some(signal)),
            Err(error) => {
                tracing::warn!(%error, "cannot listen for a signal");
                Self(None)
            }
        }
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        let heard = match &mut self.0 {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if heard.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Error {
        let said = NoConnectionLeft("too many connections for role".to_owned());
        Error::transient("connect to `db`").because(said).hint("start the job again")
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_not_given_is_not_waited_for_as_long_as_a_network() {
        let mut budget = RetryBudget::new();
        tokio::time::sleep(CONNECTION_FOR.checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert!(budget.pause(&refused()).is_some());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(budget.pause(&refused().during("run a task")).is_none());
        assert!(budget.pause(&Error::transient("connect to `db`")).is_some());
        assert!(budget.pause(&Error::data("read a value")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_ends_some_time_after_the_last_row_however_often_it_tries() {
        let lost = || Error::transient("connect to `db`");
        let (mut budget, started) = (RetryBudget::new(), Instant::now());
        while let Some(pause) = budget.pause(&lost()) {
            tokio::time::sleep(pause.delay).await;
        }
        let longest = RETRY_FOR + Duration::from_mins(1);
        assert!((RETRY_FOR..longest).contains(&started.elapsed()), "{:?}", started.elapsed());
    }

    #[test]
    fn only_another_machine_may_do_better_and_only_once() {
        let lost = || Error::transient("connect to `db`").hint("open the network");
        assert!(exhausted(lost(), 0).is_transient());
        let error = exhausted(lost(), 1);
        assert_eq!((error.kind(), error.remedy()), (Kind::Denied, Some("open the network")));
        assert_eq!(error.chain(), "give up in attempt 2: connect to `db`");
        assert_eq!(exhausted(Error::bug("x"), 1).kind(), Kind::Bug);
    }

    #[test]
    fn a_connection_that_was_not_given_is_for_the_operator() {
        let error = exhausted(refused(), 0);
        assert_eq!((error.kind(), error.remedy()), (Kind::Denied, Some("start the job again")));
        assert_eq!(
            error.chain(),
            "wait 60 s for a connection: connect to `db`: too many connections for role"
        );
    }
}
