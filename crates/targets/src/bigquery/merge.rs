//! Statements that replace some rows of a table, and keep the others.
//!
//! A merge compares rows by their key. It takes one row of each key from the run: the newest, or, if
//! the job names no column to tell it by, the only one. Rows without a key, which would never be
//! found again, end it. It is one statement, so readers see all of it or nothing.
//!
//! Which rows of the table it reads decides what it costs. Where the key holds the column that the
//! table is partitioned by, a row can only be found in the partition of the new one, so those
//! partitions alone are read.
//!
//! <https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#merge_statement>

use sluice_contracts::documents::{Column, OnInvalid, PartitionBy, TargetType};
use sluice_contracts::job::{WriteDisposition, nearest_hint};
use sluice_contracts::{Error, Result};

use super::existing::{ExistingTable, Wanted};
use super::partitions::Partitions;
use super::statement::{Changes, insert, said_of, select};
use crate::target::Load;
use sluice_runtime::google::bigquery::TableId;

/// Said by a statement that finds NULL in a key.
pub(super) const NO_KEY: &str = "a row has NULL in a column of its key";
/// Said by a statement that finds a key twice, and has no column to tell the newest by.
pub(super) const SAME_KEY: &str = "two rows have the same key";

/// The staged rows, one of each key.
pub(super) fn newest(load: &Load, into: &TableId, staging: &[TableId]) -> String {
    let rows = select(load, staging);
    let key: Vec<String> = load.key.iter().map(|name| quoted(name)).collect();
    // What does not fit may have become NULL, whatever the source forbids.
    let never_null =
        |column: &Column| column.nullable == Some(false) && column.on_invalid == OnInvalid::Fail;
    let nullable = |name: &&String| !find(&load.columns, name).is_some_and(never_null);
    let missing: Vec<String> =
        load.key.iter().filter(nullable).map(|name| format!("{} IS NULL", quoted(name))).collect();
    let has_key = match missing.as_slice() {
        [] => "TRUE".to_owned(),
        missing => {
            format!("IF({}, ERROR('{}'), TRUE)", missing.join(" OR "), said_of(into, NO_KEY))
        }
    };
    let key = key.join(", ");
    let chosen = match &load.order_by {
        Some(by) => {
            format!("ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {} DESC) = 1", quoted(by))
        }
        None => {
            let said = said_of(into, SAME_KEY);
            format!("IF(COUNT(*) OVER (PARTITION BY {key}) > 1, ERROR('{said}'), TRUE)")
        }
    };
    format!("SELECT * FROM ({rows}) WHERE {has_key} QUALIFY {chosen}")
}

/// Merges the staged rows into a table that exists with these columns.
pub(super) fn merge(
    load: &Load,
    into: &TableId,
    existing: &ExistingTable,
    staging: &[TableId],
) -> Changes {
    let is_key = |name: &str| load.key.iter().any(|key| key.eq_ignore_ascii_case(name));
    let names: Vec<String> = load.columns.iter().map(|column| quoted(&column.name)).collect();
    let mut found: Vec<String> =
        load.key.iter().map(|name| format!("kept.{0} = brought.{0}", quoted(name))).collect();
    let mut variables = Vec::new();
    if let Some((partitions, column)) = pruned(existing, &load.key) {
        let kept = format!("kept.{}", quoted(column));
        if let Partitions::Range { .. } = partitions {
            // BigQuery reads all ranges for a condition on anything but the column itself.
            let (least, greatest) = (variable("least", load), variable("greatest", load));
            variables.push(declare_bound(&least, "MIN", column, staging));
            variables.push(declare_bound(&greatest, "MAX", column, staging));
            found.push(format!("{kept} BETWEEN {least} AND {greatest}"));
        } else {
            let touched = variable("touched", load);
            variables.push(declare(&touched, &partitions, column, staging));
            found.push(format!("{} IN UNNEST({touched})", partitions.name(&kept)));
        }
    }
    let newer = load.order_by.as_ref().map_or_else(String::new, |by| {
        let by = quoted(by);
        format!(" AND (kept.{by} IS NULL OR brought.{by} >= kept.{by})")
    });
    let changes: Vec<String> = load
        .columns
        .iter()
        .filter(|column| !is_key(&column.name))
        .map(|column| format!("{0} = brought.{0}", quoted(&column.name)))
        .collect();
    let update = match changes.as_slice() {
        [] => String::new(),
        changes => format!(" WHEN MATCHED{newer} THEN UPDATE SET {}", changes.join(", ")),
    };
    let values: Vec<String> = names.iter().map(|name| format!("brought.{name}")).collect();
    let statement = format!(
        "MERGE {} AS kept USING ({}) AS brought ON {}{update} \
         WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
        into.quoted(),
        newest(load, into, staging),
        found.join(" AND "),
        names.join(", "),
        values.join(", "),
    );
    Changes { variables, statements: vec![statement] }
}

