//! What a target table is made with, as a job says it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::JobProblem;
use super::yaml::duration_hint;
use super::{JobFile, TargetFile};
use crate::documents::{Dedup, Granularity, NewTable, PartitionBy, SchemaChanges, TableWrite};
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

    /// What an entry of `tables` says, or else the job's `target`, with the rows that are left out.
    pub(super) fn of_entry(
        target: &TargetFile,
        entry: Option<Self>,
        dedup: Option<Dedup>,
    ) -> TableWrite {
        let (all, own) = (Self::of(target), entry.unwrap_or_default());
        let partition_by = own.partition_by.or(all.partition_by);
        TableWrite {
            key: own.key.or(all.key).unwrap_or_default(),
            order_by: own.order_by.or(all.order_by),
            dedup,
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
    let (names, disposition) = (names(file), file.target.write_disposition);
    Check { path: "target", names: names.as_deref(), disposition, problems }
        .all(&EntryTargetFile::of(target));
    for (at, entry) in file.tables.iter().flatten().enumerate() {
        if let Some(own) = &entry.target {
            Check { path: &format!("tables.{at}.target"), names: None, disposition, problems }
                .all(own);
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
    disposition: WriteDisposition,
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
        } else if by.column.is_none() && self.disposition == WriteDisposition::ReplacePartitions {
            self.say(
                "partition_by.column",
                "missing: `replace_partitions` finds the partition of a row by a column",
                "name the column, or write another `write_disposition`",
            );
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
        } else if width > i128::from(i64::MAX) {
            self.say(place, "is wider than BigQuery counts", "begin it later or end it earlier");
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
mod tests;
