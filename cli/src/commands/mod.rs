//! One file a command.

mod job;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod submit;
pub(crate) mod task;
pub(crate) mod validate;

pub(crate) use job::{open_sink, open_source, read_job};
