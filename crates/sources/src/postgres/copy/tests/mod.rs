//! How the decoder reads valid and broken streams.

mod encode;
pub(in crate::postgres) mod messages;
mod round_trip;
mod stream;
mod texts;
