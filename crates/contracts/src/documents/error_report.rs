//! An error as a document keeps it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};

/// An error as a document keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorReport {
    /// Who must act.
    pub kind: Kind,
    /// The chain of what was being done.
    pub message: String,
    /// The remedy, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&Error> for ErrorReport {
    fn from(error: &Error) -> Self {
        Self { kind: error.kind(), message: error.chain(), hint: error.remedy().map(str::to_owned) }
    }
}

impl ErrorReport {
    /// The same as an error.
    pub fn into_error(self) -> Error {
        let error = Error::new(self.kind, self.message);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
