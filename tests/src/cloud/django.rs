//! The Django project of `examples/django`, run as its users run it.

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::needs::{skip, variable};

use super::pubsub::PubSub;

/// The project with its settings for one machine, and a database of its own.
#[derive(Debug)]
pub struct Django {
    python: PathBuf,
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Django {
    /// Makes the project's tables. The project publishes requests to `requests`, and reads the events
    /// of `events`. Reports a skip and returns `None` if its packages are missing.
    pub async fn start(pubsub: &PubSub, requests: &str, events: &str) -> Option<Self> {
        let Some(python) = variable("TEST_DJANGO").map(PathBuf::from) else {
            skip("the packages of the Django example (TEST_DJANGO)");
            return None;
        };
        let folder = TempDir::with_prefix("sluice-django-").expect("a temporary folder");
        let environment = [
            ("PUBSUB_EMULATOR_HOST", pubsub.host()),
            ("SLUICE_REQUESTS_TOPIC", requests.to_owned()),
            ("SLUICE_EVENTS_TOPIC", events.to_owned()),
            ("SLUICE_EVENTS_SUBSCRIPTION", PubSub::name("subscriptions", "django-events")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let this = Self { python, folder, environment };
        this.manage(&["migrate", "--verbosity", "0"]).await;
        Some(this)
    }

    /// Runs `manage.py ARGUMENTS`, and returns what it printed.
    pub async fn manage(&self, arguments: &[&str]) -> String {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/django/manage.py");
        let output = Command::new(&self.python)
            .arg(program)
            .args(arguments)
            .env("DJANGO_DATABASE", self.folder.path().join("shop.sqlite3"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            // gRPC would use a proxy of the environment even for addresses on this machine.
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::null())
            .output()
            .await
            .expect("Python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}
