//! How the decoder reads valid and broken streams.

mod encode;
mod round_trip;
mod stream;
mod texts;
