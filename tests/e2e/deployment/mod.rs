//! The deployment in `terraform/`, held against the programs that it deploys.

mod addresses;
mod alerts;
mod environment;
mod limits;
mod rights;
mod running;
mod source;

use serde_json::Value;
use sluice_tests::terraform::{Deployment, check, told};

/// The programs, each with the kind of the resource that runs it.
const PROGRAMS: [(&str, &str); 3] = [
    ("planner", "google_cloud_run_v2_service"),
    ("loader", "google_cloud_run_v2_service"),
    ("extractor", "google_cloud_run_v2_job"),
];

#[test]
fn the_module_passes_its_own_tests() {
    let Some(output) = check(&["test".as_ref()]) else { return };
    let told = told(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("passed, 0 failed"), "{told}");
}

#[test]
fn a_second_plan_is_empty() {
    let Some(output) = check(&["again".as_ref()]) else { return };
    let told = told(&output);
    assert!(output.status.success(), "{told}");
    assert_eq!(told.matches("the second plan is empty").count(), 2, "{told}");
}

#[test]
fn checkov_finds_nothing_without_a_reason() {
    let Some(output) = check(&["scan".as_ref()]) else { return };
    let told = told(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("Failed checks: 0") && !told.contains("Passed checks: 0"), "{told}");
}

#[test]
fn the_readme_shows_the_smallest_deployment() {
    let smallest = source::page("tests/terraform/example.tfvars");
    assert_eq!(smallest.lines().count(), 5, "{smallest}");
    assert!(source::page("README.md").contains(&smallest), "README.md shows another:\n{smallest}");
}

/// The value of a variable of a program; empty if it comes from a secret.
fn variable(deployment: &Deployment, program: &str, name: &str) -> Option<String> {
    let all = list(&deployment.container(program)["env"]);
    let found = all.iter().find(|one| one["name"] == name)?;
    Some(text(&found["value"]))
}

/// The value of a variable that a program has to have.
fn set(deployment: &Deployment, program: &str, name: &str) -> String {
    let found = variable(deployment, program, name);
    found.unwrap_or_else(|| panic!("the {program} has no `{name}`"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
