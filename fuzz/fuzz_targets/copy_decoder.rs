//! Feeds any bytes to the decoder of PostgreSQL's binary COPY.

#![no_main]

mod check;
mod plain;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| check::check(input));
