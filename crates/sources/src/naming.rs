//! The names of a source's columns in the target.

use std::collections::HashMap;

use sluice_contracts::documents::Column;
use sluice_contracts::job::{
    LONGEST_COLUMN_DESCRIPTION, LONGEST_COLUMN_NAME, LONGEST_TABLE_DESCRIPTION,
    is_reserved_column_name, refused_column_name,
};
use sluice_contracts::{Error, Result};

/// The target's name for a column: `wanted`, if the job asks for one, or the source's name in a
/// form that BigQuery accepts.
///
/// `_` stands for every character other than the letters a to z, digits and `_`; another `_` is put
/// before a name that begins with a digit or as BigQuery's own columns do; what is longer than
/// BigQuery allows is cut off.
pub(crate) fn target_name(source_name: &str, wanted: Option<&str>) -> Result<String> {
    let Some(wanted) = wanted else { return Ok(mapped(source_name)) };
    match refused_column_name(wanted) {
        None => Ok(wanted.to_owned()),
        Some(reason) => Err(Error::invalid(format!(
            "name column `{source_name}`: `{wanted}` is not a column name in BigQuery: {reason}"
        ))
        .hint(format!("set `columns.{source_name}.name` to another name"))),
    }
}

/// A column's description, cut off where BigQuery does not hold it.
pub(crate) fn description(text: Option<&str>) -> Option<String> {
    shortened(text?, LONGEST_COLUMN_DESCRIPTION)
}

/// A table's comment as a description, cut off likewise.
pub(crate) fn description_of_table(text: Option<&str>) -> Option<String> {
    shortened(text?, LONGEST_TABLE_DESCRIPTION)
}

fn shortened(text: &str, longest: usize) -> Option<String> {
    let text = text.trim();
    if text.chars().count() <= longest {
        return (!text.is_empty()).then(|| text.to_owned());
    }
    Some(text.chars().take(longest - 1).chain(['…']).collect())
}

/// What several errors of a table's columns say together.
pub(crate) fn refused(count: usize) -> String {
    format!("{count} columns cannot be moved as they are")
}

/// Refuses columns that the target could not tell apart: BigQuery's names ignore case.
pub(crate) fn refuse_collisions(columns: &[Column]) -> Result<()> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let collisions = columns.iter().map(|column| {
        let second = column.source_name.as_str();
        let first = *seen.entry(column.name.to_lowercase()).or_insert(second);
        if std::ptr::eq(first, second) {
            return Ok(());
        }
        Err(if first == second {
            Error::invalid(format!("name columns: `{first}` is read twice"))
                .hint("name every column once in `source.columns`")
        } else {
            Error::invalid(format!(
                "name columns: `{first}` and `{second}` would both be `{}` in the target",
                column.name
            ))
            .hint(format!("set `columns.{second}.name` to another name"))
        })
    });
    Error::all(collisions, |count| format!("{count} columns have the name of another")).map(drop)
}

fn mapped(name: &str) -> String {
    let mut mapped: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let digit = mapped.starts_with(|c: char| c.is_ascii_digit());
    if mapped.is_empty() || digit || is_reserved_column_name(&mapped) {
        mapped.insert(0, '_');
    }
    mapped.truncate(LONGEST_COLUMN_NAME);
    mapped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_contracts::documents::{OnInvalid, TargetType};

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
            fields: Vec::new(),
            nullable: None,
            max_length: None,
            description: None,
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
        assert_eq!(given("_PARTITIONTIME"), "__PARTITIONTIME");
        assert_eq!(given("-partition"), "__partition");
        assert_eq!(given("__root__x"), "___root__x");
        assert_eq!(given(&"ä".repeat(400)), "_".repeat(300));
        assert_eq!(target_name("größe", Some("size")).unwrap(), "size");
        let error = target_name("a", Some("a b")).unwrap_err();
        assert_eq!(error.remedy(), Some("set `columns.a.name` to another name"));
        let error = target_name("a", Some("_partition")).unwrap_err();
        assert!(error.to_string().ends_with("BigQuery reserves names with this prefix"));
    }

    #[test]
    fn a_description_is_cut_off_where_bigquery_does_not_hold_it() {
        assert_eq!(description(Some(" the number \n")).as_deref(), Some("the number"));
        assert_eq!((description(Some("  ")), description(None)), (None, None));
        let whole = "ä".repeat(1_024);
        assert_eq!(description(Some(&whole)), Some(whole.clone()));
        let cut = description(Some(&format!("{whole}!"))).unwrap();
        assert_eq!(cut, "ä".repeat(1_023) + "…");
        let table = description_of_table(Some(&"x".repeat(20_000))).unwrap();
        assert_eq!(table.chars().count(), 16_384);
    }

    #[test]
    fn names_that_differ_in_case_only_collide() {
        assert!(refuse_collisions(&[column("a", "a"), column("b", "b")]).is_ok());
        let error = refuse_collisions(&[column("a b", "a_b"), column("A-B", "A_B")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "name columns: `a b` and `A-B` would both be `A_B` in the target"
        );
        assert_eq!(error.remedy(), Some("set `columns.A-B.name` to another name"));
        let error = refuse_collisions(&[column("a", "a"), column("a", "a")]).unwrap_err();
        assert!(error.to_string().contains("read twice"));
    }

    proptest! {
        #[test]
        fn every_name_is_mapped_to_one_that_bigquery_takes(
            name in "\\PC{0,320}|(_?(table|FILE|partition|change)_?|__ROOT__|_colIdentifier)[^a]{0,4}",
        ) {
            let name = target_name(&name, None).unwrap();
            prop_assert_eq!(refused_column_name(&name), None);
            prop_assert_eq!(target_name(&name, None).unwrap(), name);
        }
    }
}
