//! The client of a planner, in a build without Google Cloud: it has the same functions, so that
//! their callers compile, but they cannot be called.

use serde_json::{Map, Value};
use sluice_contracts::Result;
use sluice_contracts::documents::RunId;
use sluice_runtime::features::without_google;

/// What an answer says.
pub(crate) type Document = Map<String, Value>;

/// A planner service. This build cannot make one.
#[derive(Debug)]
pub(crate) enum Planner {}

impl Planner {
    pub(crate) fn at(_url: &str) -> Result<Self> {
        Err(without_google("call a planner"))
    }

    pub(crate) fn url(&self) -> &str {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "the client of a real planner waits for it")]
    pub(crate) async fn submit(&self, _request: &Document) -> Result<Document> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "the client of a real planner waits for it")]
    pub(crate) async fn load(&self, _run: RunId) -> Result<Document> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "the client of a real planner waits for it")]
    pub(crate) async fn run(&self, _run: RunId) -> Result<Document> {
        match *self {}
    }
}
