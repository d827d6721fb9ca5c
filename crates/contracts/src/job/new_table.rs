//! What a target table is made with, as a job says it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::JobProblem;
use super::yaml::duration_hint;
use super::{JobFile, TargetFile};
use crate::documents::{Granularity, NewTable, PartitionBy, SchemaChanges, TableWrite};
use crate::job::WriteDisposition;

/// Most columns that a table is clustered by.
/// <https://cloud.google.com/bigquery/docs/clustered-tables#limitations>
const MOST_CLUSTERED: usize = 4;
/// Most partitions of a table. <https://cloud.google.com/bigquery/quotas#partitioned_tables>
const MOST_PARTITIONS: i128 = 10_000;
/// Most labels of a table, and most characters of a label's key or value.
/// <https://cloud.google.com/bigquery/docs/labels-intro#requirements>
const MOST_LABELS: usize = 64;
const LONGEST_LABEL: usize = 63;
/// Most characters of the description of a table.
/// <https://cloud.google.com/bigquery/quotas#standard_tables>
pub const LONGEST_TABLE_DESCRIPTION: usize = 16_384;
/// Most characters of the description of a column.
pub const LONGEST_COLUMN_DESCRIPTION: usize = 1_024;

/// How a table is partitioned that a load makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionByFile {
    /// Column, by its name in the target. By the time of loading, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// How long a partition of time is: a day, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granularity: Option<Granularity>,
    /// Ranges of whole numbers, instead of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeFile>,
    /// Age at which BigQuery deletes the rows of a partition of time, such as `90d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// Whether a query has to say which partitions of time it reads.
    #[serde(default, skip_serializing_if = "super::file::is_default")]
    pub require_filter: bool,
}

/// Ranges of whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeFile {
    /// Where the first range begins.
    pub start: i64,
    /// Where the last range ends; it is not part of it.
    pub end: i64,
    /// Width of each range.
    #[schemars(range(min = 1))]
    pub interval: i64,
}

/// The target of an entry of `tables`, where it differs from the job's `target`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryTargetFile {
    /// Columns that identify a row for `merge`, by their names in the target. The source's primary
    /// key, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<String>>,
    /// Column that says for `merge` which of several rows with one key is the newest, by its name
    /// in the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
    /// How a table that the load makes is partitioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<PartitionByFile>,
    /// What a table that the load makes is clustered by: up to 4 columns, by their names in the
    /// target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_by: Option<Vec<String>>,
    /// Labels of a table that the load makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Description of a table that the load makes. The table's comment in the source, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl EntryTargetFile {
    /// What `target` of a job says.
    pub(super) fn of(target: &TargetFile) -> Self {
        Self {
            key: target.key.clone(),
            order_by: target.order_by.clone(),
            partition_by: target.partition_by.clone(),
            cluster_by: target.cluster_by.clone(),
            labels: target.labels.clone(),
            description: target.description.clone(),
        }
    }

    /// What an entry of `tables` says, or else the job's `target`.
    pub(super) fn of_entry(target: &TargetFile, entry: Option<Self>) -> TableWrite {
        let (all, own) = (Self::of(target), entry.unwrap_or_default());
        let partition_by = own.partition_by.or(all.partition_by);
        TableWrite {
            key: own.key.or(all.key).unwrap_or_default(),
            order_by: own.order_by.or(all.order_by),
            schema_changes: target.schema_changes,
            new_table: NewTable {
                partition_by: partition_by.and_then(PartitionByFile::lower),
                cluster_by: own.cluster_by.or(all.cluster_by).unwrap_or_default(),
                labels: own.labels.or(all.labels).unwrap_or_default(),
                description: own.description.or(all.description),
            },
            ..TableWrite::of(target.write_disposition)
        }
    }
}

