//! How long a call is repeated.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;

/// Time for which a call that fails is repeated. A task of an extraction is worth minutes of
/// retries; a service, whose caller calls it again, is not.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);
/// The pause after the first failure; it doubles.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// Longest wait for an answer, or for its next bytes.
pub(super) const SILENCE: Duration = Duration::from_mins(1);

/// The time that is left for one call.
#[derive(Debug)]
pub(super) struct RetryBudget {
    ends: Instant,
    longest: Duration,
}

impl RetryBudget {
    pub(super) fn new() -> Self {
        Self { ends: Instant::now() + PATIENCE, longest: FIRST_PAUSE }
    }

    /// Pauses before the next try, or returns the failure if another try is of no use.
    pub(super) async fn wait(&mut self, failure: Failure) -> Result<(), Failure> {
        let Some(pause) = self.pause(&failure, Instant::now()) else { return Err(failure) };
        tracing::debug!("repeating a call of Cloud Storage in {pause:?}: {failure}");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The next pause. Pauses are random, so that clients that failed together do not retry
    /// together.
    fn pause(&mut self, failure: &Failure, now: Instant) -> Option<Duration> {
        let pause = self.longest.mul_f64(rand::random_range(0.0..=1.0));
        self.longest = (self.longest * 2).min(LONGEST_PAUSE);
        (failure.is_transient() && now + pause < self.ends).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Failure {
        Failure::Answer { status, message: "no".into() }
    }

    #[test]
    fn patience_ends() {
        let mut patience = RetryBudget::new();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        while let Some(pause) = patience.pause(&answer(503), now) {
            now += pause;
            pauses.push(pause);
        }
        assert!(pauses.len() > 8, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE), "{pauses:?}");
        assert!(pauses.iter().sum::<Duration>() > PATIENCE / 2, "{pauses:?}");
        assert!(now < patience.ends);
    }

    #[test]
    fn what_will_not_change_is_not_waited_for() {
        for status in [400, 401, 403, 404, 412, 416] {
            assert_eq!(RetryBudget::new().pause(&answer(status), Instant::now()), None, "{status}");
        }
    }
}
