//! What people read on standard output.

pub(crate) mod plan;
mod plan_columns;
mod plan_engines;
pub(crate) mod planner_status;
pub(crate) mod run;
pub(crate) mod status;
#[cfg(test)]
mod tests;
pub(crate) mod timeline;
pub(crate) mod type_page;
