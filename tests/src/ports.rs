//! Ports of this machine for servers that are not started yet.

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below the ports that systems give to connections and to servers that ask for any: a server that is
/// not started yet, or that is down for a moment, loses its port to none of them.
const FIRST: u32 = 10_240;
const COUNT: u32 = 22_000;
/// Ports of a process before those of the next one: each test is a process.
const OF_PROCESS: u32 = 16;

/// A port that nothing listens on, and that no earlier call of this process has returned.
pub(crate) fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        let offset = process::id().wrapping_mul(OF_PROCESS).wrapping_add(taken) % COUNT;
        let port = u16::try_from(FIRST + offset).expect("the ports have 16 bits");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("all ports from {FIRST} on are taken");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_or_while_it_is_listened_on() {
        let first = free_port();
        let next =
            (first + 1..first + 10).find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
        let server = next.expect("one of the next ports is free");
        let listened = server.local_addr().expect("a bound socket has an address").port();
        let ports: BTreeSet<u16> = (0..40).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 40);
        assert!(!ports.contains(&first) && !ports.contains(&listened));
    }
}
