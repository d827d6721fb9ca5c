//! Kinds of tasks: which of a deployment's Cloud Run Jobs carries a run out.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which of a deployment's Cloud Run Jobs carries a run out. A run without Cloud Run ignores it.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct TaskKind {
    /// Size of the tasks, one of those that the deployment has: `job_task_sizes` of `terraform/`. Its
    /// usual size, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_size: Option<String>,
    /// Whether the tasks start within 12 hours, when Cloud Run has capacity to spare, and cost 30 %
    /// less. The deployment has to have them: `delayed_tasks` of `terraform/`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delay_execution: bool,
}

impl TaskKind {
    /// How long Cloud Run may wait before it starts a delayed execution.
    /// <https://cloud.google.com/run/docs/delayed-jobs>
    pub const LONGEST_DELAY: Duration = Duration::from_hours(12);

    /// Whether a text can be the name of a size: it can be a part of the name of a Cloud Run Job, and
    /// does not end in `delayed`.
    pub(crate) fn is_size(text: &str) -> bool {
        let is_word = |word: &str| {
            let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            !word.is_empty() && word.chars().all(part)
        };
        text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.split('-').all(is_word)
            && text.rsplit('-').next() != Some("delayed")
    }

    /// Whether a text can be the name of a kind.
    pub fn is_name(text: &str) -> bool {
        let size = text.strip_suffix("-delayed").unwrap_or(text);
        text == "delayed" || Self::is_size(size)
    }

    /// Whether it is the deployment's usual one, which documents leave out.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// How long an execution may wait for its start, besides what every execution may.
    pub fn delay(&self) -> Duration {
        if self.delay_execution { Self::LONGEST_DELAY } else { Duration::ZERO }
    }
}

/// Its name in the list of a deployment's kinds: `large`, `delayed` or `large-delayed`. The usual
/// kind has an empty name.
impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (&self.task_size, self.delay_execution) {
            (Some(size), true) => return write!(f, "{size}-delayed"),
            (Some(size), false) => size,
            (None, true) => "delayed",
            (None, false) => "",
        })
    }
}
