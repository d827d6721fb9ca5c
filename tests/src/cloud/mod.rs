//! Stand-ins for Google's services, and what can go wrong on the way to them.

pub mod bigquery;
pub mod conformance;
pub mod gateway;
mod sessions;
pub mod storage;
