//! Following a run until it has ended.

mod documents;
mod planner;
mod remembering;

use std::collections::HashSet;
use std::io::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use sluice_contracts::{Error, Kind, Result};

use crate::answer::Answer;

pub(crate) use documents::DocumentsWindow;
pub(crate) use planner::PlannerWindow;

/// Pause between two looks at a run that just changed.
const SHORTEST: Duration = Duration::from_secs(2);
/// Pause between two looks at a run that has not changed for long.
const LONGEST: Duration = Duration::from_secs(10);
/// Looks one after another that may fail before it is given up: about five minutes.
const PATIENCE: u32 = 30;

/// Where a run can be seen.
#[async_trait]
pub(crate) trait Window: Send {
    /// Looks at it once.
    async fn look(&mut self) -> Result<Look>;
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Look {
    /// What has happened so far, a line each. A line that changes, or that is new, is news.
    pub(crate) story: Vec<String>,
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

/// Tells what happens to a run, a line for each change on standard error, and answers how it was
/// when it ended.
pub(crate) async fn follow(window: &mut dyn Window) -> Result<Answer> {
    let mut said: HashSet<String> = HashSet::new();
    let mut pause = SHORTEST;
    let mut lost = 0;
    loop {
        match window.look().await {
            Ok(look) => {
                let mut news = look.story.iter().filter(|line| !said.contains(*line)).peekable();
                pause = if news.peek().is_some() { SHORTEST } else { longer(pause) };
                news.for_each(|line| say(line));
                match look.end {
                    Some(End::Finished) => return Ok(look.answer),
                    Some(End::Failed(error)) => return Ok(look.answer.because(Some(error))),
                    None => {}
                }
                said = look.story.into_iter().collect();
                lost = 0;
            }
            // What was seen once is there: the network will come back.
            Err(error) if error.is_transient() && !said.is_empty() && lost < PATIENCE => {
                lost += 1;
                pause = longer(pause);
                tracing::warn!("could not look at the run, and try again: {}", error.chain());
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
    }
}

/// Says a line and when, where progress belongs.
pub(crate) fn say(line: &str) {
    let now = Utc::now().format("%H:%M:%SZ");
    // There is nowhere left to say that standard error is gone.
    let _ = writeln!(std::io::stderr().lock(), "{now}  {line}");
}

/// The failure of a run as that of the command which followed it. What is wrong with a job is
/// wrong with the run here, not with what was typed.
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

fn longer(pause: Duration) -> Duration {
    pause.mul_f64(1.25).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers what it was given, in turn.
    struct Played(Vec<Result<Look>>);

    #[async_trait]
    impl Window for Played {
        async fn look(&mut self) -> Result<Look> {
            self.0.remove(0)
        }
    }

    fn look(line: &str, end: Option<End>) -> Result<Look> {
        let answer = Answer::new(&serde_json::json!({}), String::new())?;
        Ok(Look { story: vec![line.to_owned()], end, answer })
    }

    #[tokio::test(start_paused = true)]
    async fn looks_grow_seldom_until_something_changes() {
        let started = tokio::time::Instant::now();
        let mut looks: Vec<_> = (0..20).map(|_| look("extracting", None)).collect();
        looks.push(look("finished", Some(End::Finished)));
        follow(&mut Played(looks)).await.unwrap();
        let waited = started.elapsed();
        assert!(waited > LONGEST * 12 && waited < LONGEST * 20, "{waited:?}");
        assert_eq!(longer(LONGEST), LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_that_comes_back_is_waited_for_but_not_one_that_never_was() {
        let lost = || Err(Error::transient("connect"));
        let mut looks = vec![look("extracting", None)];
        looks.extend((0..10).map(|_| lost()));
        looks.push(look("finished", Some(End::Finished)));
        follow(&mut Played(looks)).await.unwrap();
        follow(&mut Played(vec![lost()])).await.unwrap_err();
        let mut looks = vec![look("extracting", None)];
        looks.extend((0..=PATIENCE).map(|_| lost()));
        follow(&mut Played(looks)).await.unwrap_err();
        let looks = vec![look("extracting", None), Err(Error::new(Kind::Denied, "read"))];
        follow(&mut Played(looks)).await.unwrap_err();
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
