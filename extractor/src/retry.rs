//! How long a task goes on trying, and the signals that it is sent meanwhile.

use std::time::Duration;

use backon::BackoffBuilder as _;
use rustix::process::Signal;
use sluice_contracts::{Error, Kind};
use sluice_sources::NoConnectionLeft;
use tokio::signal::unix::SignalKind;
use tokio::time::Instant;

/// How long a task goes on trying without reading anything: a new path into a private network can
/// take two minutes to open.
const RETRY_FOR: Duration = Duration::from_secs(150);
/// The same if the source gives no connection: the plan counted on one, and the client that has
/// taken it may need it for hours, while the run's other tasks wait for this one's units.
const CONNECTION_FOR: Duration = Duration::from_mins(1);
/// How many times it tries without finishing a unit.
const TRIES: usize = 16;

/// What is left of a task's budget.
pub(crate) struct RetryBudget {
    delays: Box<dyn Iterator<Item = Duration> + Send>,
    since: Instant,
}

impl RetryBudget {
    pub(crate) fn new() -> Self {
        Self { delays: Box::new(delays()), since: Instant::now() }
    }

    /// The source answers: a path into its network is open.
    pub(crate) fn restart_clock(&mut self) {
        self.since = Instant::now();
    }

    /// The pause before the next try after an error; `None` if it must not try again.
    pub(crate) fn pause(&mut self, error: &Error) -> Option<Duration> {
        let longest = if NoConnectionLeft::caused(error) { CONNECTION_FOR } else { RETRY_FOR };
        let pause = self.delays.next().filter(|_| error.is_transient());
        pause.filter(|_| self.since.elapsed() < longest)
    }
}

/// Makes the error permanent if the source gave no connection: another attempt of the task would
/// get none either, and the whole run would wait for each.
pub(crate) fn for_good(error: Error) -> Error {
    if !NoConnectionLeft::caused(&error) {
        return error;
    }
    let seconds = CONNECTION_FOR.as_secs();
    let denied = Error::new(Kind::Denied, format!("wait {seconds} s for a connection"));
    let hint = error.remedy().map(str::to_owned);
    let denied = denied.because(error.chain());
    hint.into_iter().fold(denied, Error::hint)
}

/// Growing, jittered pauses.
fn delays() -> impl Iterator<Item = Duration> {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(15))
        .with_jitter()
        .with_max_times(TRIES)
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

    #[test]
    fn a_connection_that_was_not_given_is_for_the_operator() {
        let error = for_good(refused());
        assert_eq!((error.kind(), error.remedy()), (Kind::Denied, Some("start the job again")));
        assert_eq!(
            error.chain(),
            "wait 60 s for a connection: connect to `db`: too many connections for role"
        );
        assert_eq!(for_good(Error::transient("connect to `db`")).kind(), Kind::Transient);
    }
}
