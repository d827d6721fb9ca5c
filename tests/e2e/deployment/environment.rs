//! Every variable that a program reads is set or has a default, and none is set in vain.

use std::collections::BTreeSet;

use sluice_tests::terraform::Deployment;

use super::source::{page, production, root, variables};
use super::{PROGRAMS, list, set, text};

/// How the names begin of the variables that Cloud Run sets itself.
/// <https://cloud.google.com/run/docs/container-contract#env-vars>
const PLATFORM: [&str; 3] = ["CLOUD_RUN_", "K_", "PORT"];

#[test]
fn each_program_has_the_variables_that_it_reads_and_no_others() {
    for variables in ["example", "everything"] {
        let Some(deployment) = Deployment::of(variables) else { return };
        for (program, _) in PROGRAMS {
            assert_agrees(&deployment, program);
        }
    }
}

fn assert_agrees(deployment: &Deployment, program: &str) {
    let reads = variables(program);
    assert!(reads.len() >= 10, "what the {program} reads was not found: {reads:?}");
    let environment = list(&deployment.container(program)["env"]);
    let set_by_module: BTreeSet<String> =
        environment.iter().map(|one| text(&one["name"])).collect();
    let documented = page("docs/services.md");
    let by_execution = set_by_execution();
    for (name, required) in &reads {
        let by_platform = PLATFORM.iter().any(|begin| name.starts_with(begin));
        let by_execution = program == "extractor" && by_execution.contains(name);
        let has_value = set_by_module.contains(name) || by_platform || by_execution;
        if *required {
            assert!(
                has_value,
                "the {program} does not start without `{name}`: set it in `terraform/{program}.tf`"
            );
        } else if !has_value {
            assert!(
                documented.contains(&format!("`{name}`")),
                "the {program} reads `{name}`: set it, or write its default into docs/services.md"
            );
        }
    }
    let of_jobs: Vec<String> = {
        let listed = set(deployment, "planner", "SLUICE_JOB_VARIABLES");
        listed.split(',').map(str::to_owned).collect()
    };
    for name in &set_by_module {
        assert!(
            reads.contains_key(name) || of_jobs.contains(name),
            "nothing in the {program} reads `{name}`, which `terraform/` sets"
        );
    }
    for variable in environment {
        let name = text(&variable["name"]);
        let from_secret = !variable["value_source"][0]["secret_key_ref"][0]["secret"].is_null();
        assert_eq!(from_secret, of_jobs.contains(&name), "the {program}'s `{name}`");
        assert!(from_secret || !text(&variable["value"]).is_empty(), "`{name}` is empty");
    }
    if program != "loader" {
        for name in &of_jobs {
            assert!(
                set_by_module.contains(name),
                "jobs may name `{name}`; the {program} has it not"
            );
        }
    }
}

/// The variables that the services set when they start an execution.
fn set_by_execution() -> BTreeSet<String> {
    let text = production(&root().join("crates/runtime/src/google/executions.rs"));
    let found: BTreeSet<String> = text
        .split("EnvVar::new().set_name(\"")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect();
    assert_eq!(found.len(), 2, "{found:?}");
    found
}
