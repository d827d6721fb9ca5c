//! How a table's rows are partitioned and clustered, and what else a table is made with.

use serde_json::{Map, Value, json};
use sluice_contracts::documents::{Column, Granularity, NewTable, PartitionBy, TargetType};
use sluice_contracts::job::nearest_hint;
use sluice_contracts::{Error, Result};

use super::existing::new_schema;
use super::schema::text;
use crate::target::Load;
use sluice_runtime::google::bigquery::TableId;

/// Partitioning and clustering of a table that the load makes, as a table and a job spell them.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TimePartitioning>
pub(super) fn of_new(new: &NewTable, columns: &[Column]) -> Map<String, Value> {
    let spelled = |name: &str| {
        let same = |column: &&Column| column.name.eq_ignore_ascii_case(name);
        columns.iter().find(same).map_or(name, |column| &column.name).to_owned()
    };
    let mut layout = Map::new();
    match &new.partition_by {
        None => {}
        Some(PartitionBy::Time { column, granularity, expiration, require_filter }) => {
            let mut time = json!({"type": time_type(*granularity)});
            if let Some(column) = column {
                time["field"] = spelled(column).into();
            }
            if let Some(seconds) = expiration {
                time["expirationMs"] = milliseconds(*seconds).into();
            }
            if *require_filter {
                // A load job has no other place to ask for it.
                time["requirePartitionFilter"] = true.into();
            }
            layout.insert("timePartitioning".to_owned(), time);
        }
        Some(PartitionBy::Range { column, start, end, interval }) => {
            let range = json!({
                "start": start.to_string(),
                "end": end.to_string(),
                "interval": interval.to_string(),
            });
            let spec = json!({"field": spelled(column), "range": range});
            layout.insert("rangePartitioning".to_owned(), spec);
        }
    }
    if !new.cluster_by.is_empty() {
        let fields: Vec<String> = new.cluster_by.iter().map(|name| spelled(name)).collect();
        layout.insert("clustering".to_owned(), json!({"fields": fields}));
    }
    layout
}

/// Description and labels of a table that the load makes.
pub(super) fn properties_of_new(new: &NewTable) -> Map<String, Value> {
    let mut properties = Map::new();
    if let Some(description) = &new.description {
        properties.insert("description".to_owned(), description.as_str().into());
    }
    if !new.labels.is_empty() {
        properties.insert("labels".to_owned(), json!(new.labels));
    }
    properties
}

/// What a table lacks that was made by a copy of staging tables, or by a statement over them: only
/// load jobs take all of it.
pub(super) fn missing_after_staging(load: &Load) -> Map<String, Value> {
    let mut missing = properties_of_new(&load.new_table);
    if let Some(PartitionBy::Time { require_filter: true, .. }) = load.new_table.partition_by {
        missing.insert("requirePartitionFilter".to_owned(), true.into());
    }
    if load.columns.iter().any(|column| column.description.is_some()) {
        missing.insert("schema".to_owned(), new_schema(&load.columns));
    }
    missing
}

/// What BigQuery would refuse of the partitioning and clustering that the job asks for.
/// <https://cloud.google.com/bigquery/docs/partitioned-tables#types_of_partitioning>
/// <https://cloud.google.com/bigquery/docs/clustered-tables#cluster_column_types>
pub(super) fn refusals(new: &NewTable, columns: &[Column]) -> Vec<Error> {
    let mut refusals = Vec::new();
    let mut check = |key: &str, name: &str, fits: &dyn Fn(TargetType) -> bool, known: &str| {
        let Some(column) = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
        else {
            let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
            let what = format!("`{key}` names `{name}`, which the table has no column for");
            refusals.push(Error::invalid(what).hint(nearest_hint(name, &names)));
            return;
        };
        if column.repeated || !fits(column.target_type) {
            let array = if column.repeated { "an array of " } else { "" };
            let what = format!("`{key}` names `{name}`, which is {array}{}", column.target_type);
            refusals.push(Error::invalid(what).hint(format!("BigQuery takes {known}")));
        }
    };
    match &new.partition_by {
        Some(PartitionBy::Time { column: Some(column), granularity, .. }) => {
            let hourly = *granularity == Granularity::Hour;
            let fits = |kind| match kind {
                TargetType::Date => !hourly,
                TargetType::Timestamp | TargetType::Datetime => true,
                _ => false,
            };
            let known = if hourly {
                "a TIMESTAMP or DATETIME column for partitions of an hour"
            } else {
                "a DATE, TIMESTAMP or DATETIME column for partitions of time"
            };
            check("partition_by", column, &fits, known);
        }
        Some(PartitionBy::Range { column, .. }) => {
            let fits = |kind| kind == TargetType::Int64;
            check("partition_by", column, &fits, "an INT64 column for partitions of ranges");
        }
        Some(PartitionBy::Time { column: None, .. }) | None => {}
    }
    for column in &new.cluster_by {
        let fits = |kind| {
            !matches!(
                kind,
                TargetType::Float64
                    | TargetType::Bytes
                    | TargetType::Time
                    | TargetType::Json
                    | TargetType::Interval
                    | TargetType::Struct
            )
        };
        let known = "columns of BIGNUMERIC, BOOL, DATE, DATETIME, GEOGRAPHY, INT64, NUMERIC, \
                     RANGE, STRING or TIMESTAMP to cluster by, and no arrays";
        check("cluster_by", column, &fits, known);
    }
    refusals
}

