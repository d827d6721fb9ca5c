//! The programs' accounts have the roles of `permissions.md`, and nothing else has rights.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sluice_tests::terraform::{Deployment, Resource};

use super::source::{folder, page, production, root};
use super::{PROGRAMS, text};

const TABLE: &str = "crates/runtime/src/google/permissions.md";

/// A program, a role, and what it is bound on.
type Right = (String, String, String);

#[test]
fn the_programs_have_the_roles_of_the_table_and_no_others() {
    let Some(deployment) = Deployment::of("everything") else { return };
    let mut bound: BTreeMap<Right, BTreeSet<String>> = BTreeMap::new();
    for resource in bindings(&deployment) {
        let member = text(&resource.values["member"]);
        let Some(program) = program(&deployment, &member) else { continue };
        let (on, which) = target(&deployment, resource);
        let right = (program.to_owned(), role(&deployment, &resource.values), on);
        bound.entry(right).or_default().insert(which);
    }
    let bound_rights: BTreeSet<Right> = bound.keys().cloned().collect();
    let listed = table();
    let unlisted: Vec<_> = bound_rights.difference(&listed).collect();
    let unbound: Vec<_> = listed.difference(&bound_rights).collect();
    assert!(unlisted.is_empty(), "terraform/iam.tf binds what {TABLE} does not list: {unlisted:?}");
    assert!(unbound.is_empty(), "{TABLE} lists what terraform/iam.tf does not bind: {unbound:?}");

    // A role on each of several things is bound on all of them.
    let mut all: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for ((_, _, on), which) in &bound {
        all.entry(on).or_default().extend(which);
    }
    for (right, which) in &bound {
        assert_eq!(which.len(), all[right.2.as_str()].len(), "{right:?} is bound on {which:?}");
    }
    for (on, at_least) in [
        ("each dataset", 2),
        ("each job", 4),
        ("each secret", 3),
        ("each Cloud SQL instance", 2),
        ("each Cloud SQL instance with IAM logins", 1),
        ("each source dataset", 2),
        ("each source bucket", 1),
        ("the deployment's project", 1),
        ("the folder of the template", 1),
        ("the image's repository", 1),
    ] {
        assert_eq!(all[on].len(), at_least, "{on}: {:?}", all[on]);
    }
}

#[test]
fn nobody_else_has_more_than_the_right_to_call_or_to_publish() {
    let Some(deployment) = Deployment::of("everything") else { return };
    let mut roles = BTreeSet::new();
    for resource in bindings(&deployment) {
        let (member, role) = (text(&resource.values["member"]), text(&resource.values["role"]));
        assert!(!member.starts_with("all"), "`{member}` may do something: {resource:#?}");
        if program(&deployment, &member).is_none() {
            roles.insert(role);
        }
    }
    let expected = ["roles/pubsub.publisher", "roles/pubsub.subscriber", "roles/run.invoker"];
    assert_eq!(roles, BTreeSet::from(expected.map(str::to_owned)));
    for service in ["planner", "loader"] {
        let made = deployment.one("google_cloud_run_v2_service", service);
        assert_eq!(made["invoker_iam_disabled"], false, "everybody may call the {service}");
    }
}

#[test]
fn the_table_has_every_call_and_every_role_that_the_code_names() {
    let table = page(TABLE);
    let calls = calls();
    assert!(calls.len() >= 6, "the calls were not found: {calls:?}");
    for call in calls {
        assert!(table.contains(&format!("`{call}`")), "{TABLE} does not say what `{call}` needs");
    }
    let mut named = 0;
    let parts = ["planner/src", "loader/src", "extractor/src", "crates/runtime/src"];
    let parts = parts.iter().chain(&["crates/targets/src", "crates/sources/src"]);
    for text in parts.flat_map(|part| folder(&root().join(part))) {
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for rest in line.split("`roles/").skip(1) {
                let role = format!("`roles/{}`", rest.split('`').next().unwrap_or_default());
                assert!(table.contains(&role), "a hint names {role}, which {TABLE} does not");
                named += 1;
            }
        }
    }
    assert!(named > 5, "the hints were not found");
}