impl PartitionByFile {
    /// Its meaning; `None` if a check has found it wrong.
    fn lower(self) -> Option<PartitionBy> {
        if let Some(RangeFile { start, end, interval }) = self.range {
            return Some(PartitionBy::Range { column: self.column?, start, end, interval });
        }
        let expiration = self.expiration.map(|typed| humantime::parse_duration(&typed));
        Some(PartitionBy::Time {
            column: self.column,
            granularity: self.granularity.unwrap_or_default(),
            expiration: expiration.transpose().ok()?.map(|age| age.as_secs()),
            require_filter: self.require_filter,
        })
    }
}

/// Checks what tables are to be made with.
pub(super) fn check_new_tables(file: &JobFile, problems: &mut Vec<JobProblem>) {
    let target = &file.target;
    if target.schema_changes == SchemaChanges::Replace
        && target.write_disposition != WriteDisposition::Truncate
    {
        let disposition = target.write_disposition.name();
        problems.push(
            JobProblem::new(
                "target.schema_changes",
                format!("`{disposition}` keeps the table, and `replace` replaces its columns"),
            )
            .hint("write `add`, or leave it out; `write_disposition: truncate` replaces the table"),
        );
    }
    let names = names(file);
    Check { path: "target", names: names.as_deref(), problems }.all(&EntryTargetFile::of(target));
    for (at, entry) in file.tables.iter().flatten().enumerate() {
        if let Some(own) = &entry.target {
            Check { path: &format!("tables.{at}.target"), names: None, problems }.all(own);
        }
    }
    let columns = |columns: &BTreeMap<String, super::ColumnFile>, path: &str| {
        let asked = columns.iter().filter_map(|(name, asked)| {
            Some((format!("{path}.{name}.description"), asked.description.clone()?))
        });
        asked.collect::<Vec<_>>()
    };
    let mut described = columns(&file.columns, "columns");
    for (at, entry) in file.tables.iter().flatten().enumerate() {
        described.extend(columns(&entry.columns, &format!("tables.{at}.columns")));
    }
    for (path, description) in described {
        check_description(path, &description, LONGEST_COLUMN_DESCRIPTION, problems);
    }
}

/// The names of the columns in the target, if the job lists its columns.
fn names(file: &JobFile) -> Option<Vec<String>> {
    let name = |column: &String| {
        let asked = file.columns.get(column).and_then(|asked| asked.name.clone());
        asked.unwrap_or_else(|| column.clone())
    };
    file.source.columns.as_ref().map(|columns| columns.iter().map(name).collect())
}

/// The check of the settings at one place of the file.
struct Check<'a> {
    path: &'a str,
    names: Option<&'a [String]>,
    problems: &'a mut Vec<JobProblem>,
}

