//! Comparing a table's columns with a run's.

use serde_json::Value;
use sluice_contracts::documents::{Column, Decimal, TargetType, digits};
use sluice_contracts::{Error, Result};
use sluice_runtime::google::bigquery::TableId;

/// How the columns of a run compare with those that a table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SchemaMatch {
    /// They are the same.
    Same,
    /// The run has more: these, by their place in the run.
    Wider(Vec<usize>),
    /// They contradict each other: the differences in words.
    Different(String),
}

/// All differences between a table's fields and a run's columns, in the order of the run, then those
/// that only the table has. Another order of columns is no difference: loads match them by name.
pub(super) fn differences(fields: &[Value], columns: &[Column]) -> Vec<Difference> {
    let mut found = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        match find(fields, &column.name) {
            None => found.push(Difference::of(column, "", Change::New(at))),
            Some(field) => compare_one(field, column, "", &mut found),
        }
    }
    for field in unknown(fields, columns) {
        found.push(Difference {
            path: text(field, "name").to_owned(),
            source: None,
            what: format!("column {} exists in the table and not in the job", described(field)),
            change: Change::Dropped,
        });
    }
    found
}

/// What the differences mean for a load.
pub(super) fn compare(fields: &[Value], columns: &[Column]) -> SchemaMatch {
    let differences = differences(fields, columns);
    let new: Vec<usize> = differences.iter().filter_map(Difference::new_column).collect();
    match (differences.len(), new.len()) {
        (0, _) => SchemaMatch::Same,
        (all, new_ones) if all == new_ones => SchemaMatch::Wider(new),
        _ => {
            let others = differences.iter().filter(|one| one.new_column().is_none());
            let words: Vec<&str> = others.map(|one| one.what.as_str()).collect();
            SchemaMatch::Different(words.join("; "))
        }
    }
}

/// One difference between a table and a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// The column in the table, or the field inside of it: `lines.sku`.
    path: String,
    /// Name of the run's column in the source, if it is a column itself.
    source: Option<String>,
    /// The difference in words.
    pub(super) what: String,
    change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    /// The table lacks the column at this place of the run.
    New(usize),
    /// The run lacks it.
    Dropped,
    /// Type or mode are another; the table's type, if the job can ask for it.
    Type(Option<String>),
    /// The table's column holds fewer digits or characters. Its type without these limits.
    Narrow(TargetType),
    /// The table forbids NULL, and the source does not.
    Required,
}

impl Difference {
    fn of(column: &Column, within: &str, change: Change) -> Self {
        Self {
            path: format!("{within}{}", column.name),
            source: within.is_empty().then(|| column.source_name.clone()),
            what: format!("it lacks {}", job_column(column)),
            change,
        }
    }

    /// The place of the run's column that the table lacks, if that is the difference.
    pub(super) fn new_column(&self) -> Option<usize> {
        match self.change {
            Change::New(at) => Some(at),
            _ => None,
        }
    }

    /// Whether the type of a column is another, or the run lacks it.
    pub(super) fn changes(&self, name: &str) -> bool {
        self.path.to_lowercase() == name.to_lowercase()
            && matches!(self.change, Change::Dropped | Change::Type(_))
    }

    /// The difference as a refusal, with the way out. `replaces` says whether the job may ask for
    /// all columns to be replaced.
    pub(super) fn refusal(&self, id: &TableId, replaces: bool) -> Error {
        let path = &self.path;
        let alter = |how: &str| format!("ALTER TABLE `{id}` ALTER COLUMN `{path}` {how}");
        let choice = "`source.columns`, or `select` in an entry of `tables`";
        let mut hint = match &self.change {
            Change::New(_) => format!(
                "write `schema_changes: add` below `target` to add the columns that the table \
                 lacks, or leave them out with {choice}"
            ),
            Change::Dropped => {
                format!("read `{path}` too, or drop it: ALTER TABLE `{id}` DROP COLUMN `{path}`")
            }
            Change::Type(wanted) => match (wanted, &self.source) {
                (Some(wanted), Some(source)) => {
                    format!("`columns.{source}.type: {wanted}` asks for the table's type")
                }
                (_, Some(source)) => format!("leave `{source}` out with {choice}"),
                (_, None) => "choose another `target.table`".to_owned(),
            },
            Change::Narrow(kind) => format!(
                "widen it: {}; or read a query that casts the column to what the table holds",
                alter(&format!("SET DATA TYPE {kind}"))
            ),
            Change::Required => format!(
                "let the table take NULL: {}; or forbid NULL in the source",
                alter("DROP NOT NULL")
            ),
        };
        if replaces && !matches!(self.change, Change::New(_)) {
            hint.push_str("; `schema_changes: replace` below `target` replaces all columns");
        }
        Error::data(self.what.clone()).hint(hint)
    }
}

