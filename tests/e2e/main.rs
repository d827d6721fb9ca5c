//! Whole jobs, from the command line to the last value.
#![expect(clippy::expect_used, reason = "a test that cannot go on has to stop and say why")]

mod bad_days;
mod bigquery;
mod cloud;
mod commands;
mod copy;
mod database;
mod demo;
mod exactness;
mod fidelity;
mod installed;
mod interference;
mod locks;
mod moment;
mod one_connection;
mod postgres;
mod shop;
mod standby;
mod storage;
mod submit;
mod tidy;