impl Check<'_> {
    fn all(&mut self, file: &EntryTargetFile) {
        for (at, column) in file.key.iter().flatten().enumerate() {
            self.column(&format!("key.{at}"), column);
        }
        if let Some(column) = &file.order_by {
            self.column("order_by", column);
        }
        if let Some(by) = &file.partition_by {
            self.partitioning(by);
        }
        if let Some(by) = &file.cluster_by {
            self.clustering(by);
        }
        if let Some(labels) = &file.labels {
            self.labels(labels);
        }
        if let Some(description) = &file.description {
            let path = format!("{}.description", self.path);
            check_description(path, description, LONGEST_TABLE_DESCRIPTION, self.problems);
        }
    }

    fn say(&mut self, key: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(JobProblem::new(format!("{}.{key}", self.path), what).hint(hint));
    }

    fn partitioning(&mut self, by: &PartitionByFile) {
        if let Some(column) = &by.column {
            self.column("partition_by.column", column);
        }
        if let Some(range) = by.range {
            self.range(by, range);
        }
        let Some(typed) = &by.expiration else { return };
        match humantime::parse_duration(typed) {
            Ok(age) if age.as_secs() > 0 => {}
            Ok(_) => self.say("partition_by.expiration", "is no time", "leave it out"),
            Err(_) => self.say(
                "partition_by.expiration",
                format!("`{typed}` is not a duration"),
                match typed.trim().parse().ok().filter(|seconds| *seconds > 0) {
                    Some(seconds) => duration_hint(Some(seconds)),
                    None => "write `90d` or `12h`".to_owned(),
                },
            ),
        }
    }

    fn range(&mut self, by: &PartitionByFile, range: RangeFile) {
        let place = "partition_by.range";
        if by.column.is_none() {
            self.say("partition_by.column", "missing", "name the column that the ranges are of");
        }
        let of_time = [
            ("granularity", by.granularity.is_some()),
            ("expiration", by.expiration.is_some()),
            ("require_filter", by.require_filter),
        ];
        for (key, _) in of_time.into_iter().filter(|(_, stands)| *stands) {
            self.say(
                &format!("partition_by.{key}"),
                "stands beside `range`",
                "it is for partitions of time; leave one of the two out",
            );
        }
        let width = i128::from(range.end) - i128::from(range.start);
        if width <= 0 {
            self.say(place, "`end` is not above `start`", "the last range ends before `end`");
        } else if (width - 1) / i128::from(range.interval.max(1)) >= MOST_PARTITIONS {
            self.say(
                place,
                format!("makes more than {MOST_PARTITIONS} partitions, the most of a table"),
                "write a larger `interval`",
            );
        }
    }

    fn clustering(&mut self, by: &[String]) {
        if by.is_empty() {
            self.say("cluster_by", "is empty", "leave it out");
        }
        if by.len() > MOST_CLUSTERED {
            self.say(
                "cluster_by",
                format!("has {} columns", by.len()),
                format!("BigQuery clusters by at most {MOST_CLUSTERED}"),
            );
        }
        for (at, column) in by.iter().enumerate() {
            let key = format!("cluster_by.{at}");
            if by.iter().take(at).any(|other| other.eq_ignore_ascii_case(column)) {
                self.say(&key, format!("`{column}` is listed twice"), "keep one of them");
            }
            self.column(&key, column);
        }
    }

    fn column(&mut self, key: &str, column: &str) {
        let known = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case(column));
        if let Some(names) = self.names.filter(|names| !known(names)) {
            let hint = super::nearest_hint(column, names);
            self.say(key, format!("no column of the target is called `{column}`"), hint);
        }
    }

    fn labels(&mut self, labels: &BTreeMap<String, String>) {
        if labels.len() > MOST_LABELS {
            self.say(
                "labels",
                format!("has {} labels", labels.len()),
                format!("a table has at most {MOST_LABELS}"),
            );
        }
        // Letters of every alphabet are allowed; those that have two cases, in the lower one.
        let fits = |text: &str| {
            let one = |c: char| c == '_' || c == '-' || (c.is_alphanumeric() && !c.is_uppercase());
            text.chars().count() <= LONGEST_LABEL && text.chars().all(one)
        };
        for (key, value) in labels {
            if !fits(key) || !key.starts_with(char::is_alphabetic) {
                self.say(
                    &format!("labels.{key}"),
                    "is not the key of a label",
                    "write 1 to 63 lowercase letters, digits, `-` or `_`, a letter first",
                );
            }
            if !fits(value) {
                self.say(
                    &format!("labels.{key}"),
                    format!("`{value}` is not the value of a label"),
                    "write at most 63 lowercase letters, digits, `-` or `_`",
                );
            }
        }
    }
}

fn check_description(path: String, text: &str, longest: usize, problems: &mut Vec<JobProblem>) {
    let length = text.chars().count();
    if length > longest {
        problems.push(
            JobProblem::new(path, format!("has {length} characters"))
                .hint(format!("BigQuery holds at most {longest}")),
        );
    }
}

#[cfg(test)]
mod tests {
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
            made("partition_by: {column: id, range: {start: -5, end: 100, interval: 10}}")
                .partition_by,
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
        assert!(
            said.contains("`target.partition_by.range.interval`: must be at least 1"),
            "{said}"
        );
        let said = read("partition_by: {range: {start: 1, end: 1, interval: 5}}", "").unwrap_err();
        for expected in ["`target.partition_by.column`: missing", "`end` is not above `start`"] {
            assert!(said.contains(expected), "{expected}\nis not in\n{said}");
        }
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
}
