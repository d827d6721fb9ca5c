//! Following a run until it has ended.

mod caching_store;
mod documents;
mod planner;

use std::collections::HashSet;
use std::io::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use sluice_contracts::{Error, Kind, Result};

use crate::answer::Answer;

pub(crate) use documents::DocumentsWindow;
pub(crate) use planner::PlannerWindow;

/// Looks in a row that may fail before the watch is given up: about five minutes.
const PATIENCE: u32 = 30;

/// Where a run can be seen.
#[async_trait]
pub(crate) trait Window: Send {
    /// Looks at it once.
    async fn observe(&mut self) -> Result<Observation>;
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Observation {
    /// What has happened so far, a line each. A line that changes, or that is new, is news.
    pub(crate) timeline: Vec<String>,
    /// How the run ended, where it has.
    pub(crate) end: Option<End>,
    /// The whole of it.
    pub(crate) answer: Answer,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Every table is visible.
    Finished,
    /// Some are not.
    Failed(Error),
}

/// Shows what happens to a run, a line for each change on standard error, and returns how it was
/// when it ended.
pub(crate) async fn follow(window: &mut dyn Window) -> Result<Answer> {
    follow_at(window, Pace::new(Duration::from_secs(2), Duration::from_secs(10))).await
}

async fn follow_at(window: &mut dyn Window, mut pace: Pace) -> Result<Answer> {
    let mut said: HashSet<String> = HashSet::new();
    let mut lost = 0;
    loop {
        match window.observe().await {
            Ok(observation) => {
                let mut news =
                    observation.timeline.iter().filter(|line| !said.contains(*line)).peekable();
                pace.after(news.peek().is_some());
                news.for_each(|line| say(line));
                match observation.end {
                    Some(End::Finished) => return Ok(observation.answer),
                    Some(End::Failed(error)) => return Ok(observation.answer.because(Some(error))),
                    None => {}
                }
                said = observation.timeline.into_iter().collect();
                lost = 0;
            }
            // The run was seen before, so it exists: the network will come back.
            Err(error) if error.is_transient() && !said.is_empty() && lost < PATIENCE => {
                lost += 1;
                pace.after(false);
                tracing::warn!("could not read the run; trying again: {}", error.chain());
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pace.pause).await;
    }
}

/// Says a line and when, where progress belongs.
pub(crate) fn say(line: &str) {
    let now = Utc::now().format("%H:%M:%SZ");
    // There is nowhere left to say that standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{now}  {line}");
}

/// Turns the failure of a run into that of the command which followed it. Here an error in the job
/// is one of the run, not of what was typed.
pub(crate) fn of_run(run: &str, failure: Error) -> Error {
    let failure = match failure.kind() {
        Kind::Invalid => {
            let data = Error::data(failure.chain());
            match failure.remedy() {
                Some(hint) => data.hint(hint.to_owned()),
                None => data,
            }
        }
        _ => failure,
    };
    if failure.to_string().contains(run) {
        return failure;
    }
    failure.during(format!("run `{run}`"))
}

/// How often to look: seldom if nothing changes.
#[derive(Debug)]
struct Pace {
    pause: Duration,
    shortest: Duration,
    longest: Duration,
}

impl Pace {
    fn new(shortest: Duration, longest: Duration) -> Self {
        Self { pause: shortest, shortest, longest }
    }

    /// Sets the pause after a look, by whether it saw something new.
    fn after(&mut self, new: bool) {
        let longer = self.pause.mul_f64(1.25).min(self.longest);
        self.pause = if new { self.shortest } else { longer };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers what it was given, in turn.
    struct Played(Vec<Result<Observation>>);

    #[async_trait]
    impl Window for Played {
        async fn observe(&mut self) -> Result<Observation> {
            self.0.remove(0)
        }
    }

    fn observation(line: &str, end: Option<End>) -> Result<Observation> {
        let answer = Answer::new(&serde_json::json!({}), String::new())?;
        Ok(Observation { timeline: vec![line.to_owned()], end, answer })
    }

    async fn follow_quickly(observations: Vec<Result<Observation>>) -> Result<Answer> {
        let pace = Pace::new(Duration::from_micros(1), Duration::from_micros(10));
        follow_at(&mut Played(observations), pace).await
    }

    #[test]
    fn looks_grow_seldom_until_something_changes() {
        let mut pace = Pace::new(Duration::from_secs(2), Duration::from_secs(10));
        let pauses: Vec<u64> = (0..10)
            .map(|_| {
                pace.after(false);
                pace.pause.as_secs()
            })
            .collect();
        assert_eq!(pauses, [2, 3, 3, 4, 6, 7, 9, 10, 10, 10]);
        pace.after(true);
        assert_eq!(pace.pause, Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_network_that_comes_back_is_waited_for_but_not_one_that_never_was() {
        let lost = || Err(Error::transient("connect"));
        let mut observations = vec![observation("extracting", None)];
        observations.extend((0..10).map(|_| lost()));
        observations.push(observation("finished", Some(End::Finished)));
        follow_quickly(observations).await.unwrap();
        follow_quickly(vec![lost()]).await.unwrap_err();
        let mut observations = vec![observation("extracting", None)];
        observations.extend((0..=PATIENCE).map(|_| lost()));
        follow_quickly(observations).await.unwrap_err();
        let observations =
            vec![observation("extracting", None), Err(Error::new(Kind::Denied, "read"))];
        follow_quickly(observations).await.unwrap_err();
    }

    #[test]
    fn a_failure_names_its_run_once() {
        let invalid = of_run("0193", Error::invalid("describe table `a`").hint("rename it"));
        assert_eq!(invalid.chain(), "run `0193`: describe table `a`");
        assert_eq!(invalid.kind(), Kind::Data);
        assert_eq!(invalid.remedy(), Some("rename it"));
        assert_eq!(of_run("0193", Error::data("load run `0193`")).chain(), "load run `0193`");
    }
}
