//! What the decoder makes of streams: those of the format, and those that are broken.

mod encode;
mod round_trip;
mod stream;
