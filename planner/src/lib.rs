//! Planner: a job becomes work units, a manifest, and a launched execution.

mod bundle;
#[cfg(feature = "service")]
mod config;
mod cut;
mod cutting;
mod dropped;
mod engine;
#[cfg(feature = "service")]
pub mod http;
mod kind;
pub mod launch;
mod new_files;
mod pack;
mod plan;
pub mod price;
#[cfg(feature = "service")]
mod request;
#[cfg(feature = "service")]
mod rules;
#[cfg(feature = "service")]
pub mod service;
pub mod strategy;
mod target_check;
#[cfg(test)]
#[cfg(feature = "service")]
mod tests;
mod time_limit;

#[cfg(feature = "service")]
pub use config::{PlannerConfig, variable};
pub use cut::Weighed;
pub use dropped::{name_dropped, remember};
pub use plan::plan;
#[cfg(feature = "service")]
pub use rules::JobRules;
pub use strategy::{STRATEGIES, strategy_names};
pub use target_check::TargetCheck;
pub use time_limit::Progress;
