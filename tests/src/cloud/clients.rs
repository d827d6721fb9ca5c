//! Google's own clients, which call stand-ins instead of Google.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::needs::{skip, variable};
use crate::oracle::python;
use crate::sluice::Ended;

use super::bigquery::{PROJECT as SHOP, Warehouse};
use super::dataflow::Dataflow;
use super::run::CloudRun;
use super::{LOCATION, PROJECT};

/// `gcloud` with its own settings.
#[derive(Debug)]
pub struct Gcloud {
    program: PathBuf,
    settings: TempDir,
}

impl Gcloud {
    /// Finds `gcloud`. Reports a skip and returns `None` if it is missing.
    pub fn find() -> Option<Self> {
        let Some(program) = variable("TEST_GCLOUD").map(PathBuf::from) else {
            skip("`gcloud` (TEST_GCLOUD)");
            return None;
        };
        let settings = TempDir::with_prefix("sluice-gcloud-").expect("a temporary folder");
        Some(Self { program, settings })
    }

    /// Runs `gcloud run jobs ARGUMENTS`, and waits for its end.
    ///
    /// `gcloud` calls a host whose name begins with the region, so it gets the stand-in as a proxy.
    pub async fn jobs(&self, run: &CloudRun, arguments: &[&str]) -> Ended {
        let mut command = self.command(&["run", "jobs"], arguments);
        command
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN", "http://run.test/")
            .env("CLOUDSDK_PROXY_TYPE", "http")
            .env("CLOUDSDK_PROXY_ADDRESS", "127.0.0.1")
            .env("CLOUDSDK_PROXY_PORT", run.port().to_string());
        ended(command).await
    }

    /// Runs `gcloud dataflow ARGUMENTS`, and waits for its end.
    pub async fn dataflow(&self, dataflow: &Dataflow, arguments: &[&str]) -> Ended {
        let mut command = self.command(&["dataflow"], arguments);
        command.env("CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW", format!("{}/", dataflow.url()));
        ended(command).await
    }

    fn command(&self, group: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(group)
            .args(arguments)
            .args(["--region", LOCATION, "--quiet"])
            .env("CLOUDSDK_CONFIG", self.settings.path())
            .env("CLOUDSDK_CORE_PROJECT", PROJECT)
            .env("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true")
            .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true")
            .stdin(Stdio::null());
        command
    }
}

async fn ended(mut command: Command) -> Ended {
    let output = command.output().await.expect("gcloud starts");
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a Python script that uses Google's libraries, and returns the JSON that it prints. `None`
/// if Python is missing.
pub async fn in_python(script: &str, arguments: &[&str]) -> Option<Value> {
    let mut command = Command::new(python()?);
    // gRPC would use a proxy of the environment even for addresses on this machine.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    let output =
        command.args(["-c", script]).args(arguments).output().await.expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("the answer is JSON"))
}

/// Runs Google's `bq` against `warehouse`, and returns its answer. Reports a skip and returns
/// `None` if `bq` is missing.
pub async fn bq(warehouse: &Warehouse, arguments: &[&str]) -> Option<Value> {
    let output = Command::new("bq")
        .args(["--oauth_access_token=fake", "--format=json", "--headless"])
        .args([format!("--api={}", warehouse.url()), format!("--project_id={SHOP}")])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await;
    let Ok(output) = output else {
        skip("Google's `bq`");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_str(&said).expect("it answers in JSON"))
}
