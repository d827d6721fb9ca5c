//! PgBouncer between Sluice and a server.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use tempfile::TempDir;

use crate::cluster::Programs;
use crate::needs::{skip, variable};
use crate::ports::free_port;

/// A running PgBouncer. Dropping the value stops it.
#[derive(Debug)]
pub struct Pooler {
    program: Child,
    port: u16,
    _folder: TempDir,
}

impl Pooler {
    /// Starts one in front of `server`, with more settings, each a line of its file. Reports a skip
    /// and returns `None` if the program is missing.
    pub async fn before((host, port): (String, u16), settings: &[&str]) -> Option<Self> {
        Self::listing(&format!(
            "[databases]\n* = host={host} port={port} user=postgres\n[pgbouncer]\nauth_type = any\n{}",
            settings.join("\n")
        ))
        .await
    }

    /// Starts one with these databases and settings, as its file has them; the settings come last.
    pub async fn listing(databases: &str) -> Option<Self> {
        let Some(path) = variable("TEST_PGBOUNCER").map(PathBuf::from) else {
            skip("PgBouncer (TEST_PGBOUNCER)");
            return None;
        };
        let programs = Programs::of(path.parent().expect("a program is in a folder").to_owned());
        let folder = programs.folder_of_its_own();
        let file = folder.path().join("pgbouncer.ini");
        let listen = free_port();
        let text = format!(
            "{databases}\nlisten_addr = 127.0.0.1\nlisten_port = {listen}\nunix_socket_dir =\n\
             logfile = {}\n",
            folder.path().join("log").display(),
        );
        fs::write(&file, text).expect("the pooler's folder can be written");
        let name = path.file_name().and_then(|name| name.to_str()).expect("a program has a name");
        let started = programs.command(name).arg("-q").arg(&file).spawn();
        let pooler =
            Self { program: started.expect("PgBouncer starts"), port: listen, _folder: folder };
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", listen)).is_ok() {
                return Some(pooler);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("PgBouncer does not listen");
    }

    /// The port of this machine that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}
