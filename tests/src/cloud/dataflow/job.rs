//! A job of Dataflow, and the form in which the API shows it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::cloud::execution::stamp;
use crate::cloud::{LOCATION, PROJECT};

/// The state of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The job was launched, and its program does not run yet.
    Queued,
    /// The program runs.
    Running,
    /// The job was cancelled, and its program is being killed.
    Cancelling,
    /// The program has succeeded.
    Done,
    /// The program has failed.
    Failed,
    /// The job was cancelled, and its program is dead.
    Cancelled,
    /// The job has read no more input, and has ended. Nothing but a test brings a job here.
    Drained,
    /// Another job has taken this one's place. Nothing but a test brings a job here.
    Updated,
}

impl State {
    /// The state's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "JOB_STATE_QUEUED",
            Self::Running => "JOB_STATE_RUNNING",
            Self::Cancelling => "JOB_STATE_CANCELLING",
            Self::Done => "JOB_STATE_DONE",
            Self::Failed => "JOB_STATE_FAILED",
            Self::Cancelled => "JOB_STATE_CANCELLED",
            Self::Drained => "JOB_STATE_DRAINED",
            Self::Updated => "JOB_STATE_UPDATED",
        }
    }

    /// Whether a job in this state stays in it.
    pub fn has_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Cancelling)
    }
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// The id that Dataflow has given to the job.
    pub id: String,
    /// The name that the launch has given to the job. Only one job of a name can be active.
    pub name: String,
    /// The job's state.
    pub state: State,
    /// The body of the request that has launched the job.
    pub launch: Value,
    pub(super) created: DateTime<Utc>,
    pub(super) changed: DateTime<Utc>,
    messages: Vec<Message>,
}

#[derive(Debug, Clone)]
struct Message {
    time: DateTime<Utc>,
    importance: &'static str,
    text: String,
}

/// The importance of messages that a job logs in any case.
const BASIC: &str = "JOB_MESSAGE_BASIC";

/// The importance of messages that say why a job has failed.
const ERROR: &str = "JOB_MESSAGE_ERROR";

impl Job {
    /// A job that waits for its start. `number` is how many jobs there were before it.
    pub(super) fn new(name: String, launch: Value, number: usize) -> Self {
        let now = Utc::now();
        Self {
            id: format!("{}-{}", now.format("%Y-%m-%d_%H_%M_%S"), 5_000_000_000 + number),
            name,
            state: State::Queued,
            launch,
            created: now,
            changed: now,
            messages: Vec::new(),
        }
    }

    /// The texts of the messages that say why the job has failed.
    pub fn errors(&self) -> Vec<&str> {
        let errors = self.messages.iter().filter(|message| message.importance == ERROR);
        errors.map(|message| message.text.as_str()).collect()
    }

    /// The URL of the order that the job has to carry out.
    pub(super) fn order(&self) -> &str {
        self.launch["launchParameter"]["parameters"]["order"].as_str().unwrap_or_default()
    }

    pub(super) fn enter(&mut self, state: State) {
        self.state = state;
        self.changed = Utc::now();
        self.say(BASIC, format!("The job is now in state {}.", state.name()));
    }

    /// Lets the job fail. Dataflow first tells what the workers have said, and then that the job
    /// has failed.
    pub(super) fn fail(&mut self, why: String) {
        self.say(ERROR, why);
        let last =
            "Workflow failed. Causes: The job failed because a work item has failed 4 times.";
        self.say(ERROR, last.into());
        self.enter(State::Failed);
    }

    fn say(&mut self, importance: &'static str, text: String) {
        self.messages.push(Message { time: Utc::now(), importance, text });
    }

    /// As the answer to a launch shows the job. Dataflow's own answer has neither its state nor its
    /// type, and a time of the state that means nothing.
    pub(super) fn as_launched(&self) -> Value {
        json!({
            "id": self.id,
            "projectId": PROJECT,
            "name": self.name,
            "currentStateTime": "1970-01-01T00:00:00Z",
            "createTime": stamp(self.created),
            "location": LOCATION,
            "startTime": stamp(self.created),
        })
    }

    /// As all other answers show the job.
    pub(super) fn shown(&self) -> Value {
        let mut shown = self.as_launched();
        shown["type"] = "JOB_TYPE_BATCH".into();
        shown["currentState"] = self.state.name().into();
        shown["currentStateTime"] = stamp(self.changed).into();
        shown
    }

    /// The job's messages, oldest first: all of them, or only those that say why it has failed.
    pub(super) fn messages(&self, only_errors: bool) -> Vec<Value> {
        let numbered = self.messages.iter().enumerate();
        numbered
            .filter(|(_, message)| !only_errors || message.importance == ERROR)
            .map(|(number, message)| {
                json!({
                    "id": format!("msg-{number}"),
                    "time": stamp(message.time),
                    "messageImportance": message.importance,
                    "messageText": message.text,
                })
            })
            .collect()
    }
}