/// The calls of Google's clients in the adapters.
fn calls() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("crates/runtime/src/google")).expect("it is there") {
        let path = entry.expect("it is there").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = production(&path);
        let clients = text.lines().filter_map(|line| {
            let (name, kind) = line.trim().strip_suffix(',')?.split_once(": ")?;
            (kind.starts_with("client::") || kind == "Publisher").then(|| name.to_owned())
        });
        let clients: Vec<String> = clients.collect();
        let dense: String = text.split_whitespace().collect();
        for client in clients {
            for rest in dense.split(&format!("self.{client}.")).skip(1) {
                found.insert(rest.split('(').next().unwrap_or_default().to_owned());
            }
        }
    }
    found
}

/// Every binding of a role.
fn bindings(deployment: &Deployment) -> Vec<&Resource> {
    // A role that is made gives nobody anything before it is bound.
    let is_binding = |resource: &&Resource| {
        resource.kind.contains("_iam_") && resource.kind != "google_project_iam_custom_role"
    };
    let found: Vec<_> = deployment.resources().iter().filter(is_binding).collect();
    for resource in &found {
        assert!(
            resource.kind.ends_with("_iam_member"),
            "it takes rights from others: {resource:?}"
        );
    }
    found
}

/// The program that runs as this account: one of ours, or the pipeline of Dataflow.
fn program(deployment: &Deployment, member: &str) -> Option<&'static str> {
    if member == format!("serviceAccount:{}", pipeline(deployment)) {
        return Some("dataflow");
    }
    PROGRAMS.into_iter().map(|(program, _)| program).find(|program| {
        let kind = PROGRAMS.iter().find(|(name, _)| name == program).map(|(_, kind)| *kind);
        let template = &deployment.one(kind.unwrap_or_default(), program)["template"][0];
        let tasks = &template["template"][0];
        let template = if tasks.is_null() { template } else { tasks };
        member == format!("serviceAccount:{}", text(&template["service_account"]))
    })
}

/// The account that the loader has the machines of Dataflow run as.
fn pipeline(deployment: &Deployment) -> String {
    super::set(deployment, "loader", "SLUICE_DATAFLOW_ACCOUNT")
}

/// The role of a binding, as the table names it: one of the deployment's own has the usual name of
/// a deployment. Such a role may do what its row says, and nothing else.
fn role(deployment: &Deployment, binding: &Value) -> String {
    let bound = text(&binding["role"]);
    if bound.starts_with("roles/") {
        return bound;
    }
    let own = deployment.all("google_project_iam_custom_role");
    let own = own.into_iter().find(|role| text(&role.values["id"]) == bound);
    let own = &own.unwrap_or_else(|| panic!("nothing makes the role `{bound}`")).values;
    let service = text(&deployment.one("google_cloud_run_v2_service", "planner")["name"]);
    let deployed = service.trim_end_matches("-planner").replace('-', "_");
    let name = format!("roles/{}", text(&own["role_id"]).replacen(&deployed, "sluice", 1));
    let page = page(TABLE);
    let row = page.lines().find(|line| line.contains(&format!("| `{name}` |")));
    let said = row.unwrap_or_default().split('`').skip(1).step_by(2);
    let said: BTreeSet<String> = said.filter(|word| *word != name).map(str::to_owned).collect();
    let has: BTreeSet<String> = super::list(&own["permissions"]).iter().map(text).collect();
    assert_eq!(said, has, "{TABLE} gives `{name}` other permissions than terraform/iam.tf");
    name
}

