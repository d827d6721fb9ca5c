//! The name of a run.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Result};

/// A run's name: a version 7 UUID, so that names sort by the time the run was planned.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    /// A new name.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// When the name was made, by its maker's clock; `None` for a UUID of a version without a time.
    pub fn since(self) -> Option<DateTime<Utc>> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.parse().map(Self).map_err(|source| {
            Error::invalid(format!("read run id `{text}`"))
                .because(source)
                .hint("a run id looks like `0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90`")
        })
    }
}