/// Refuses a table whose rows are partitioned otherwise than the job says. A job that says nothing
/// takes every table.
pub(super) fn require_same(table: &Value, new: &NewTable, id: &TableId) -> Result<()> {
    let Some(wanted) = &new.partition_by else { return Ok(()) };
    let (is, asked) = (partitioning(table), partitioning_of(wanted));
    if is.eq_ignore_ascii_case(&asked) {
        return Ok(());
    }
    Err(Error::data(format!("the table is {is}, and the job says `partition_by`: {asked}")).hint(
        format!(
            "leave `partition_by` out, or `bq rm -t {}:{}.{}` deletes the table with its rows; the \
             run makes it anew",
            id.project, id.dataset, id.table
        ),
    ))
}

/// What of the job's settings an existing table does not have, with the statement that gives it.
pub(super) fn warnings(table: &Value, new: &NewTable, id: &TableId) -> Vec<String> {
    let mut warnings = Vec::new();
    let time = table.get("timePartitioning");
    let options = |option: &str| format!("ALTER TABLE `{id}` SET OPTIONS ({option})");
    if let (Some(time), Some(PartitionBy::Time { expiration, require_filter, .. })) =
        (time, &new.partition_by)
    {
        let held = text(time, "expirationMs");
        let wanted = expiration.map(milliseconds);
        if let Some(wanted) = wanted.filter(|wanted| wanted != held) {
            let days = days(wanted.parse().unwrap_or_default());
            warnings.push(format!(
                "the table keeps the rows of a partition for {}, and not as the job says: {}",
                held.parse().map_or_else(
                    |_| "good".to_owned(),
                    |held: u64| format!("{} days", self::days(held))
                ),
                options(&format!("partition_expiration_days = {days}"))
            ));
        }
        let filter = |value: &Value| value.get("requirePartitionFilter") == Some(&true.into());
        if *require_filter && !filter(table) && !filter(time) {
            warnings.push(format!(
                "the table takes queries without a filter by its partitions, and not as the job \
                 says: {}",
                options("require_partition_filter = true")
            ));
        }
    }
    let held = clustering(table);
    let same = |(one, other): (&&str, &String)| one.eq_ignore_ascii_case(other);
    if !new.cluster_by.is_empty()
        && (held.len() != new.cluster_by.len() || !held.iter().zip(&new.cluster_by).all(same))
    {
        let is = match held.as_slice() {
            [] => "not clustered".to_owned(),
            by => format!("clustered by {}", by.join(", ")),
        };
        warnings.push(format!(
            "the table is {is}, and stays so, though the job says `cluster_by`: {}; `bq update \
             --clustering_fields={} {}:{}.{}` changes it",
            new.cluster_by.join(", "),
            new.cluster_by.join(","),
            id.project,
            id.dataset,
            id.table
        ));
    }
    warnings
}

/// What happens to the rows of a table that the load makes.
pub(super) fn warnings_of_new(new: &NewTable) -> Option<String> {
    let Some(PartitionBy::Time { expiration: Some(seconds), .. }) = &new.partition_by else {
        return None;
    };
    Some(format!(
        "the table is made with an expiration: BigQuery deletes rows of partitions that are older \
         than {} days, those of this load too",
        days(seconds.saturating_mul(1_000))
    ))
}

/// The columns that a table is partitioned or clustered by.
pub(super) fn columns(table: &Value) -> Vec<&str> {
    let by = |key: &str| table.get(key).map(|spec| text(spec, "field"));
    let partitions = [by("timePartitioning"), by("rangePartitioning")];
    // Partitions by the time of loading have no column.
    let partitions = partitions.into_iter().flatten().filter(|name| !name.is_empty());
    partitions.chain(clustering(table)).collect()
}

fn clustering(table: &Value) -> Vec<&str> {
    let fields = table.get("clustering").and_then(|spec| spec.get("fields"));
    let fields = fields.and_then(Value::as_array).into_iter().flatten();
    fields.filter_map(Value::as_str).collect()
}

/// How a table is partitioned, in words.
fn partitioning(table: &Value) -> String {
    if let Some(time) = table.get("timePartitioning") {
        return by_time(
            Some(text(time, "field")).filter(|name| !name.is_empty()),
            text(time, "type"),
        );
    }
    if let Some(spec) = table.get("rangePartitioning") {
        let range = spec.get("range").unwrap_or(&Value::Null);
        let number = |key| match range.get(key) {
            Some(Value::String(number)) => number.clone(),
            Some(number) => number.to_string(),
            None => String::new(),
        };
        return by_range(text(spec, "field"), [number("start"), number("end"), number("interval")]);
    }
    "not partitioned".to_owned()
}

/// The same of what the job asks for.
fn partitioning_of(wanted: &PartitionBy) -> String {
    match wanted {
        PartitionBy::Time { column, granularity, .. } => {
            by_time(column.as_deref(), time_type(*granularity))
        }
        PartitionBy::Range { column, start, end, interval } => {
            by_range(column, [start, end, interval].map(ToString::to_string))
        }
    }
}

fn by_time(column: Option<&str>, kind: &str) -> String {
    match column {
        Some(column) => format!("partitioned by the {kind} of `{column}`"),
        None => format!("partitioned by the {kind} of loading"),
    }
}

fn by_range(column: &str, [start, end, interval]: [String; 3]) -> String {
    format!("partitioned by `{column}` from {start} to {end} in steps of {interval}")
}

fn time_type(granularity: Granularity) -> &'static str {
    match granularity {
        Granularity::Hour => "HOUR",
        Granularity::Day => "DAY",
        Granularity::Month => "MONTH",
        Granularity::Year => "YEAR",
    }
}

fn milliseconds(seconds: u64) -> String {
    seconds.saturating_mul(1_000).to_string()
}

/// Days, as BigQuery's options count them: with a fraction.
#[expect(
    clippy::cast_precision_loss,
    reason = "an age of partitions is far below 2^53 milliseconds"
)]
fn days(milliseconds: u64) -> f64 {
    milliseconds as f64 / 86_400_000.0
}