/// What a role is bound on, in the words of the table, and which one of that kind.
fn target(deployment: &Deployment, resource: &Resource) -> (String, String) {
    let values = &resource.values;
    let is =
        |key: &str, kind: &str, name: &str, of: &str| values[key] == deployment.one(kind, name)[of];
    let (on, which) = match resource.kind.as_str() {
        "google_cloud_run_v2_job_iam_member" => ("each job", "name"),
        "google_cloud_tasks_queue_iam_member" => ("the queue", "name"),
        "google_service_account_iam_member" => {
            let account = text(&values["service_account_id"]);
            if account.ends_with(&format!("/{}", pipeline(deployment))) {
                ("the account of `SLUICE_DATAFLOW_ACCOUNT`", "service_account_id")
            } else {
                let invoker = super::set(deployment, "planner", "SLUICE_INVOKER");
                assert!(account.ends_with(&format!("/{invoker}")), "it may act as `{account}`");
                ("the account of `SLUICE_INVOKER`", "service_account_id")
            }
        }
        "google_pubsub_topic_iam_member"
            if is("topic", "google_pubsub_topic", "events", "name") =>
        {
            ("the topic of events", "topic")
        }
        "google_storage_bucket_iam_member"
            if is("bucket", "google_storage_bucket", "runs", "name") =>
        {
            ("the bucket of runs", "bucket")
        }
        "google_storage_bucket_iam_member"
            if is("bucket", "google_storage_bucket", "jobs", "name") =>
        {
            ("the bucket of job files", "bucket")
        }
        "google_storage_bucket_iam_member" if resource.name == "source" => {
            ("each source bucket", "bucket")
        }
        "google_storage_bucket_iam_member" => {
            let template = super::set(deployment, "loader", "SLUICE_DATAFLOW_TEMPLATE");
            let condition = text(&values["condition"][0]["expression"]);
            let folder = condition
                .strip_prefix("resource.name.startsWith(\"projects/_/buckets/")
                .and_then(|rest| rest.strip_suffix("\")"))
                .unwrap_or_else(|| panic!("it is for a whole bucket: {values:#}"));
            let (bucket, folder) = folder.split_once("/objects/").expect("it is for objects");
            assert_eq!(values["bucket"], bucket);
            let file = template.strip_prefix(&format!("gs://{bucket}/{folder}"));
            assert!(file.is_some_and(|file| !file.contains('/')), "{condition} for {template}");
            ("the folder of the template", "bucket")
        }
        "google_artifact_registry_repository_iam_member" => {
            let parts = ["location", "project", "repository"].map(|part| text(&values[part]));
            let [location, project, repository] = parts;
            let repository = format!("{location}-docker.pkg.dev/{project}/{repository}/");
            let image = text(&deployment.container("loader")["image"]);
            assert!(image.starts_with(&repository), "`{repository}` for {image}");
            ("the image's repository", "repository")
        }
        "google_bigquery_dataset_iam_member" if resource.name == "source" => {
            ("each source dataset", "dataset_id")
        }
        "google_bigquery_dataset_iam_member" => ("each dataset", "dataset_id"),
        "google_secret_manager_secret_iam_member" => ("each secret", "secret_id"),
        "google_project_iam_member" if !values["condition"][0].is_null() => {
            let condition = text(&values["condition"][0]["expression"]);
            assert!(condition.contains("resource.name == "), "it is for all: {condition}");
            let on = match values["role"].as_str() {
                Some("roles/cloudsql.instanceUser") => "each Cloud SQL instance with IAM logins",
                _ => "each Cloud SQL instance",
            };
            return (on.to_owned(), condition);
        }
        "google_project_iam_member"
            if ["bigquery_source", "dataflow"].contains(&&*resource.name) =>
        {
            let own = &deployment.one("google_cloud_run_v2_service", "planner")["project"];
            assert_eq!(values["project"], *own, "another project pays for it");
            ("the deployment's project", "project")
        }
        "google_project_iam_member" => ("the project of each dataset", "project"),
        kind => panic!("no row of {TABLE} is about `{kind}`: {values:#}"),
    };
    (on.to_owned(), text(&values[which]))
}

/// The rows of the table, one for each program.
fn table() -> BTreeSet<Right> {
    let page = page(TABLE);
    let rows = page.lines().filter(|line| line.contains("| `roles/"));
    let rights: BTreeSet<Right> = rows
        .flat_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let (role, on) = (cells[2].trim_matches('`').to_owned(), cells[3].to_owned());
            let programs = cells[1].split(", ").map(str::to_owned);
            programs.map(|program| (program, role.clone(), on.clone())).collect::<Vec<_>>()
        })
        .collect();
    assert!(rights.len() > 15, "the table was not found");
    rights
}
