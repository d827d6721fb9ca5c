//! Why a job failed, without BigQuery's own message, which may contain a cell's value.

use std::collections::BTreeSet;

use sluice_contracts::documents::{RunId, TargetType};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Kind};

use super::address;
use super::merge;
use super::statement::HAS_ROWS;
use crate::target::{Load, NotLoaded};
use sluice_runtime::google::bigquery::{JobFailure, JobName, TableId};

/// The failure of a job that was to make these loads visible.
pub(super) fn not_loaded(loads: &[Load], name: &JobName, failure: &JobFailure) -> NotLoaded {
    let load = match loads {
        [load] => Some(load),
        loads => loads.iter().find(|load| is_of(load, failure)),
    };
    NotLoaded { table: load.map(|load| load.table), error: error(load, loads, name, failure) }
}

/// Whether the failure names the table of a load.
fn is_of(load: &Load, failure: &JobFailure) -> bool {
    let names = |table: &TableId| {
        let name = format!("{}.{}", table.dataset, table.table);
        has_word(&failure.message, &name)
    };
    address::parse(&load.target).is_ok_and(|table| names(&table))
}

/// The failure of a job, classified by who must act on it.
/// <https://cloud.google.com/bigquery/docs/error-messages#errortable>
fn error(load: Option<&Load>, loads: &[Load], name: &JobName, failure: &JobFailure) -> Error {
    let job = format!(
        "`bq --location={} show -j {}:{}` shows BigQuery's own message",
        name.location, name.project, name.id
    );
    if let Some(error) = of_key(load, failure).or_else(|| of_text(loads, failure)) {
        return error;
    }
    if let Some(load) = load.filter(|_| failure.message.contains("Too many partitions")) {
        return too_many_partitions(load);
    }
    match failure.reason.as_str() {
        _ if failure.message.contains(HAS_ROWS) => has_rows(),
        "duplicate" => has_rows(),
        "accessDenied" | "billingNotEnabled" | "billingTierLimitExceeded" | "blocked" => {
            Error::new(
                Kind::Denied,
                format!("BigQuery denied the job, for the reason `{}`", failure.reason),
            )
            .hint(format!(
                "the loader's identity has to read the bucket and write the dataset \
             (`roles/storage.objectViewer`, `roles/bigquery.dataEditor`), and the datasets of a source in \
             BigQuery (`roles/bigquery.dataViewer`); {job}"
            ))
        }
        "stopped" => Error::new(Kind::Denied, "the job of BigQuery was cancelled")
            .hint("start the run again"),
        reason => {
            let what = match reason {
                _ if loads.len() > 1 => "transaction that changes all tables",
                _ if load.is_some_and(|load| load.source_bucket.is_some()) => "load of the files",
                _ if load.is_some_and(|load| load.native.is_some()) => {
                    "copy or query that takes the rows (an earlier state is kept for some days alone)"
                }
                "invalidQuery" => "statement",
                _ => "parts",
            };
            let loads_files = load.is_some_and(|load| load.source_bucket.is_some());
            let otherwise = if loads_files {
                "; `engine: cloud_run` reads the files by tasks, which name the line that is wrong"
            } else {
                ""
            };
            let place = place(load, failure).unwrap_or_default();
            Error::data(format!("BigQuery refused the {what}{place}, for the reason `{reason}`"))
                .hint(format!("no row of the run was made visible; {job}{otherwise}"))
        }
    }
}

/// The refusal of rows for more partitions than one job changes.
/// <https://cloud.google.com/bigquery/quotas#partitioned_tables>
pub(super) fn too_many_partitions(load: &Load) -> Error {
    let hint = match load.disposition {
        WriteDisposition::Merge | WriteDisposition::ReplacePartitions => {
            "move them by several runs, each with some of the rows (`source.where`)"
        }
        _ => {
            "a table has at most 10,000 partitions: choose a longer `granularity`, or move fewer rows \
             (`source.where`); rows of BigQuery go to more than 4,000 by `engine: cloud_run`"
        }
    };
    Error::data(
        "the rows belong to more than 4,000 partitions, and one job of BigQuery changes no more",
    )
    .hint(hint)
}

fn has_rows() -> Error {
    Error::data("table has rows but write disposition is `empty`")
        .hint("use `truncate` to replace them or `append` to keep them")
}

