//! Callers call the services by the addresses that these answer, with tokens that they accept.

use std::collections::BTreeSet;

use serde_json::Value;
use sluice_tests::terraform::Deployment;

use super::source::{page, root, routes};
use super::{PROGRAMS, list, set, text};

#[test]
fn calls_arrive_where_a_service_answers_them_with_tokens_that_it_accepts() {
    let Some(deployment) = Deployment::of("everything") else { return };
    for subscription in deployment.all("google_pubsub_subscription") {
        let push = &subscription.values["push_config"][0];
        if push.is_null() {
            assert_eq!(subscription.name, "dead_letters", "nobody takes its messages");
            continue;
        }
        assert_answered(&deployment, &text(&push["push_endpoint"]), &push["oidc_token"][0]);
    }
    for schedule in deployment.all("google_cloud_scheduler_job") {
        let call = &schedule.values["http_target"][0];
        assert_eq!(call["http_method"], "POST");
        assert_answered(&deployment, &text(&call["uri"]), &call["oidc_token"][0]);
    }
    // What Cloud Tasks calls is written by `crates/runtime/src/google/checks.rs`.
    for (service, path) in [("planner", "/runs/{run}/plan"), ("loader", "/runs/{run}/check")] {
        assert!(routes(service).contains(path), "the {service} does not answer `{path}`");
        let invoker = set(&deployment, service, "SLUICE_INVOKER");
        assert!(may_call(&deployment, service, &invoker), "`{invoker}` may not call the {service}");
    }
}

/// Fails if a call of this address is not answered, or its token not accepted.
fn assert_answered(deployment: &Deployment, address: &str, token: &Value) {
    let audience = text(&token["audience"]);
    let path = address.strip_prefix(&audience).unwrap_or_else(|| {
        panic!("a call of `{address}` has a token for `{audience}`");
    });
    let service = ["planner", "loader"].into_iter().find(|service| {
        let own = set(deployment, service, &format!("SLUICE_{}_URL", service.to_uppercase()));
        own == audience
    });
    let service = service.unwrap_or_else(|| panic!("`{audience}` is no service's own URL"));
    assert!(routes(service).contains(path), "the {service} does not answer `{path}`");
    let caller = text(&token["service_account_email"]);
    assert!(may_call(deployment, service, &caller), "`{caller}` may not call the {service}");
    let listed = set(deployment, service, "SLUICE_CALLERS");
    assert!(listed.split(',').any(|email| email == caller), "the {service} refuses `{caller}`");
}

/// Whether Cloud Run lets an account through to a service.
fn may_call(deployment: &Deployment, service: &str, email: &str) -> bool {
    let name = &deployment.one("google_cloud_run_v2_service", service)["name"];
    deployment.all("google_cloud_run_v2_service_iam_member").iter().any(|bound| {
        bound.values["name"] == *name
            && bound.values["role"] == "roles/run.invoker"
            && text(&bound.values["member"]) == format!("serviceAccount:{email}")
    })
}

#[test]
fn every_program_is_told_the_same_and_what_is_true() {
    let Some(deployment) = Deployment::of("everything") else { return };
    let job = deployment.one("google_cloud_run_v2_job", "extractor");
    let queue = deployment.one("google_cloud_tasks_queue", "runs");
    let events = deployment.one("google_pubsub_topic", "events");
    let runs = deployment.one("google_storage_bucket", "runs");
    for service in ["planner", "loader"] {
        let made = deployment.one("google_cloud_run_v2_service", service);
        let own = format!("SLUICE_{}_URL", service.to_uppercase());
        let url = set(&deployment, service, &own);
        assert!(list(&made["urls"]).iter().any(|known| *known == url.as_str()), "{own}: `{url}`");
        assert_eq!(list(&made["custom_audiences"]), [Value::from(url.as_str())]);
        for (program, _) in PROGRAMS {
            if service == "loader" || program != "extractor" {
                assert_eq!(set(&deployment, program, &own), url, "the {program}'s `{own}`");
            }
        }
        assert_eq!(set(&deployment, service, "SLUICE_EXTRACTOR_JOB"), text(&job["id"]));
        assert_eq!(set(&deployment, service, "SLUICE_TOPIC"), text(&events["id"]));
        let bucket = format!("gs://{}", text(&runs["name"]));
        assert_eq!(set(&deployment, service, "SLUICE_BUCKET"), bucket);
    }
    for (program, _) in PROGRAMS {
        let named = set(&deployment, program, "SLUICE_QUEUE");
        assert_eq!(named, text(&queue["id"]), "the {program}'s queue");
        let form: Vec<&str> = named.split('/').step_by(2).collect();
        assert_eq!(form, ["projects", "locations", "queues"], "`{named}` is no full name");
    }
}

