//! The documents that Sluice's three programs meet in, and the words they share.
//!
//! Planner, extractor and loader never call each other. They read and write the documents defined
//! here, below one run's prefix in a bucket. This crate knows no source, no warehouse and no cloud.

pub mod check;
pub mod ending;
pub mod error;
pub mod job;
pub mod launch;
pub mod layout;
pub mod manifest;
pub mod receipt;
pub mod relation;
pub mod request;
pub mod schema;
pub mod store;
pub mod unit;

pub use error::{Error, Kind, Result};
