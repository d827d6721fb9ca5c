//! Alerts and figures are made of lines that the programs log.

use serde_json::Value;
use sluice_tests::terraform::Deployment;

use super::source::{code_of, page};
use super::{PROGRAMS, list, text};

#[test]
fn alerts_and_metrics_name_lines_and_fields_that_the_programs_log() {
    let Some(deployment) = Deployment::of("everything") else { return };
    let (mut messages, mut fields) = (0, 0);
    for policy in deployment.all("google_monitoring_alert_policy") {
        assert_eq!(list(&policy.values["notification_channels"]).len(), 2, "{policy:#?}");
        let condition = &policy.values["conditions"][0]["condition_matched_log"][0];
        if !condition.is_null() {
            messages += assert_logged(&deployment, &text(&condition["filter"]));
            fields += assert_fields(&condition["label_extractors"]);
        }
    }
    for metric in deployment.all("google_logging_metric") {
        messages += assert_logged(&deployment, &text(&metric.values["filter"]));
        fields += assert_fields(&metric.values["label_extractors"]);
        if let Some(value) = metric.values["value_extractor"].as_str() {
            fields += assert_fields(&serde_json::json!({"value": value}));
        }
    }
    assert!(messages > 15 && fields > 10, "{messages} messages, {fields} fields");
}

#[test]
fn the_sink_sends_what_the_loader_takes() {
    let Some(deployment) = Deployment::of("everything") else { return };
    let sink = deployment.one("google_logging_project_sink", "executions");
    let filter = text(&sink["filter"]);
    let method = "protoPayload.methodName=\"/Jobs.RunJob\"";
    assert!(filter.contains(method) && page("docs/services.md").contains(method), "{filter}");
    let job = text(&deployment.one("google_cloud_run_v2_job", "extractor")["name"]);
    assert!(filter.contains(&format!("resource.labels.job_name=\"{job}\"")), "{filter}");
    let topic = text(&deployment.one("google_pubsub_topic", "executions")["id"]);
    assert_eq!(sink["destination"], format!("pubsub.googleapis.com/{topic}"));
    let pushed = deployment.all("google_pubsub_subscription").into_iter().any(|subscription| {
        let endpoint = text(&subscription.values["push_config"][0]["push_endpoint"]);
        subscription.values["topic"] == topic.as_str() && endpoint.ends_with("/executions")
    });
    assert!(pushed, "nothing brings the loader what the sink sends");
}

/// Fails if a filter names a line that no program logs to where it looks. Returns their number.
fn assert_logged(deployment: &Deployment, filter: &str) -> usize {
    let code: Vec<String> = PROGRAMS
        .into_iter()
        .filter(|(program, kind)| {
            let name = text(&deployment.one(kind, program)["name"]);
            filter.contains(&format!("=\"{name}\""))
        })
        .flat_map(|(program, _)| code_of(program))
        .collect();
    assert!(!code.is_empty(), "it looks at no program's log: {filter}");
    let mut found = 0;
    for rest in filter.split("jsonPayload.message").skip(1) {
        let (how, rest) = rest.split_once('"').expect("a text follows");
        let text = rest.split('"').next().unwrap_or_default();
        let literal = match how {
            "=" => format!("\"{text}\""),
            "=~" => format!("\"{}", text.strip_prefix('^').expect("a beginning")),
            _ => panic!("`{how}` in {filter}"),
        };
        assert!(code.iter().any(|code| code.contains(&literal)), "nobody logs {literal}: {filter}");
        found += 1;
    }
    assert!(found > 0, "it matches lines of any text: {filter}");
    found
}

/// Fails if a field is not documented. Returns their number.
fn assert_fields(extractors: &Value) -> usize {
    let documented = page("docs/services.md");
    let all = extractors.as_object().into_iter().flatten();
    let fields = all.map(|(_, extractor)| {
        let path = extractor.as_str().and_then(|text| text.strip_prefix("EXTRACT(jsonPayload."));
        path.and_then(|path| path.strip_suffix(')')).expect("a field of a line").to_owned()
    });
    let fields: Vec<String> = fields.filter(|field| field != "message").collect();
    for field in &fields {
        assert!(documented.contains(&format!("`{field}`")), "docs/services.md: no `{field}`");
    }
    fields.len()
}
