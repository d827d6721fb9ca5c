//! Planner: a job becomes work units, a manifest, and a launched execution.

mod cut;
mod dropped;
pub mod launch;
mod pack;
mod plan;
pub mod price;
pub mod strategy;

pub use cut::Weighed;
pub use dropped::name_dropped;
pub use plan::plan;
pub use strategy::{STRATEGIES, strategy_names};
