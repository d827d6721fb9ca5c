//! The documents through which Sluice's three programs communicate, and the terms they share.
//!
//! Planner, extractor and loader never call each other. They read and write the documents defined
//! here, below one run's prefix in a bucket. This crate knows no source, no target and no cloud.

pub mod documents;
pub mod error;
pub mod job;
pub mod layout;
pub mod ports;
pub mod store;
pub mod url;

pub use error::{Error, Kind, Result};
