//! Statements that make staged rows visible.
//!
//! They name columns and never their places. A document of JSON is parsed so that no number in it is
//! rounded: one that cannot be kept ends the statement, and nothing becomes visible.
//!
//! <https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#parse_json>

use sluice_contracts::documents::{Column, TargetType};

use super::existing::ExistingTable;
use super::job::Write;
use super::path::{is_converted, is_wide};
use crate::target::Load;
use sluice_runtime::google::bigquery::TableId;

/// Said by a statement that finds rows where there must be none.
pub(super) const HAS_ROWS: &str = "the table has rows";

/// What is done to tables in one step.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Declarations of variables.
    pub(super) variables: Vec<String>,
    /// Statements, in their order.
    pub(super) statements: Vec<String>,
}

impl Changes {
    /// The script that does it. To readers it is one step: it is one statement, or one transaction.
    ///
    /// <https://cloud.google.com/bigquery/docs/transactions>
    pub(super) fn script(&self) -> String {
        let mut script = String::new();
        for variable in &self.variables {
            script.push_str(variable);
            script.push_str("; ");
        }
        if let [statement] = self.statements.as_slice() {
            return script + statement;
        }
        script.push_str("BEGIN TRANSACTION; ");
        for statement in &self.statements {
            script.push_str(statement);
            script.push_str("; ");
        }
        script + "COMMIT TRANSACTION;"
    }

    /// Does the same to another table.
    pub(super) fn extend(&mut self, of_another: Self) {
        self.variables.extend(of_another.variables);
        self.statements.extend(of_another.statements);
    }
}

impl From<String> for Changes {
    fn from(statement: String) -> Self {
        Self { variables: Vec::new(), statements: vec![statement] }
    }
}

/// The staged rows, with the types of the target.
pub(super) fn select(load: &Load, staging: &[TableId]) -> String {
    select_where(load, staging, "")
}

fn select_where(load: &Load, staging: &[TableId], condition: &str) -> String {
    // The rows of a native query have the types of the target already.
    let value = |column: &Column| match load.native {
        Some(_) => format!("`{}`", column.name),
        None => expression(column),
    };
    let expressions: Vec<String> = load.columns.iter().map(value).collect();
    let expressions = expressions.join(", ");
    let selects: Vec<String> = staging
        .iter()
        .map(|table| format!("SELECT {expressions} FROM {}{condition}", table.quoted()))
        .collect();
    selects.join(" UNION ALL ")
}

/// A table has at most 10,000 partitions, and one statement changes 4,000 of them.
/// <https://cloud.google.com/bigquery/quotas#partitioned_tables>
const BATCHES: u32 = 3;

/// Writes the staged rows to a table that exists with these columns, and keeps everything that it
/// has besides its rows. Rows of more partitions than one statement changes are written by several.
pub(super) fn write(
    load: &Load,
    into: &TableId,
    existing: &ExistingTable,
    write: Write,
    staging: &[TableId],
) -> Changes {
    let table = into.quoted();
    let partitions = existing.partitions();
    let batches = partitions.as_ref().filter(|_| is_wide(load));
    let inserts = match batches.and_then(|partitions| Some((partitions, partitions.column()?))) {
        None => vec![insert(into, load, staging)],
        Some((partitions, column)) => {
            let number = partitions.number(&format!("`{column}`"));
            let batch = |batch| {
                // Rows may lie in every third day or hour alone: a day later is another batch.
                let place = format!("MOD({number} + DIV({number}, 24), {BATCHES})");
                let condition = format!(" WHERE ABS(IFNULL({place}, 0)) = {batch}");
                insert_where(into, load, staging, &condition)
            };
            (0..BATCHES).map(batch).collect()
        }
    };
    let before = match write {
        Write::Append => return Changes { variables: Vec::new(), statements: inserts },
        Write::ReplaceRows | Write::Replace => format!("TRUNCATE TABLE {table}"),
        Write::Empty => {
            let said = said_of(into, HAS_ROWS);
            // A table that requires a filter by its partitions refuses this query without one.
            let all = partitions
                .filter(|_| existing.requires_filter())
                .map_or_else(String::new, |partitions| format!(" WHERE {}", partitions.all()));
            format!("SELECT IF(EXISTS (SELECT 1 FROM {table}{all}), ERROR('{said}'), NULL)")
        }
    };
    let statements = [before].into_iter().chain(inserts).collect();
    Changes { variables: Vec::new(), statements }
}

