//! Names of tables, and patterns of them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::documents::Relation;

/// A table's name, unquoted.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct TableName {
    /// Schema, where the source has schemas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Name in the schema.
    pub name: String,
}

impl TableName {
    /// Splits `schema.table`, where either part may be in double quotes with `""` for a quote
    /// inside.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = vec![String::new()];
        let mut chars = text.chars().peekable();
        let mut quoted = false;
        while let Some(c) = chars.next() {
            let Some(last) = parts.last_mut() else { break };
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => {
                    chars.next();
                    last.push('"');
                }
                '"' => quoted = !quoted,
                '.' if !quoted => parts.push(String::new()),
                c => last.push(c),
            }
        }
        if quoted {
            return Err("has a quote that does not end");
        }
        if parts.iter().any(String::is_empty) {
            return Err("has an empty part");
        }
        match parts.as_slice() {
            [name] => Ok(Self { schema: None, name: name.clone() }),
            [schema, name] => Ok(Self { schema: Some(schema.clone()), name: name.clone() }),
            _ => Err("has more than two parts"),
        }
    }

    /// Whether `self`, read as a pattern, matches `table`. A pattern without a schema matches
    /// tables of every schema.
    pub(super) fn matches(&self, table: &Self) -> bool {
        let schema = match (&self.schema, &table.schema) {
            (None, _) => true,
            (Some(pattern), Some(schema)) => like(pattern, schema),
            (Some(_), None) => false,
        };
        schema && like(&self.name, &table.name)
    }

    /// Whether it can match more than one table.
    pub fn is_pattern(&self) -> bool {
        self.name.contains('*') || self.schema.as_ref().is_some_and(|schema| schema.contains('*'))
    }

    /// Its name in a dataset, unless the job gives another: `_` replaces what BigQuery does not
    /// accept. <https://cloud.google.com/bigquery/docs/tables#table_naming>
    pub fn target_name(&self) -> String {
        let taken = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        self.name.chars().map(|c| if taken(c) { c } else { '_' }).collect()
    }

    /// The name as a job file has it: parts that contain a dot or a quote are quoted.
    pub fn quoted(&self) -> String {
        let part = |name: &str| {
            let needs_quotes = name.contains(['.', '"']);
            let doubled = || format!("\"{}\"", name.replace('"', "\"\""));
            if needs_quotes { doubled() } else { name.to_owned() }
        };
        match &self.schema {
            Some(schema) => format!("{}.{}", part(schema), part(&self.name)),
            None => part(&self.name),
        }
    }

    /// The name of a relation that is a table of at most two parts; `None` for any other.
    pub fn of(relation: &Relation) -> Option<Self> {
        match relation {
            Relation::Table { catalog: None, schema, name } => {
                Some(Self { schema: schema.clone(), name: name.clone() })
            }
            _ => None,
        }
    }

    /// The relation of that name.
    pub fn relation(&self) -> Relation {
        Relation::table(self.schema.as_deref(), &self.name)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.relation().fmt(f)
    }
}

/// Whether `text` matches `pattern`, where `*` stands for any characters.
fn like(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_may_be_quoted() {
        let parts = |text| TableName::parse(text).map(|name| (name.schema, name.name));
        assert_eq!(parts("a.b"), Ok((Some("a".into()), "b".into())));
        assert_eq!(parts("\"we\"\"ird.\".T"), Ok((Some("we\"ird.".into()), "T".into())));
        assert!(parts("a.b.c").is_err());
        assert!(parts("a.").is_err());
        assert!(parts("\"a").is_err());
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for name in ["orders", "a b", "other.big", "q\"uote", ".", "\"", "ñ", "*"] {
            for schema in [None, Some("public"), Some("Odd. Schema")] {
                let table = TableName { schema: schema.map(str::to_owned), name: name.to_owned() };
                assert_eq!(TableName::parse(&table.quoted()), Ok(table));
            }
        }
    }

    #[test]
    fn stars_stand_for_any_letters() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "orders", true),
            ("order*", "orders", true),
            ("*_audit", "orders_audit", true),
            ("*_audit", "orders_audit2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("orders", "orders", true),
            ("orders", "orders2", false),
        ] {
            assert_eq!(like(pattern, text), expected, "{pattern} {text}");
        }
    }
}
