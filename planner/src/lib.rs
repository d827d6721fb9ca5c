//! Planner: a job becomes work units, a manifest, and a launched execution.

mod config;
mod cut;
mod dropped;
pub mod http;
pub mod launch;
mod pack;
mod plan;
pub mod price;
mod request;
pub mod service;
pub mod strategy;
pub mod targets;
#[cfg(test)]
mod tests;

pub use config::{Config, variable};
pub use cut::Weighed;
pub use dropped::name_dropped;
pub use plan::{plan, plan_run};
pub use strategy::{STRATEGIES, strategy_names};
