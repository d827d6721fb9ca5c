//! Whole jobs, from the command line to the last value.
#![expect(clippy::expect_used, reason = "a test that cannot continue has to stop and say why")]

mod access;
mod bigquery;
mod catalogs;
mod changed_definitions;
mod changed_trees;
mod cloud;
mod commands;
mod concurrent_changes;
mod conformance;
mod connection_limits;
mod copy;
mod crashes;
mod demo;
mod dispositions;
mod exactness;
mod fidelity;
mod installed;
mod job_sql;
mod loading_again;
mod locks;
mod many_partitions;
mod many_tables;
mod outside;
mod poolers;
mod postgres;
mod rights;
mod secrets;
mod shop;
mod snapshot;
mod standby;
mod storage;
mod submit;
mod tidy;
mod upgrade;
