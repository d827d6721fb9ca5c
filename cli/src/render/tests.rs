//! The text that people read.

use std::fmt::Write as _;

use clap::CommandFactory as _;
use serde_json::json;
use sluice_contracts::documents::{Dropped, Manifest, Stages, TargetType};
use sluice_sources::{Becomes, Example, TypeRow};

use super::{plan, planner_status, run, status, timeline, type_page};
use crate::arguments::Arguments;
use crate::status::{Announced, Launch, Requested, StatusReport};
use crate::summary::{FilesReport, RunReport, State, TableReport};
use sluice_contracts::store::{Stage, parse_manifest};

/// A plan with everything in it that is rendered in a way of its own.
fn manifest(units: u32) -> Manifest {
    let day = |day: u32| format!("'2024-01-{day:02} 00:00:00+00'");
    let units: Vec<_> = (0..units)
        .map(|index| {
            let predicate = match index {
                0 => format!("created_at < {}", day(1)),
                n => format!("created_at >= {} and created_at < {}", day(n), day(n + 1)),
            };
            json!({
                "index": index, "cut": {"kind": "full"}, "predicate": predicate,
                "rows": 100_000 / (index + 1), "bytes": 1000
            })
        })
        .collect();
    let column = |name: &str, source: &str, target: &str| {
        json!({
            "name": name, "source_name": name, "source_type": source, "encoding": "x",
            "target_type": target
        })
    };
    let mut amount = column("amount", "numeric(12,2)", "NUMERIC");
    amount["decimal"] = json!({"precision": 12, "scale": 2});
    amount["invalid"] = json!("NaN");
    let mut tags = column("tags", "text[]", "STRING");
    tags["repeated"] = json!(true);
    let mut at = column("created", "timestamp with time zone", "TIMESTAMP");
    at["source_name"] = json!("created_at");
    at["invalid"] = json!("infinity");
    at["on_invalid"] = json!("null");
    let own: Vec<_> = units.iter().map(|unit| json!({"table": 0, "unit": unit["index"]})).collect();
    let mut tax = amount.clone();
    (tax["name"], tax["source_name"]) = (json!("tax"), json!("tax"));
    let document = json!({
        "version": 1, "run": "0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90", "job": "events",
        "planned": "2024-02-01T03:00:00Z", "source": "${SOURCE_URL}",
        "bucket": "file:///data/bucket", "consistency": "snapshot",
        "tables": [{
            "index": 0, "name": "public.events",
            "relation": {"table": {"schema": "public", "name": "events"}},
            "filter": "amount > 0", "target": "file:///data/warehouse/shop/events",
            "write_disposition": "append", "strategy": "date_range",
            "reason": "an index begins with the timestamp `created_at`",
            "columns": [column("id", "bigint", "INT64"), amount, tags, at, tax], "shape": "",
            "rows": 1_234_567, "bytes": 98_765_432, "units": units,
            "warnings": ["the statistics of `public.events` are 40 days old"]
        }],
        "tasks": [{"index": 0, "units": own}, {"index": 1, "units": []}],
        "estimate": {"rows": 1_234_567, "bytes": 98_765_432, "seconds": 74.2, "dollars": 0.00264}
    });
    parse_manifest(&"manifest.json".into(), document.to_string().as_bytes()).unwrap()
}

fn report(state: State) -> RunReport {
    RunReport {
        run: "0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90".into(),
        job: "events".into(),
        rows: 1_234_567,
        bytes: 98_765_432,
        stored_bytes: 12_345_678,
        units: 5,
        tasks: 2,
        parts: 5,
        seconds: 12.5,
        stages: Stages { read: 7.6, decode: 2.9, encode: 1.4, compress: 6.1, upload: 0.4 },
        tables: vec![TableReport {
            table: "public.events".into(),
            target: "file:///data/warehouse/shop/events".into(),
            write_disposition: Some("append"),
            strategy: Some("date_range".into()),
            rows: 1_234_567,
            is_native: false,
            units: 5,
            units_done: 3,
            state,
            overtaken_by: None,
            error: None,
            hint: None,
            invalid: [("amount".into(), 1200), ("created".into(), 1)].into(),
            bad_rows: None,
            dropped: Some(Dropped { rows: 4321, ties: 2 }),
            files: Some(FilesReport {
                new: 2,
                left_out: 1_200,
                changed: 3,
                changed_paths: vec!["in/a.csv".to_owned()],
            }),
        }],
        excluded: vec![],
    }
}

#[test]
fn help() {
    insta::assert_snapshot!(Arguments::command().render_help());
}

