//! Settings of new tables, as jobs write them.

use super::super::Job;
use super::*;
use crate::documents::TargetType;

fn read(target: &str, more: &str) -> Result<Job, String> {
    let text = format!(
        "name: events\nsource: {{url: '${{SOURCE_URL}}', table: events, columns: [id, at]}}\n\
         columns: {{at: {{name: created_at}}}}\nbucket: gs://lake\n{more}\
         target: {{table: 'bigquery://p/d/t', {target}}}\n"
    );
    Job::read("job.yaml", &text, &["full"]).map_err(|error| error.chain())
}

fn made(target: &str) -> NewTable {
    read(target, "").unwrap().selection.resolve(&[]).unwrap().tables.remove(0).write.new_table
}

#[test]
fn a_new_table_is_made_as_the_job_says() {
    let table = made(
        "partition_by: {column: Created_At, granularity: month, expiration: 90d, \
         require_filter: true}, cluster_by: [id], labels: {team: sales, cost-centre: ''}, \
         description: events of the shop",
    );
    assert_eq!(
        table.partition_by,
        Some(PartitionBy::Time {
            column: Some("Created_At".into()),
            granularity: Granularity::Month,
            expiration: Some(90 * 86_400),
            require_filter: true,
        })
    );
    assert_eq!(table.cluster_by, ["id"]);
    assert_eq!(table.labels["team"], "sales");
    assert_eq!(table.description.as_deref(), Some("events of the shop"));
    assert_eq!(
        made("partition_by: {column: id, range: {start: -5, end: 100, interval: 10}}").partition_by,
        Some(PartitionBy::Range { column: "id".into(), start: -5, end: 100, interval: 10 })
    );
    assert_eq!(
        made("partition_by: {}").partition_by,
        Some(PartitionBy::Time {
            column: None,
            granularity: Granularity::Day,
            expiration: None,
            require_filter: false
        })
    );
    assert!(made("write_disposition: append").is_default());
}

#[test]
fn what_bigquery_would_refuse_is_found_in_the_file() {
    let said = read(
        "write_disposition: append, schema_changes: replace, \
         partition_by: {column: at, range: {start: 0, end: 10001, interval: 1}, \
         granularity: day, expiration: soon}, cluster_by: [id, ID, a, b, c], \
         labels: {Team: x, 2nd: x, ok: No}",
        "",
    )
    .unwrap_err();
    for expected in [
        "`target.schema_changes`: `append` keeps the table",
        "`target.partition_by.column`: no column of the target is called `at`",
        "`target.partition_by.granularity`: stands beside `range`",
        "`target.partition_by.range`: makes more than 10000 partitions",
        "`target.partition_by.expiration`: `soon` is not a duration",
        "`target.cluster_by`: has 5 columns",
        "`target.cluster_by.1`: `ID` is listed twice",
        "`target.cluster_by.2`: no column of the target is called `a`",
        "`target.labels.Team`: is not the key of a label",
        "`target.labels.2nd`: is not the key of a label",
        "`target.labels.ok`: `No` is not the value of a label",
    ] {
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }
    let said = read("partition_by: {range: {start: 1, end: 1, interval: 0}}", "").unwrap_err();
    assert!(said.contains("`target.partition_by.range.interval`: must be at least 1"), "{said}");
    let said = read("partition_by: {range: {start: 1, end: 1, interval: 5}}", "").unwrap_err();
    for expected in ["`target.partition_by.column`: missing", "`end` is not above `start`"] {
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }
    let by_time = "write_disposition: replace_partitions, partition_by: {granularity: month}";
    let said = read(by_time, "").unwrap_err();
    assert!(said.contains("`target.partition_by.column`: missing: `replace_partitions`"), "{said}");
    let said = read("partition_by: {expiration: 90}", "").unwrap_err();
    assert!(said.contains("expected a duration, found a number without a unit"), "{said}");
}

#[test]
fn an_entry_says_what_differs_from_the_others() {
    let long = "x".repeat(1_025);
    let text = |description: &str| {
        format!(
            "name: shop\nsource: {{url: '${{SOURCE_URL}}'}}\nbucket: gs://lake\ntables:\n\
             \x20 - table: a\n    target: {{cluster_by: [id], labels: {{}}}}\n\
             \x20   columns: {{n: {{description: {description}, type: STRING}}}}\n\
             \x20 - table: b\n\
             target: {{dataset: 'bigquery://p/d', schema_changes: add, \
             partition_by: {{granularity: hour}}, labels: {{team: sales}}}}\n"
        )
    };
    let job = Job::read("job.yaml", &text("how many"), &[]).unwrap();
    let tables = job.selection.resolve(&[]).unwrap().tables;
    let (a, b) = (&tables[0], &tables[1]);
    assert_eq!(a.write.new_table.partition_by, b.write.new_table.partition_by);
    assert!(a.write.new_table.partition_by.is_some());
    assert_eq!(
        (&*a.write.new_table.cluster_by, a.write.new_table.labels.len()),
        (&["id".into()][..], 0)
    );
    assert_eq!((b.write.new_table.cluster_by.len(), b.write.new_table.labels.len()), (0, 1));
    assert_eq!(a.write.schema_changes, SchemaChanges::Add);
    assert_eq!(a.columns["n"].description.as_deref(), Some("how many"));
    assert_eq!(a.columns["n"].target_type, Some(TargetType::String));
    let error = Job::read("job.yaml", &text(&long), &[]).unwrap_err();
    let expected = "`tables.0.columns.n.description`: has 1025 characters";
    assert!(error.chain().contains(expected), "{}", error.chain());
}
