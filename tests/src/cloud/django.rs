//! The Django project of `examples/django`, run as its users run it.

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::needs::{skip, variable};

use super::pubsub::PubSub;

/// Prints what the project knows of the runs that have ended.
const RUNS: &str = "
from exports.models import Run
print(*Run.objects.values_list('event', 'job', 'run_key', 'rows'))
";

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

    /// Waits until the project knows of a run that has ended, and returns what it knows of all: event,
    /// job, key and rows. Empty if it hears of none.
    pub async fn runs(&self) -> String {
        for _ in 0..40 {
            self.manage(&["pull_events", "--once"]).await;
            let runs = self.manage(&["shell", "--no-imports", "--command", RUNS]).await;
            if !runs.trim().is_empty() {
                return runs.trim().to_owned();
            }
        }
        String::new()
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
