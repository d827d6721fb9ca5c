//! The column names that BigQuery accepts.

/// Longest column name, in characters.
///
/// <https://cloud.google.com/bigquery/docs/schemas#column_names>
pub const LONGEST_COLUMN_NAME: usize = 300;

/// Prefixes that BigQuery reserves for its own columns, in any case.
///
/// <https://cloud.google.com/bigquery/docs/schemas#column_names>
const RESERVED: &[&str] = &[
    "_table_",
    "_file_",
    "_partition",
    "_row_timestamp",
    "__root__",
    "_colidentifier",
    "_change_sequence_number",
    "_change_type",
    "_change_timestamp",
];

/// Whether a name begins with a prefix that BigQuery reserves.
pub fn is_reserved_column_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    RESERVED.iter().any(|beginning| lower.starts_with(beginning))
}

/// Why BigQuery refuses this column name; `None` if it accepts it.
///
/// Only ASCII letters and digits are accepted here: BigQuery knows names with others, but whether a
/// load job takes them from a Parquet file depends on the project's settings.
pub fn refused_column_name(name: &str) -> Option<&'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(fits)
    {
        Some("it is not made of the letters a to z, digits and `_`, beginning with no digit")
    } else if is_reserved_column_name(name) {
        Some("BigQuery reserves names with this prefix")
    } else if name.len() > LONGEST_COLUMN_NAME {
        Some("it has more than 300 characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_bigquery_refuses() {
        for name in ["a", "_", "Created_At2", "_tables", "partition", &"x".repeat(300)] {
            assert_eq!(refused_column_name(name), None, "{name}");
        }
        for name in ["", "2fa", "a b", "größe", "a.b", "a\u{0}"] {
            assert!(refused_column_name(name).unwrap().starts_with("it is not made"), "{name}");
        }
        for name in ["_PARTITIONTIME", "_table_suffix", "__ROOT__", "_Change_Type"] {
            assert!(refused_column_name(name).unwrap().starts_with("BigQuery reserves"), "{name}");
        }
        assert!(refused_column_name(&"x".repeat(301)).unwrap().contains("300"));
    }
}
