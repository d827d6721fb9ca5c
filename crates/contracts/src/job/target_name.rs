//! What tables are called in the dataset, as an entry of a job says it.

use super::TableName;
use crate::error::{Error, Result};

/// The names that may stand in braces.
const KNOWN: &str = "`{schema}` and `{table}`";

/// The name of the target table of each table that an entry matches, such as `{schema}_{table}`.
#[derive(Debug, Clone)]
pub(super) struct TargetName(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Schema,
    Table,
}

impl TargetName {
    /// Reads a name with `{schema}` and `{table}`, which stand for those of the source.
    ///
    /// # Errors
    /// What is wrong with the text, and what to write.
    pub(super) fn parse(typed: &str) -> Result<Self, (String, String)> {
        let mut pieces = Vec::new();
        let mut rest = typed;
        while let Some(at) = rest.find(['{', '}']) {
            let (text, braces) = rest.split_at(at);
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            let named = braces.strip_prefix('{').and_then(|inside| inside.split_once('}'));
            let Some((name, after)) = named else {
                return Err((
                    format!("`{typed}` has a brace without its other half"),
                    format!("{KNOWN} are known"),
                ));
            };
            pieces.push(match name {
                "schema" => Piece::Schema,
                "table" => Piece::Table,
                _ => return Err((format!("unknown `{{{name}}}`"), format!("{KNOWN} are known"))),
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        if typed.contains('/') || matches!(typed, "." | "..") {
            return Err((
                format!("`{typed}` is not the name of a table"),
                "name the table alone: `target.dataset` says where it lies".to_owned(),
            ));
        }
        Ok(Self(pieces))
    }

    /// The name for `table`.
    ///
    /// # Errors
    /// `Invalid` if it asks for the schema of a table without one.
    pub(super) fn of(&self, table: &TableName) -> Result<String> {
        let mut name = String::new();
        for piece in &self.0 {
            match (piece, &table.schema) {
                (Piece::Text(text), _) => name.push_str(text),
                (Piece::Table, _) => name.push_str(&table.target_name()),
                (Piece::Schema, Some(schema)) => {
                    let schema = TableName { schema: None, name: schema.clone() };
                    name.push_str(&schema.target_name());
                }
                (Piece::Schema, None) => {
                    return Err(Error::invalid(format!(
                        "name the target of `{table}`: the job names no schema for `{{schema}}`"
                    ))
                    .hint("write the table as `schema.table`, or leave `{schema}` out of `name`"));
                }
            }
        }
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_filled_in_with_what_targets_accept() {
        let table = TableName { schema: Some("my shop".to_owned()), name: "a.b".to_owned() };
        for (typed, expected) in [
            ("{schema}_{table}", "my_shop_a_b"),
            ("shop_{table}", "shop_a_b"),
            ("{table}_old", "a_b_old"),
            ("orders", "orders"),
            ("{table}{table}", "a_ba_b"),
        ] {
            assert_eq!(TargetName::parse(typed).unwrap().of(&table).unwrap(), expected, "{typed}");
        }
        let bare = TableName { schema: None, name: "t".to_owned() };
        let error = TargetName::parse("{schema}_{table}").unwrap().of(&bare).unwrap_err();
        assert!(error.to_string().contains("`t`"), "{error}");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for typed in ["{db}_{table}", "{}", "{table", "table}", "{{table}}", "{ table }"] {
            let (_, hint) = TargetName::parse(typed).unwrap_err();
            assert!(hint.contains("`{schema}` and `{table}`"), "{typed}: {hint}");
        }
        for typed in ["a/b", "../{table}", "..", "."] {
            let (what, hint) = TargetName::parse(typed).unwrap_err();
            assert!(what.contains("not the name of a table"), "{typed}: {what}");
            assert!(hint.contains("`target.dataset`"), "{typed}: {hint}");
        }
    }
}