#[test]
fn each_kind_of_tasks_that_the_services_know_is_deployed() {
    let Some(deployment) = Deployment::of("everything") else { return };
    let jobs = deployment.all("google_cloud_run_v2_job");
    let usual = text(&deployment.one("google_cloud_run_v2_job", "extractor")["name"]);
    for service in ["planner", "loader"] {
        let mut named = BTreeSet::from([usual.clone()]);
        for entry in set(&deployment, service, "SLUICE_EXTRACTOR_JOBS").split(',') {
            let (kind, name) = entry.split_once('=').expect("a kind and a job");
            let job = jobs.iter().find(|job| job.values["name"] == name).expect("it is deployed");
            let is_delayed = job.values["template"][0]["delay_execution"] == true;
            assert_eq!(kind.split('-').next_back() == Some("delayed"), is_delayed, "{entry}");
            let size = kind.trim_end_matches("delayed").trim_end_matches('-');
            let limits = |job: &Value| {
                let task = &job["template"][0]["template"][0]["containers"][0];
                text(&task["resources"][0]["limits"]["cpu"])
            };
            let cpus = match size {
                "large" => "4".to_owned(),
                _ => limits(deployment.one("google_cloud_run_v2_job", "extractor")),
            };
            assert_eq!(limits(&job.values), cpus, "{entry}");
            named.insert(name.to_owned());
        }
        assert_eq!(named.len(), jobs.len(), "the {service} does not know a job: {named:?}");
    }
}

#[test]
fn containers_run_the_programs_and_are_probed_where_they_answer() {
    let Some(deployment) = Deployment::of("example") else { return };
    for (program, _) in PROGRAMS {
        let container = deployment.container(program);
        let [command] = list(&container["command"]) else { panic!("{container:#}") };
        let command = text(command);
        let name = command.strip_prefix("/usr/local/bin/").expect("it lies where the image has it");
        let manifest = page(&format!("{program}/Cargo.toml"));
        assert!(manifest.contains(&format!("[[bin]]\nname = \"{name}\"")), "no program `{name}`");
        let image = root().join("Dockerfile");
        if image.exists() {
            let image = page("Dockerfile");
            assert!(image.contains(&format!("/{name} ")) || image.contains(&format!("/{name}\n")));
        }
        if program == "extractor" {
            continue;
        }
        let port = &container["ports"][0]["container_port"];
        assert_eq!(*port, 8080, "Cloud Run sets `PORT` to it, and it is the programs' default");
        for probe in ["startup_probe", "liveness_probe"] {
            let asked = &container[probe][0]["http_get"][0];
            assert!(routes(program).contains(&text(&asked["path"])), "{program}: {asked:#}");
            assert_eq!(asked["port"], *port, "{program}: {asked:#}");
        }
    }
}

#[test]
fn the_planner_finds_the_job_files_that_schedules_name() {
    let Some(deployment) = Deployment::of("everything") else { return };
    let jobs = deployment.one("google_storage_bucket", "jobs");
    let folder = format!("gs://{}", text(&jobs["name"]));
    assert_eq!(set(&deployment, "planner", "SLUICE_JOBS"), folder);
    let files: Vec<String> = deployment
        .all("google_storage_bucket_object")
        .iter()
        .inspect(|file| assert_eq!(file.values["bucket"], jobs["name"]))
        .map(|file| text(&file.values["name"]))
        .collect();
    for schedule in deployment.all("google_cloud_scheduler_job") {
        let body = text(&schedule.values["http_target"][0]["body"]);
        let body = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, body);
        let body: Value = serde_json::from_slice(&body.expect("it is Base64")).expect("it is JSON");
        let file = sluice_contracts::layout::Layout::job_file(
            &object_store::path::Path::default(),
            body["job"].as_str().expect("it names a job"),
        );
        assert!(files.contains(&file.to_string()), "`{file}` is not uploaded: {files:?}");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "{body}");
    }
}
