//! The ports that more than one program calls, one file for each.

mod announcer;
mod checks;
mod database_login;
mod executions;

pub use announcer::Announcer;
pub use checks::{Check, Checks};
pub use database_login::DatabaseLogin;
pub use executions::{ExecutionState, Executions, TaskTerms};