/// Replaces the partitions of the staged rows in a table that exists with these columns. It deletes
/// whole partitions; those of ranges are found by reading the column.
///
/// <https://cloud.google.com/bigquery/docs/managing-partitioned-tables#delete_a_partition>
///
/// # Errors
/// A bug: such a table was refused before.
pub(super) fn replace_partitions(
    load: &Load,
    into: &TableId,
    existing: &ExistingTable,
    staging: &[TableId],
) -> Result<Changes> {
    let partitions = existing.partitions();
    let Some((partitions, column)) =
        partitions.as_ref().and_then(|partitions| Some((partitions, partitions.column()?)))
    else {
        return Err(Error::bug("replace partitions: the table is not partitioned by a column"));
    };
    let (table, own) = (into.quoted(), quoted(column));
    let name = partitions.name(&own);
    let (touched, unnamed) = (variable("touched", load), variable("unnamed", load));
    Ok(Changes {
        variables: vec![
            declare(&touched, partitions, column, staging),
            format!(
                "DECLARE {unnamed} BOOL DEFAULT (SELECT LOGICAL_OR({own} IS NULL) FROM ({}))",
                column_of(column, staging)
            ),
        ],
        statements: vec![
            format!("DELETE FROM {table} WHERE {name} IN UNNEST({touched})"),
            format!("DELETE FROM {table} WHERE {unnamed} AND {own} IS NULL"),
            insert(into, load, staging),
        ],
    })
}

/// A variable's name. A script that changes several tables has variables for each.
fn variable(name: &str, load: &Load) -> String {
    format!("{name}_{}", load.table)
}

/// Declares the least or the greatest value of a column of the staged rows.
fn declare_bound(variable: &str, function: &str, column: &str, staging: &[TableId]) -> String {
    let (own, rows) = (quoted(column), column_of(column, staging));
    format!("DECLARE {variable} INT64 DEFAULT (SELECT {function}({own}) FROM ({rows}))")
}

/// Declares the partitions that the staged rows belong to.
fn declare(variable: &str, partitions: &Partitions, column: &str, staging: &[TableId]) -> String {
    format!(
        "DECLARE {variable} ARRAY<{}> DEFAULT \
         (SELECT ARRAY_AGG(DISTINCT {} IGNORE NULLS) FROM ({}))",
        partitions.kind(),
        partitions.name(&quoted(column)),
        column_of(column, staging),
    )
}

fn column_of(column: &str, staging: &[TableId]) -> String {
    let selects: Vec<String> = staging
        .iter()
        .map(|table| format!("SELECT {} FROM {}", quoted(column), table.quoted()))
        .collect();
    selects.join(" UNION ALL ")
}

/// The partitions of the table, and the column that decides, if the key holds it.
fn pruned<'a>(existing: &ExistingTable, key: &'a [String]) -> Option<(Partitions, &'a str)> {
    let partitions = existing.partitions()?;
    let column = partitions.column()?;
    let held = key.iter().find(|name| name.eq_ignore_ascii_case(column))?;
    Some((partitions, held))
}

pub(super) fn quoted(name: &str) -> String {
    format!("`{name}`")
}

fn find<'c>(columns: &'c [Column], name: &str) -> Option<&'c Column> {
    columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
}

/// What stands against a statement that replaces some rows: all of it at once.
pub(super) fn refusals(wanted: &Wanted<'_>, existing: Option<&ExistingTable>) -> Vec<Error> {
    match wanted.disposition {
        WriteDisposition::Merge => {
            let mut refusals: Vec<Error> =
                wanted.key.iter().filter_map(|name| refused_key(wanted, "key", name)).collect();
            refusals
                .extend(wanted.order_by.and_then(|name| refused_order(wanted, "order_by", name)));
            match existing {
                Some(existing) => {
                    refusals.extend(existing.refused_order_of_fields(wanted.columns));
                    let lacks = |name: &&String| !existing.has_column(name);
                    refusals.extend(wanted.key.iter().filter(lacks).map(|name| new_key(name)));
                    refusals.extend(refused_filter(wanted, existing));
                }
                None => refusals.extend(refused_new_filter(wanted)),
            }
            refusals
        }
        WriteDisposition::ReplacePartitions => {
            let ranges = existing.and_then(refused_ranges);
            let fields = existing.and_then(|table| table.refused_order_of_fields(wanted.columns));
            refused_partitions(wanted, existing).into_iter().chain(ranges).chain(fields).collect()
        }
        _ => Vec::new(),
    }
}

/// A column of the key that the table lacks: none of its rows would be found.
fn new_key(name: &str) -> Error {
    Error::data(format!("`{name}` is in the key, and the table has no such column"))
        .hint("add the column to the table with the values of its rows, or leave it out of `key`")
}

/// The table that this load would make would not take the next one.
fn refused_new_filter(wanted: &Wanted<'_>) -> Option<Error> {
    let Some(PartitionBy::Time { column, require_filter: true, .. }) =
        &wanted.new_table.partition_by
    else {
        return None;
    };
    let holds = |column: &String| wanted.key.iter().any(|name| name.eq_ignore_ascii_case(column));
    if column.as_ref().is_some_and(holds) {
        return None;
    }
    let what = "`require_filter` makes a table that no later merge could read, because the key does \
                not say in which partition a row lies";
    Some(Error::invalid(what).hint("leave `require_filter` out, or add the column to `key`"))
}