/// What a statement says of a table.
pub(super) fn said_of(table: &TableId, what: &str) -> String {
    format!("{what} ({}.{})", table.dataset, table.table)
}

/// The statement that adds the staged rows to a table.
pub(super) fn insert(into: &TableId, load: &Load, staging: &[TableId]) -> String {
    insert_where(into, load, staging, "")
}

fn insert_where(into: &TableId, load: &Load, staging: &[TableId], condition: &str) -> String {
    insert_rows(into, &load.columns, &select_where(load, staging, condition))
}

/// The statement that adds the rows of a query to a table.
pub(super) fn insert_rows(into: &TableId, columns: &[Column], rows: &str) -> String {
    let names: Vec<String> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
    format!("INSERT INTO {} ({}) {rows}", into.quoted(), names.join(", "))
}

/// The value of a column, from its staged form.
fn expression(column: &Column) -> String {
    let name = format!("`{}`", column.name);
    match value(column, &name, 0) {
        Some(value) => format!("{value} AS {name}"),
        None => name,
    }
}

/// The value of a column or a field that has another staged form; `None` if it is staged as it is. `depth`
/// is the number of columns that it is in.
fn value(column: &Column, staged: &str, depth: usize) -> Option<String> {
    if !is_converted(column) {
        return None;
    }
    let of_depth =
        |name: &str| if depth == 0 { name.to_owned() } else { format!("{name}_{depth}") };
    let (element, place) = (of_depth("element"), of_depth("place"));
    let single = if column.repeated { &element } else { staged };
    let value = converted(column.target_type, single).unwrap_or_else(|| {
        let fields = column.fields.iter().map(|field| {
            let staged = format!("{single}.`{}`", field.name);
            let value = value(field, &staged, depth + 1).unwrap_or(staged);
            format!("{value} AS `{}`", field.name)
        });
        let fields: Vec<String> = fields.collect();
        format!("IF({single} IS NULL, NULL, STRUCT({}))", fields.join(", "))
    });
    Some(if column.repeated {
        format!(
            "ARRAY(SELECT {value} FROM UNNEST({staged}) AS {element} WITH OFFSET AS {place} \
             ORDER BY {place})"
        )
    } else {
        value
    })
}

/// The value that a staged text stands for; `None` for types that are not staged as text.
///
/// BigQuery reads durations of ISO 8601 with a sign before each number: `IntervalValue::Parse` in
/// <https://github.com/google/googlesql/blob/master/googlesql/public/interval_value.cc>.
fn converted(kind: TargetType, text: &str) -> Option<String> {
    match kind {
        TargetType::Json => Some(format!("PARSE_JSON({text}, wide_number_mode => 'exact')")),
        TargetType::Interval
        | TargetType::RangeDate
        | TargetType::RangeDatetime
        | TargetType::RangeTimestamp => Some(format!("CAST({text} AS {kind})")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, target: TargetType, repeated: bool, fields: Vec<Column>) -> Column {
        Column { repeated, fields, ..Column::plain(name, "", target) }
    }

    #[test]
    fn what_is_staged_as_text_is_read_wherever_it_is() {
        let doc = || column("doc", TargetType::Json, false, vec![]);
        let plain = || column("n", TargetType::Int64, false, vec![]);
        let json = |text: &str| format!("PARSE_JSON({text}, wide_number_mode => 'exact')");
        for (column, expected) in [
            (plain(), "`n`".to_owned()),
            (column("s", TargetType::Struct, false, vec![plain()]), "`s`".to_owned()),
            (doc(), format!("{} AS `doc`", json("`doc`"))),
            (
                column("s", TargetType::Struct, false, vec![plain(), doc()]),
                format!(
                    "IF(`s` IS NULL, NULL, STRUCT(`s`.`n` AS `n`, {} AS `doc`)) AS `s`",
                    json("`s`.`doc`")
                ),
            ),
            (
                column(
                    "s",
                    TargetType::Struct,
                    true,
                    vec![column("docs", TargetType::Json, true, vec![])],
                ),
                format!(
                    "ARRAY(SELECT IF(element IS NULL, NULL, STRUCT(ARRAY(SELECT {} FROM \
                     UNNEST(element.`docs`) AS element_1 WITH OFFSET AS place_1 ORDER BY place_1) AS \
                     `docs`)) FROM UNNEST(`s`) AS element WITH OFFSET AS place ORDER BY place) AS `s`",
                    json("element_1")
                ),
            ),
        ] {
            assert_eq!(expression(&column), expected);
        }
    }
}
