//! Values of every type, judged by programs that share no code with Sluice.

use serde_json::Value;
use tokio::process::Command;

use crate::needs::{skip, variable};
use crate::oracle::python;
use crate::sluice::program;

/// The servers that every type is tried on: this machine's and the newest. A missing server is left
/// out and reported as a skip.
pub fn servers() -> Vec<String> {
    ["TEST_POSTGRES_URL", "TEST_NEWER_POSTGRES_URL"]
        .into_iter()
        .filter_map(|name| {
            let url = variable(name).and_then(|url| url.into_string().ok());
            if url.is_none() {
                skip(&format!("PostgreSQL ({name})"));
            }
            url
        })
        .collect()
}

/// Runs a program of `tests/fidelity` on a server, and fails with every error that it finds.
/// Returns the program's answer; `None` if Python is missing.
pub async fn judge(script: &str, server: &str, arguments: &[&str]) -> Option<Value> {
    answer_of(&format!("fidelity/{script}"), &[&[server], arguments].concat()).await
}

/// Runs a program of `tests/files`, and fails with every error that it finds. Returns the program's
/// answer; `None` if Python is missing.
pub async fn judge_files(script: &str, arguments: &[&str]) -> Option<Value> {
    answer_of(&format!("files/{script}"), arguments).await
}

async fn answer_of(script: &str, arguments: &[&str]) -> Option<Value> {
    let mut command = Command::new(python()?);
    command.arg(format!("{}/{script}.py", env!("CARGO_MANIFEST_DIR")));
    command.args(arguments).arg("--sluice").arg(program());
    let output = command.output().await.expect("Python starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} {arguments:?}:\n{said}{complained}");
    let answer = said.lines().last().unwrap_or_default();
    Some(serde_json::from_str(answer).expect("the program answers in JSON"))
}