/// Finds what differs between a field and the column of its name, and inside of them.
fn compare_one(field: &Value, column: &Column, within: &str, found: &mut Vec<Difference>) {
    let mut say = |what: String, change: Change| {
        found.push(Difference { what, ..Difference::of(column, within, change) });
    };
    let theirs = standard_type(field);
    if theirs != column.target_type.name() || (text(field, "mode") == "REPEATED") != column.repeated
    {
        let known = TargetType::ALL.iter().find(|kind| kind.name() == theirs);
        let same_mode = (text(field, "mode") == "REPEATED") == column.repeated;
        let wanted = known.filter(|_| same_mode).map(|kind| kind.name().to_owned());
        let what =
            format!("it has {within}{} where the job has {}", described(field), job_column(column));
        return say(what, Change::Type(wanted));
    }
    if text(field, "mode") == "REQUIRED" && column.nullable == Some(true) {
        let (name, source) = (&column.name, &column.source_name);
        say(
            format!(
                "`{within}{name}` is REQUIRED in the table, and the source allows NULL in `{source}`"
            ),
            Change::Required,
        );
    }
    if let Some(what) = narrower(field, column, within) {
        say(what, Change::Narrow(column.target_type));
    }
    if column.target_type == TargetType::Struct {
        let fields = subfields(field);
        let inside = format!("{within}{}.", column.name);
        for column in &column.fields {
            match find(fields, &column.name) {
                // Only columns of the table itself are added.
                None => found.push(Difference::of(column, &inside, Change::Type(None))),
                Some(field) => compare_one(field, column, &inside, found),
            }
        }
        for field in unknown(fields, &column.fields) {
            found.push(Difference {
                path: format!("{inside}{}", text(field, "name")),
                source: None,
                what: format!(
                    "field `{inside}{}` exists in the table and not in the job",
                    text(field, "name")
                ),
                change: Change::Type(None),
            });
        }
    }
}

/// How a field holds less than a column of the same type has. BigQuery rounds what has too many
/// digits after the point, and says nothing.
/// <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#parameterized_decimal_type>
fn narrower(field: &Value, column: &Column, within: &str) -> Option<String> {
    let (name, limit) = (&column.name, |key| number(field, key));
    match column.target_type {
        TargetType::Numeric | TargetType::Bignumeric => {
            let precision = limit("precision")?;
            let scale = limit("scale").unwrap_or(0);
            let Decimal { precision: digits, scale: after } =
                digits(column.target_type, column.decimal);
            let (digits, after) = (u64::from(digits), u64::from(after));
            let (before, held) = (digits - after, precision.saturating_sub(scale));
            if after <= scale && before <= held {
                return None;
            }
            let declared = match column.decimal {
                Some(_) => "the job's column has",
                None => "the job's column may have",
            };
            Some(format!(
                "`{within}{name}` {}({precision}, {scale}) holds {held} digits before the point and \
                 {scale} after it, and {declared} {before} and {after}",
                column.target_type
            ))
        }
        TargetType::String | TargetType::Bytes => {
            let held = limit("maxLength")?;
            let unit = if column.target_type == TargetType::Bytes { "bytes" } else { "characters" };
            let has = match column.max_length {
                Some(longest) if u64::from(longest) <= held => return None,
                Some(longest) => format!("the job's column has up to {longest}"),
                None => "the job's column has no limit".to_owned(),
            };
            Some(format!(
                "`{within}{name}` {}({held}) holds {held} {unit}, and {has}",
                column.target_type
            ))
        }
        _ => None,
    }
}

/// What a load does that its reader may not expect, where the columns are the same or added.
pub(super) fn warnings(fields: &[Value], columns: &[Column]) -> Vec<String> {
    let mut warnings = Vec::new();
    for column in columns {
        let Some(field) = find(fields, &column.name) else { continue };
        let theirs = text(field, "name");
        if theirs != column.name {
            warnings.push(format!(
                "column `{}` is `{theirs}` in the table: BigQuery ignores case in names, so it is \
                 the same column",
                column.name
            ));
        }
        if text(field, "mode") == "REQUIRED" && column.nullable.is_none() {
            warnings.push(format!(
                "column `{theirs}` is REQUIRED in the table, and the source does not say whether \
                 `{}` holds NULL: a NULL fails the load",
                column.source_name
            ));
        }
    }
    warnings
}

