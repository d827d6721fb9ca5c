//! One file a command.

pub(crate) mod completions;
pub(crate) mod copy;
pub(crate) mod init;
mod job;
pub(crate) mod load;
pub(crate) mod manual;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod status;
pub(crate) mod submit;
mod target;
pub(crate) mod task;
pub(crate) mod validate;

pub(crate) use job::{open_source, read_job, yaml};
pub(crate) use target::{check_places, open_targets, open_targets_of};