#[test]
fn help_of_every_command() {
    let mut command = Arguments::command();
    command.build();
    let mut text = String::new();
    for command in command.get_subcommands_mut().filter(|command| !command.is_hide_set()) {
        let help = command.render_help();
        writeln!(text, "== {}\n{help}", command.get_name()).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_plan() {
    insta::assert_snapshot!(plan::render(&manifest(5)));
}

#[test]
fn a_plan_of_many_units_groups_them() {
    let text = plan::render(&manifest(100));
    let histogram: Vec<&str> =
        text.lines().skip_while(|line| !line.contains("units, by")).collect();
    insta::assert_snapshot!(histogram[..28].join("\n"));
}

#[test]
fn a_plan_as_a_document() {
    insta::assert_json_snapshot!(plan::PlanReport::of(&manifest(1)));
}

#[test]
fn a_summary() {
    insta::assert_snapshot!(run::render(&report(State::Committed)));
}

#[test]
fn a_summary_of_many_tables_names_those_that_failed() {
    let mut report = report(State::Committed);
    let mut failed = report.tables[0].clone();
    failed.table = "public.a".into();
    failed.state = State::Failed;
    failed.error = Some("unit 0 of 1 of table `public.a`: permission denied".into());
    failed.rows = 0;
    failed.invalid.clear();
    report.tables.push(failed);
    report.excluded = serde_json::from_value(json!([
        {"table": "public.django_session", "reason": "the job excludes it"}
    ]))
    .unwrap();
    insta::assert_snapshot!(run::render(&report));
}

#[test]
fn a_plan_of_many_tables_has_a_line_for_each() {
    let mut plan = manifest(3);
    let mut second = plan.tables[0].clone();
    (second.index, second.name) = (1, "public.orders_archive".into());
    second.warnings.clear();
    second.columns.truncate(1);
    (second.rows, second.bytes) = (12, 345);
    plan.tables.push(second);
    plan.refused = serde_json::from_value(json!([{
        "table": "public.shapes", "target": "file:///data/warehouse/shop/shapes",
        "kind": "invalid", "message": "describe table `public.shapes`: column `box` is `box`",
        "hint": "leave it out with `select`"
    }]))
    .unwrap();
    insta::assert_snapshot!(plan::render(&plan));
}

#[test]
fn the_types_of_a_source() {
    let row = |name, becomes, refused, example: [&'static str; 2]| TypeRow {
        source: "sqlite",
        family: "numbers",
        name,
        becomes,
        refused,
        example: Example { source: example[0], target: example[1] },
    };
    let to = |target_type, repeated, invalid| Becomes { target_type, repeated, invalid };
    let plain =
        || vec![to(TargetType::Int64, false, None), to(TargetType::Float64, false, Some("a|b"))];
    let rows = [
        row("INT", plain(), None, ["1", "1"]),
        row("BIGINT", plain(), None, ["1", "1"]),
        row("int[]", vec![to(TargetType::Int64, true, Some("NULL"))], None, ["{1}", "[1]"]),
        row("", vec![to(TargetType::Json, false, Some("text"))], Some("unknown"), ["`1`", ""]),
    ];
    let page = type_page::render(&rows);
    let (_, tables) = page.split_once("### SQLite: numbers").unwrap();
    insta::assert_snapshot!(tables);
    assert_eq!(type_page::document(&rows)["types"][3]["refused"], "unknown");
}

fn status_report(state: State) -> StatusReport {
    StatusReport {
        state: Stage::Extracting,
        run: report(state),
        bucket: "file:///data/bucket".into(),
        requested: None,
        planned: Some("2024-02-01T03:00:00Z".parse().unwrap()),
        launches: vec![],
        max_executions: Some(3),
        verdict: None,
        committed: None,
        announced: None,
        failures: serde_json::from_value(json!([{
            "version": 1, "task": 1, "attempt": 0, "execution": "sluice-1", "unit": [0, 4],
            "kind": "denied", "message": "unit 4 of 5 of table `public.events`: permission denied",
            "hint": "grant `select`", "at": "2024-02-01T03:00:05Z"
        }]))
        .unwrap(),
    }
}

#[test]
fn a_status() {
    insta::assert_snapshot!(status::render(&status_report(State::Extracting)));
}

#[test]
fn a_status_in_the_cloud() {
    let mut status = status_report(State::Failed);
    let at = |second: u32| format!("2024-02-01T03:00:{second:02}Z").parse().unwrap();
    let launch = |launch, execution: Option<&str>, reason: Option<&str>| Launch {
        number: launch,
        ordered: Some(at(2)),
        tasks: reason.map(|_| 2),
        reason: reason.map(str::to_owned),
        execution: execution.map(str::to_owned),
        claimed: execution.map(|_| at(3)),
    };
    status.state = Stage::Failed;
    status.requested = Some(Requested { at: at(0), run_key: Some("nightly".into()) });
    status.launches = vec![
        launch(0, Some("extractor-abc12"), Some("every task of the plan")),
        launch(1, None, Some("2 of 5 work units have no receipt")),
        launch(2, Some("extractor-x"), None),
    ];
    status.verdict = serde_json::from_value(json!({
        "version": 1, "decision": "fail", "at": "2024-02-01T03:00:08Z",
        "failure": {"kind": "denied", "message": "read table `public.events`", "hint": "grant it"}
    }))
    .unwrap();
    status.announced =
        Some(Announced { event: sluice_contracts::documents::EventName::Failed, at: at(9) });
    let lines = timeline::timeline(&status).join("\n");
    insta::assert_snapshot!(format!("{}\n---- timeline\n{lines}", status::render(&status)));
}

#[test]
fn a_run_as_its_planner_tells_of_it() {
    let status: planner_status::PlannerStatus = serde_json::from_value(json!({
        "run": "0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90", "job": "shop", "state": "failed",
        "run_key": "nightly", "requested": "2024-02-01T03:00:00Z", "units": 12, "units_done": 7,
        "rows": 1_234_567,
        "tables": [
            {"table": "public.events", "target": "bigquery://p/shop/events", "strategy": "ctid",
             "units": 11, "units_done": 7, "rows": 1_234_567, "invalid": {"amount": 1200}},
            {"table": "public.a", "target": "bigquery://p/shop/a", "units": 1, "units_done": 0,
             "rows": 0, "failure": {"kind": "denied", "message": "permission denied"}}
        ],
        "failure": {"kind": "data", "message": "load run", "hint": "look"},
        "links": {"run": "https://planner.example/runs/0193f2c4", "log": "https://logs.example/"}
    }))
    .unwrap();
    let lines = planner_status::timeline(&status).join("\n");
    insta::assert_snapshot!(format!("{}\n---- timeline\n{lines}", planner_status::render(&status)));
    let bare: planner_status::PlannerStatus =
        serde_json::from_value(json!({"run": "0193", "state": "planning", "more": 1})).unwrap();
    insta::assert_snapshot!(planner_status::render(&bare));
}