/// Refuses names that BigQuery does not take, all at once.
pub(super) fn require_names(columns: &[Column]) -> Result<()> {
    let refusals = columns.iter().enumerate().map(|(at, column)| {
        let name = &column.name;
        let hint = format!("`columns.{}.name` gives it another name", column.source_name);
        if let Some(why) = sluice_contracts::job::refused_column_name(name) {
            let what = format!("`{name}` is not a column name in BigQuery: {why}");
            return Err(Error::invalid(what).hint(hint));
        }
        let same = |other: &&Column| other.name.to_lowercase() == name.to_lowercase();
        if columns.iter().take(at).any(|other| same(&other)) {
            let what = format!("two columns are called `{name}`: BigQuery ignores case in names");
            return Err(Error::invalid(what).hint(hint));
        }
        require_names(&column.fields)
            .map_err(|error| error.during(format!("name the fields of `{name}`")))
    });
    Error::all(refusals, |count| format!("BigQuery does not take {count} of the names")).map(drop)
}

/// A column whose fields a table has in another order: a statement matches those of a STRUCT by their
/// places, and a load by their names.
/// <https://github.com/google/googlesql/blob/master/googlesql/public/coercer.h>
pub(super) fn reordered<'c>(fields: &[Value], columns: &'c [Column]) -> Option<&'c Column> {
    let differs = |column: &&Column| {
        let Some(field) = find(fields, &column.name) else { return false };
        let inside = subfields(field);
        let same = |(field, column): (&Value, &Column)| is_named(field, &column.name);
        inside.len() == column.fields.len()
            && (!inside.iter().zip(&column.fields).all(same)
                || reordered(inside, &column.fields).is_some())
    };
    columns.iter().find(differs)
}

/// What makes two fields one, besides their names and their own fields.
const TYPE: [&str; 5] = ["precision", "scale", "maxLength", "rangeElementType", "collation"];

/// Whether two lists of fields are the same, in order, names and types.
pub(super) fn is_same(fields: &[Value], others: &[Value]) -> bool {
    let same = |(field, other): (&Value, &Value)| {
        text(field, "name") == text(other, "name")
            && standard_type(field) == standard_type(other)
            && mode(field) == mode(other)
            && TYPE.iter().all(|key| field.get(*key) == other.get(*key))
            && is_same(subfields(field), subfields(other))
    };
    fields.len() == others.len() && fields.iter().zip(others).all(same)
}

/// A field by its name.
pub(super) fn find<'f>(fields: &'f [Value], name: &str) -> Option<&'f Value> {
    fields.iter().find(|field| is_named(field, name))
}

/// Whether a column's values fit into a field as it is.
pub(super) fn same(field: &Value, column: &Column) -> bool {
    let mut found = Vec::new();
    compare_one(field, column, "", &mut found);
    found.is_empty()
}

/// A job's column in words.
fn job_column(column: &Column) -> String {
    let mode = if column.repeated { "REPEATED" } else { "NULLABLE" };
    format!("`{}` {mode} {}", column.name, column.target_type)
}

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The API writes numbers of 64 bits as text.
fn number(value: &Value, key: &str) -> Option<u64> {
    let value = value.get(key)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The fields of a STRUCT, or of a schema.
pub(super) fn subfields(value: &Value) -> &[Value] {
    let fields = value.get("fields").and_then(Value::as_array);
    fields.map(Vec::as_slice).unwrap_or_default()
}

/// The fields that no column is named like.
fn unknown<'f>(fields: &'f [Value], columns: &[Column]) -> impl Iterator<Item = &'f Value> {
    let known = |field: &&Value| columns.iter().any(|column| is_named(field, &column.name));
    fields.iter().filter(move |field| !known(field))
}

fn is_named(field: &Value, name: &str) -> bool {
    text(field, "name").to_lowercase() == name.to_lowercase()
}

fn described(field: &Value) -> String {
    format!("`{}` {} {}", text(field, "name"), mode(field), standard_type(field))
}

fn mode(field: &Value) -> &str {
    match text(field, "mode") {
        "" => "NULLABLE",
        mode => mode,
    }
}

/// The API answers with the names of legacy SQL.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema>
fn standard_type(field: &Value) -> String {
    let name = match text(field, "type") {
        "INTEGER" => "INT64",
        "FLOAT" => "FLOAT64",
        "BOOLEAN" => "BOOL",
        "RECORD" => "STRUCT",
        "RANGE" => {
            let element = field.get("rangeElementType").map_or("", |kind| text(kind, "type"));
            return format!("RANGE<{element}>");
        }
        name => name,
    };
    name.to_owned()
}
