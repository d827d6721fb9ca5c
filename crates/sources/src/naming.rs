//! What a source's column is called in the target.

use std::collections::HashMap;

use sluice_contracts::schema::Column;
use sluice_contracts::{Error, Result};

/// Longest column name that BigQuery takes.
const MAX_CHARACTERS: usize = 300;

/// Beginnings that BigQuery keeps for its own columns, whatever their case.
///
/// <https://cloud.google.com/bigquery/docs/schemas#column_names>
const RESERVED: &[&str] =
    &["_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier"];

/// The target's name for a column: `wanted`, if the job asks for one, or the source's name with
/// `_` in place of what BigQuery does not take.
pub(crate) fn target_name(source_name: &str, wanted: Option<&str>) -> Result<String> {
    let name = match wanted {
        Some(wanted) => {
            if mapped(wanted) != wanted {
                return Err(Error::invalid(format!(
                    "name column `{source_name}`: `{wanted}` is no column name in BigQuery"
                ))
                .hint("use letters, digits and `_`, and do not begin with a digit"));
            }
            wanted.to_owned()
        }
        None => mapped(source_name),
    };
    let lower = name.to_ascii_lowercase();
    let reserved = RESERVED.iter().any(|beginning| lower.starts_with(beginning));
    if reserved || name.len() > MAX_CHARACTERS {
        let reason =
            if reserved { "its name is reserved in BigQuery" } else { "its name is too long" };
        return Err(Error::invalid(format!("name column `{source_name}`: {reason}"))
            .hint(format!("set `columns.{source_name}.name` to another name")));
    }
    Ok(name)
}

/// Refuses columns that the target could not tell apart: BigQuery's names ignore case.
pub(crate) fn refuse_collisions(columns: &[Column]) -> Result<()> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for column in columns {
        if let Some(first) = seen.insert(column.name.to_lowercase(), &column.source_name) {
            let second = &column.source_name;
            return Err(if first == second {
                Error::invalid(format!("name columns: `{first}` is read twice"))
                    .hint("name every column once in `source.columns`")
            } else {
                Error::invalid(format!(
                    "name columns: `{first}` and `{second}` would both be `{}` in the target",
                    column.name
                ))
                .hint(format!("set `columns.{second}.name` to another name"))
            });
        }
    }
    Ok(())
}

/// `name` with `_` for every character that BigQuery does not take.
fn mapped(name: &str) -> String {
    let mut mapped: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if mapped.is_empty() || mapped.starts_with(|c: char| c.is_ascii_digit()) {
        mapped.insert(0, '_');
    }
    mapped
}

#[cfg(test)]
mod tests {
    use sluice_contracts::schema::{OnInvalid, TargetType};

    use super::*;

    fn column(source_name: &str, name: &str) -> Column {
        Column {
            name: name.to_owned(),
            source_name: source_name.to_owned(),
            source_type: "text".to_owned(),
            encoding: "text".to_owned(),
            target_type: TargetType::String,
            repeated: false,
            decimal: None,
            on_invalid: OnInvalid::Fail,
            invalid: None,
        }
    }

    #[test]
    fn names_become_valid_and_wanted_ones_have_to_be() {
        let given = |name| target_name(name, None).unwrap();
        assert_eq!(given("created_at"), "created_at");
        assert_eq!(given("Größe (cm)"), "Gr__e__cm_");
        assert_eq!(given("2fa"), "_2fa");
        assert_eq!(given(""), "_");
        assert_eq!(target_name("größe", Some("size")).unwrap(), "size");
        assert!(target_name("a", Some("a b")).is_err());
        let error = target_name("_PARTITIONTIME", None).unwrap_err();
        assert_eq!(error.remedy(), Some("set `columns._PARTITIONTIME.name` to another name"));
    }

    #[test]
    fn names_that_differ_in_case_only_collide() {
        assert!(refuse_collisions(&[column("a", "a"), column("b", "b")]).is_ok());
        let error = refuse_collisions(&[column("a b", "a_b"), column("A-B", "A_B")]).unwrap_err();
        assert_eq!(error.remedy(), Some("set `columns.A-B.name` to another name"));
        let error = refuse_collisions(&[column("a", "a"), column("a", "a")]).unwrap_err();
        assert!(error.to_string().contains("read twice"));
    }
}