/// The error of a step that BigQuery could not carry out for as long as it was tried.
pub(super) fn given_up(run: RunId, name: &JobName, failure: &JobFailure, times: u32) -> Error {
    let reason = &failure.reason;
    let cause = match reason.as_str() {
        "quotaExceeded" => {
            "a quota is used up: BigQuery takes 1,500 loads of a table and 100,000 of a project a \
             day, those that fail included \
             (<https://cloud.google.com/bigquery/quotas#load_jobs>)"
        }
        "rateLimitExceeded" | "jobRateLimitExceeded" => {
            "too many jobs write to the table or the project at a time \
             (<https://cloud.google.com/bigquery/quotas>)"
        }
        _ => "<https://status.cloud.google.com> shows what is out of order",
    };
    let error = Error::new(
        Kind::Denied,
        format!("BigQuery failed {times} times, the last time for the reason `{reason}`"),
    );
    error.hint(format!(
        "{cause}; `bq --location={} show -j {}:{}` shows its own message; the parts are kept, and \
         `sluice load {run}` loads them again",
        name.location, name.project, name.id
    ))
}

/// The failure of a statement that found a text which is no value of its column's type.
/// <https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#parse_json>
/// <https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#cast_as_interval>
/// <https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#cast-as-range>
fn of_text(loads: &[Load], failure: &JobFailure) -> Option<Error> {
    let is_json = |kind| kind == TargetType::Json;
    let is_interval = |kind| kind == TargetType::Interval;
    let is_range = |kind: TargetType| kind.range_element().is_some();
    let (what, is_meant, text): (_, fn(TargetType) -> bool, _) = match failure.message.as_str() {
        said if said.contains("loss of precision") => {
            ("a document has a number that BigQuery would round", is_json, "documents")
        }
        said if said.contains("PARSE_JSON") => {
            ("BigQuery cannot read a document", is_json, "documents")
        }
        // `Invalid INTERVAL value`, and `Interval field months` for one that is too long.
        said if said.contains("INTERVAL value") || said.contains("Interval field") => {
            ("BigQuery cannot read an interval", is_interval, "intervals")
        }
        said if said.contains("parse range") || said.contains("Range start") => {
            ("BigQuery cannot read a range", is_range, "ranges")
        }
        _ => return None,
    };
    let columns = loads.iter().flat_map(|load| &load.columns);
    let columns = columns.filter(|column| is_meant(column.target_type));
    let columns: BTreeSet<&str> = columns.map(|column| column.source_name.as_str()).collect();
    let first = columns.first()?;
    let names: Vec<&str> = columns.iter().copied().collect();
    let error = Error::data(format!("{what}, in `{}`", names.join("` or `")));
    Some(error.hint(format!(
        "nothing of the table was made visible; `columns.{first}.type: STRING` keeps the text of \
         the {text}"
    )))
}

/// The failure of a merge that found no single row of a key.
fn of_key(load: Option<&Load>, failure: &JobFailure) -> Option<Error> {
    let key = load.map(|load| load.key.join("`, `")).unwrap_or_default();
    let says = |what: &str| failure.message.contains(what);
    if says(merge::NO_KEY) {
        return Some(Error::data(format!("{} (`{key}`)", merge::NO_KEY)).hint(
            "no row of the table was changed; leave such rows out with `source.where`, or name \
             other columns in `key`",
        ));
    }
    says(merge::SAME_KEY).then(|| {
        let what =
            format!("{} (`{key}`), and the job does not say which is the newest", merge::SAME_KEY);
        Error::data(what).hint(
            "no row of the table was changed; name the column that says it in `order_by`, or a \
             key that is unique",
        )
    })
}

/// The column and the file that BigQuery names, if they belong to this load.
fn place(load: Option<&Load>, failure: &JobFailure) -> Option<String> {
    let load = load?;
    let JobFailure { message, place, .. } = failure;
    let place = place.as_deref().unwrap_or_default();
    let names = |name: &str| {
        ["Field {}", "field {}", "(field: {})", "Column {}", "column {}", "'{}'", "\"{}\"", "`{}`"]
            .iter()
            .any(|form| has_word(message, &form.replace("{}", name)))
    };
    let column = load.columns.iter().map(|column| &column.name).find(|name| names(name));
    let part = load
        .parts
        .iter()
        .map(|part| &part.path)
        .find(|path| message.contains(path.as_str()) || place.contains(path.as_str()));
    match (column, part) {
        (Some(column), Some(part)) => Some(format!(" at column `{column}` of `{part}`")),
        (Some(column), None) => Some(format!(" at column `{column}`")),
        (None, Some(part)) => Some(format!(" at `{part}`")),
        (None, None) => None,
    }
}

/// Whether a text contains a word, and not only as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        before.is_none_or(|c| !of_name(c))
            && (after.is_none_or(|c| !of_name(c)) || word.ends_with(['\'', '"', '`', ')']))
    })
}
