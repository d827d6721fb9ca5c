//! The decoder of PostgreSQL's binary COPY, fed with anything.

#![no_main]

mod check;
mod plain;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| check::check(input));
