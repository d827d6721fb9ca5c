//! The field names of the older system whose job files are still read.

use serde_json::{Map, Value};

use super::validate::JobProblem;

/// Each field name of the older system, and where a job file of this one has it.
const SEED_NAMES: &[(&str, &[&str])] = &[
    ("table_name", &["source", "table"]),
    ("schema_name", &["source", "schema_name"]),
    ("timestamp_column", &["partitioning", "column"]),
    ("primary_key_column", &["partitioning", "column"]),
    ("selected_columns", &["source", "columns"]),
];

/// Moves the older system's fields to where this job file has them. They are accepted at the top
/// and inside `source`.
pub(super) fn take_seed_names(value: &mut Value) -> Vec<JobProblem> {
    let mut problems = Vec::new();
    let Some(root) = value.as_object_mut() else { return problems };
    for (old, path) in SEED_NAMES {
        let mut found = root.remove(*old).map(|value| ((*old).to_owned(), value));
        if let Some(source) = root.get_mut("source").and_then(Value::as_object_mut)
            && let Some(inner) = source.remove(*old)
        {
            if found.is_some() {
                problems.push(
                    JobProblem::new(*old, "stands at the top and in `source`").hint("keep one"),
                );
            }
            found = Some((format!("source.{old}"), inner));
        }
        let Some((place, moved)) = found else { continue };
        let [section, key] = path else { continue };
        let section_value =
            root.entry((*section).to_owned()).or_insert_with(|| Value::Object(Map::new()));
        let Some(section_value) = section_value.as_object_mut() else { continue };
        if *old == "primary_key_column" && section_value.contains_key(*key) {
            // Jobs of the older system name both; it cuts by the timestamp column.
            continue;
        }
        if section_value.contains_key(*key) {
            problems.push(
                JobProblem::new(place, format!("means the same as `{section}.{key}`"))
                    .hint("keep one"),
            );
            continue;
        }
        section_value.insert((*key).to_owned(), moved);
    }
    join_schema_name(root);
    problems
}

/// Joins the schema and the table, which the older system has in two fields.
fn join_schema_name(root: &mut Map<String, Value>) {
    let Some(source) = root.get_mut("source").and_then(Value::as_object_mut) else { return };
    let Some(schema) = source.remove("schema_name") else { return };
    match (schema.as_str(), source.get("table").and_then(Value::as_str)) {
        (Some(schema), Some(table)) => {
            let joined = format!("{schema}.{table}");
            source.insert("table".to_owned(), Value::String(joined));
        }
        _ => {
            source.insert("schema_name".to_owned(), schema);
        }
    }
}
