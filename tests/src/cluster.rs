//! PostgreSQL servers for one test each, for tests that cannot use the shared server.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

use crate::needs::{skip, variable};
use crate::ports::free_port;
use crate::postgres::Database;

/// A server. Dropping the value stops and deletes it.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    programs: Programs,
    port: u16,
}

/// The server's programs, and the user who runs them.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    folder: PathBuf,
    /// User and group; `None` for those of this process. The server refuses to run as root.
    owner: Option<(u32, u32)>,
}

impl Cluster {
    /// Starts an empty server. Reports a skip and returns `None` if its programs are missing.
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// Starts an empty server with settings of its own, each as `name=value`.
    pub fn with(settings: &[&str]) -> Option<Self> {
        let (folder, programs) = Self::empty()?;
        Some(Self::serve(folder, programs, settings))
    }

    /// Starts an empty server that asks every user but `postgres` for a password.
    pub fn with_passwords() -> Option<Self> {
        let (folder, programs) = Self::empty()?;
        let rules =
            "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(folder.path().join("data/pg_hba.conf"), rules).expect("it can be written");
        Some(Self::serve(folder, programs, &[]))
    }

    /// Starts an empty server that speaks TLS, with the certificate of `fixtures/tls`, which is
    /// `localhost`'s.
    pub fn with_tls() -> Option<Self> {
        let (folder, programs) = Self::empty()?;
        for name in ["server.crt", "server.key"] {
            let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name);
            let copy = folder.path().join("data").join(name);
            fs::copy(fixture, &copy).expect("the server's folder can be written");
            // The server refuses a key that others may read.
            fs::set_permissions(&copy, Permissions::from_mode(0o600)).expect("the file is ours");
            if let Some((user, group)) = programs.owner {
                chown(&copy, Some(user), Some(group)).expect("root may give a file away");
            }
        }
        Some(Self::serve(folder, programs, &["ssl=on"]))
    }

    fn empty() -> Option<(TempDir, Programs)> {
        let programs = Programs::find()?;
        let folder = programs.folder_of_its_own();
        let data = folder.path().join("data");
        let mut initdb = programs.command("initdb");
        initdb.args(["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"]);
        done(initdb.args(["--no-sync", "-D"]).arg(&data));
        Some((folder, programs))
    }

    /// Starts a hot standby of this server, with its own settings.
    #[must_use]
    pub fn standby(&self, settings: &[&str]) -> Self {
        let folder = self.programs.folder_of_its_own();
        let mut copy = self.programs.command("pg_basebackup");
        copy.args(["-h", "127.0.0.1", "-U", "postgres", "-p", &self.port.to_string()]);
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "-D"]);
        done(copy.arg(folder.path().join("data")));
        Self::serve(folder, self.programs.clone(), settings)
    }

    fn serve(folder: TempDir, programs: Programs, settings: &[&str]) -> Self {
        let port = free_port();
        let place = folder.path().display();
        let mut options =
            format!("-p {port} -k {place} -c listen_addresses=127.0.0.1 -c fsync=off");
        for setting in settings {
            options.push_str(" -c ");
            options.push_str(setting);
        }
        let cluster = Self { folder, programs, port };
        let log = cluster.folder.path().join("server.log");
        done(cluster.control("start").arg("-l").arg(log).args(["-o", &options]));
        cluster
    }

    /// The host and port that the server listens on.
    pub fn address(&self) -> (String, u16) {
        ("127.0.0.1".to_owned(), self.port)
    }

    /// A fresh database on this server.
    pub async fn database(&self) -> Database {
        let server = PgConnectOptions::new_without_pgpass();
        Database::on(server.host("127.0.0.1").port(self.port).username("postgres")).await
    }

    /// Waits until this standby shows everything that its primary's `database` has.
    pub async fn catch_up(&self, database: &Database) {
        let written = "SELECT (pg_current_wal_lsn() - '0/0')::bigint";
        let shown = "SELECT coalesce(pg_last_wal_replay_lsn() - '0/0', 0)::bigint";
        let wanted = database.number(written).await;
        let standby = database.at_port(self.port);
        for _ in 0..3000 {
            if standby.number(shown).await >= wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the standby did not catch up within half a minute");
    }

    fn control(&self, what: &str) -> Command {
        let mut control = self.programs.command("pg_ctl");
        control.arg(what).arg("-D").arg(self.folder.path().join("data")).arg("-w");
        control
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = self.control("stop").args(["-m", "immediate"]).status();
        drop(stopped);
    }
}

impl Programs {
    fn find() -> Option<Self> {
        let Some(folder) = variable("TEST_POSTGRES_BIN").map(PathBuf::from) else {
            skip("a PostgreSQL server to start (TEST_POSTGRES_BIN)");
            return None;
        };
        Some(Self::of(folder))
    }

    /// Those in a folder.
    pub(crate) fn of(folder: PathBuf) -> Self {
        let owner = rustix::process::getuid().is_root().then(|| {
            let user = if id("-u", "postgres").is_some() { "postgres" } else { "nobody" };
            id("-u", user).zip(id("-g", user)).expect("a user for the server")
        });
        Self { folder, owner }
    }

    pub(crate) fn folder_of_its_own(&self) -> TempDir {
        let folder = TempDir::with_prefix("sluice-cluster-").expect("a temporary folder");
        if let Some((user, group)) = self.owner {
            chown(folder.path(), Some(user), Some(group)).expect("root may give a folder away");
        }
        folder
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.folder.join(program));
        // The owner may not be allowed to read the folder that the test started in.
        command.current_dir(Path::new("/")).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command.stderr(Stdio::null());
        command
    }
}

/// The number that the program `id` prints.
fn id(what: &str, user: &str) -> Option<u32> {
    let output = Command::new("id").args([what, user]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn done(command: &mut Command) {
    let status = command.status().expect("the server's programs start");
    assert!(status.success(), "{command:?}: {status}");
}
