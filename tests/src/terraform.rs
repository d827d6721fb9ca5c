//! What `terraform/` makes, as Terraform says it with a stand-in of Google's provider.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::needs::{skip, variable};

/// A deployment that Terraform has made, in the stand-in of Google's provider.
#[derive(Debug)]
pub struct Deployment {
    resources: Vec<Resource>,
    outputs: Value,
}

/// One resource of a deployment.
#[derive(Debug)]
pub struct Resource {
    /// Its kind, such as `google_cloud_run_v2_job`.
    pub kind: String,
    /// Its name in the module.
    pub name: String,
    /// Its key, if the module has several of that name.
    pub key: String,
    /// Its arguments, and what Google would have chosen.
    pub values: Value,
}

impl Deployment {
    /// What the file of variables `tests/terraform/<variables>.tfvars` makes; `None` if Terraform is
    /// missing.
    pub fn of(variables: &str) -> Option<Self> {
        let file = folder().join(format!("{variables}.tfvars"));
        let output = check(&["show".as_ref(), file.as_os_str()])?;
        assert!(output.status.success(), "{}", told(&output));
        let shown: Value = serde_json::from_slice(&output.stdout).expect("Terraform shows JSON");
        let all = shown.pointer("/values/root_module/resources").and_then(Value::as_array);
        let resources = all
            .expect("the deployment has resources")
            .iter()
            .filter(|resource| resource["mode"] == "managed")
            .map(|resource| Resource {
                kind: text(&resource["type"]),
                name: text(&resource["name"]),
                key: text(&resource["index"]),
                values: resource["values"].clone(),
            })
            .collect();
        Some(Self { resources, outputs: shown["values"]["outputs"].clone() })
    }

    /// Every resource.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Every resource of a kind.
    pub fn all(&self, kind: &str) -> Vec<&Resource> {
        let found: Vec<_> =
            self.resources.iter().filter(|resource| resource.kind == kind).collect();
        assert!(!found.is_empty(), "the module makes no `{kind}`");
        found
    }

    /// The resource of a kind and a key.
    pub fn keyed(&self, kind: &str, key: &str) -> &Value {
        let found = self.all(kind).into_iter().find(|resource| resource.key == key);
        &found.unwrap_or_else(|| panic!("the module makes no `{kind}` for `{key}`")).values
    }

    /// An output of the module.
    pub fn output(&self, name: &str) -> &Value {
        let output = &self.outputs[name]["value"];
        assert!(!output.is_null(), "the module has no output `{name}`");
        output
    }

    /// The container of a program: that of a service, or of a job's tasks.
    pub fn container(&self, program: &str) -> &Value {
        let kind = match program {
            "extractor" => "google_cloud_run_v2_job",
            _ => "google_cloud_run_v2_service",
        };
        let template = &self.one(kind, program)["template"][0];
        // A job's template is that of its executions, which has that of their tasks.
        let tasks = &template["template"][0];
        let template = if tasks.is_null() { template } else { tasks };
        &template["containers"][0]
    }

    /// The resource of a kind and a name.
    pub fn one(&self, kind: &str, name: &str) -> &Value {
        let found = self.all(kind).into_iter().find(|resource| resource.name == name);
        &found.unwrap_or_else(|| panic!("the module makes no `{kind}.{name}`")).values
    }
}

/// Runs `tests/terraform/check.py`; `None` if a part of it is missing.
pub fn check(arguments: &[&std::ffi::OsStr]) -> Option<Output> {
    if variable("TEST_TERRAFORM").is_none() {
        skip("Terraform (TEST_TERRAFORM)");
        return None;
    }
    let Some(python) = variable("TEST_TERRAFORM_PYTHON") else {
        skip("the stand-in of Google's provider for Terraform (TEST_TERRAFORM_PYTHON)");
        return None;
    };
    let mut command = Command::new(python);
    let command = command.arg(folder().join("check.py")).args(arguments);
    Some(command.output().expect("Python starts"))
}

/// What a program said, to say it in turn.
pub fn told(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
