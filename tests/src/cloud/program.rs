//! One of Sluice's services, run as the real program on a port of this machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

/// A service that can be started, killed and started again at the same address. Dropping the value
/// ends it.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    port: u16,
    environment: Vec<(String, String)>,
    log: PathBuf,
    process: Option<Child>,
}

impl Program {
    /// A service that is not started yet. Its output goes to the file `log`.
    pub fn new(path: PathBuf, port: u16, log: PathBuf) -> Self {
        Self { path, port, environment: Vec::new(), log, process: None }
    }

    /// Sets the service's whole environment, except its port.
    pub fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.environment = environment;
    }

    /// The service's URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts the service, and waits until it answers.
    pub async fn start(&mut self) {
        self.process = Some(self.spawn());
        let client = reqwest::Client::new();
        for _ in 0..600 {
            if client.get(format!("{}/healthz", self.url())).send().await.is_ok() {
                return;
            }
            let process = self.process.as_mut().expect("it was started");
            if let Ok(Some(status)) = process.try_wait() {
                panic!("`{}` ended with {status}:\n{}", self.path.display(), self.said());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("`{}` did not answer within half a minute", self.path.display());
    }

    /// Kills the service with SIGKILL, whatever it is doing.
    pub async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.expect("it can be killed");
        }
    }

    /// The peak memory of the process, in bytes, as the kernel counts it.
    pub fn peak(&self) -> u64 {
        let id = self.process.as_ref().and_then(Child::id).expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("the kernel tells a process's memory") * 1024
    }

    /// Everything that the service has logged.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn spawn(&self) -> Child {
        let log = open(&self.log);
        Command::new(&self.path)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .env("PORT", self.port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts")
    }
}

fn open(log: &Path) -> File {
    File::options().create(true).append(true).open(log).expect("a log can be written")
}
