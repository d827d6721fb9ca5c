//! The parts of URLs.

use std::net::Ipv6Addr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// What is percent-encoded in a user, a password, a database or a parameter: all but the characters
/// that RFC 3986 calls unreserved.
pub const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An IPv6 address as a URL has it, in brackets; `None` for any other host.
pub fn bracketed(host: &str) -> Option<String> {
    host.parse::<Ipv6Addr>().is_ok().then(|| format!("[{host}]"))
}