fn unknown(wanted: &Wanted<'_>, setting: &str, name: &str) -> Error {
    let names: Vec<String> = wanted.columns.iter().map(|column| column.name.clone()).collect();
    Error::invalid(format!("`{setting}` names `{name}`, which the table has no column for"))
        .hint(nearest_hint(name, &names))
}

/// <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_properties>
pub(super) fn refused_key(wanted: &Wanted<'_>, setting: &str, name: &str) -> Option<Error> {
    let Some(column) = find(wanted.columns, name) else {
        return Some(unknown(wanted, setting, name));
    };
    let incomparable = !is_ordered(column.target_type);
    let array = if column.repeated { "an array of " } else { "" };
    (incomparable || column.repeated).then(|| {
        Error::invalid(format!(
            "`{setting}` names `{name}`, which is {array}{}",
            column.target_type
        ))
        .hint(
            "a key is made of columns of INT64, NUMERIC, BIGNUMERIC, STRING, BYTES, BOOL, DATE, \
                 DATETIME, TIME or TIMESTAMP",
        )
    })
}

pub(super) fn refused_order(wanted: &Wanted<'_>, setting: &str, name: &str) -> Option<Error> {
    let Some(column) = find(wanted.columns, name) else {
        return Some(unknown(wanted, setting, name));
    };
    let unordered = !is_ordered(column.target_type);
    let array = if column.repeated { "an array of " } else { "" };
    (unordered || column.repeated).then(|| {
        Error::invalid(format!(
            "`{setting}` names `{name}`, which is {array}{}",
            column.target_type
        ))
        .hint("name a column with an order, such as a TIMESTAMP, INT64 or NUMERIC")
    })
}

/// Whether BigQuery compares and orders such values as the source does.
fn is_ordered(kind: TargetType) -> bool {
    kind.range_element().is_none()
        && !matches!(
            kind,
            // NaN is neither greater nor less than any other number.
            TargetType::Float64
                | TargetType::Json
                | TargetType::Geography
                | TargetType::Interval
                | TargetType::Struct
        )
}

/// A merge compares the new rows with the partitions that it may read without a filter.
fn refused_filter(wanted: &Wanted<'_>, existing: &ExistingTable) -> Option<Error> {
    let partitions = existing.partitions()?;
    if !existing.requires_filter() || pruned(existing, wanted.key).is_some() {
        return None;
    }
    let hint = match partitions.column() {
        Some(column) => format!(
            "where the `{column}` of a row never changes, add it to `key` below `target`: \
             then the partitions of the new rows alone are read"
        ),
        None => "take `require_partition_filter` away from the table".to_owned(),
    };
    let what = "the table takes no statement without a filter by its partitions, and the key \
                does not say in which of them a row lies";
    Some(Error::data(what).hint(hint))
}

/// Ranges are found by an expression of the column, which is no filter to BigQuery.
fn refused_ranges(existing: &ExistingTable) -> Option<Error> {
    let Some(Partitions::Range { .. }) = existing.partitions() else { return None };
    existing.requires_filter().then(|| {
        let what = "the table takes no statement without a filter by its ranges";
        Error::data(what).hint("take `require_partition_filter` away from it, or write `merge`")
    })
}

fn refused_partitions(wanted: &Wanted<'_>, existing: Option<&ExistingTable>) -> Option<Error> {
    let by = &wanted.new_table.partition_by;
    let (by_column, what) = match existing {
        Some(existing) => match existing.partitions() {
            Some(partitions) => {
                (partitions.column().is_some(), "the table is partitioned by the time of loading")
            }
            None => (false, "the table is not partitioned"),
        },
        None => match by {
            Some(by) => (by.column().is_some(), "`partition_by` is the time of loading"),
            None => (false, "there is no such table yet, and the job does not say `partition_by`"),
        },
    };
    (!by_column).then(|| {
        Error::invalid(format!("{what}, so no partition belongs to the new rows")).hint(
            "`replace_partitions` is for tables that are partitioned by a column: name it in \
                 `partition_by`, or write `merge`, `append` or `truncate`",
        )
    })
}

/// Whether a merge reads those partitions alone that new rows lie in.
pub(super) fn is_pruned(wanted: &Wanted<'_>, existing: &ExistingTable) -> bool {
    pruned(existing, wanted.key).is_some()
}

/// How a merge that reads the whole table could read less of it.
pub(super) fn advice(wanted: &Wanted<'_>, existing: &ExistingTable) -> Option<String> {
    if wanted.disposition != WriteDisposition::Merge || is_pruned(wanted, existing) {
        return None;
    }
    let partitions = existing.partitions()?;
    let column = partitions.column()?;
    Some(format!(
        "the merge reads the whole table; with `{column}` in `key` it reads the partitions of the \
         new rows alone, which is right where the `{column}` of a row never changes"
    ))
}
