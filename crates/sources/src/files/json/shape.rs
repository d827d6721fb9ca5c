//! What nested values of JSON become, as a sample tells it.

use std::collections::HashMap;

use serde_json::value::RawValue;
use sluice_contracts::documents::{Column, Decimal, TargetType};
use sluice_contracts::{Error, Result};

use super::Fields;
use super::nested::{ELEMENT, LIST_OF, RECORD};
use crate::files::infer::Seen;
use crate::naming::{refuse_collisions, target_name};

/// What a STRUCT or an array of a column cannot hold.
const MISFITS: &str =
    "values of another shape, keys that no row of the sample has, and NULL in a list";

/// Levels of STRUCT and arrays: what is deeper stays a document. BigQuery has 15 levels of STRUCT.
/// <https://cloud.google.com/bigquery/docs/nested-repeated#limitations>
const MOST_DEPTH: usize = 15;
/// Keys of an object that become fields. An object of more is one whose keys are data.
const MOST_KEYS: usize = 1_000;

/// What was seen of the values of a key.
#[derive(Debug, Clone, Default)]
pub(in crate::files) struct Shape {
    scalars: Seen,
    /// The keys of objects, in their order, and their places in it.
    fields: Vec<(String, Shape)>,
    places: HashMap<String, usize>,
    /// What lists have.
    elements: Option<Box<Shape>>,
    has_scalars: bool,
    has_objects: bool,
    /// Whether it is too deep or has too many keys, and stays a document.
    is_too_large: bool,
}

impl Shape {
    /// Adds a value, as it stands in the file.
    pub(in crate::files) fn add(&mut self, raw: &str) {
        self.add_below(raw, 0);
    }

    fn add_below(&mut self, raw: &str, depth: usize) {
        match raw.as_bytes().first() {
            Some(b'n') | None => {}
            Some(b'{' | b'[') if depth == MOST_DEPTH || self.is_too_large => {
                self.is_too_large = true;
            }
            Some(b'{') => {
                self.has_objects = true;
                let Ok(Fields(fields)) = serde_json::from_str(raw) else { return };
                for (key, value) in fields {
                    let place = match self.places.get(&key) {
                        Some(place) => *place,
                        None if self.fields.len() == MOST_KEYS => {
                            self.is_too_large = true;
                            return;
                        }
                        None => {
                            self.fields.push((key.clone(), Self::default()));
                            self.places.insert(key, self.fields.len() - 1);
                            self.fields.len() - 1
                        }
                    };
                    if let Some((_, shape)) = self.fields.get_mut(place) {
                        shape.add_below(value.get(), depth + 1);
                    }
                }
            }
            Some(b'[') => {
                let elements = self.elements.get_or_insert_default();
                let values: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
                for value in values {
                    elements.add_below(value.get(), depth + 1);
                }
            }
            Some(_) => {
                self.has_scalars = true;
                self.scalars.add_json(raw);
            }
        }
    }

    /// The column of a key whose values become a STRUCT, or an array.
    ///
    /// # Errors
    /// `Invalid` if they are not all objects, or all lists.
    pub(in crate::files) fn column(&self, name: &str) -> Result<Column> {
        let column = self.field(name)?;
        if column.repeated || column.target_type == TargetType::Struct {
            return Ok(column);
        }
        let what = if self.is_too_large {
            "its objects have more than 1,000 keys"
        } else if !self.has_scalars && !self.has_objects && self.elements.is_none() {
            "no row of the sample has a value"
        } else if self.has_objects && self.fields.is_empty() {
            "no object of the sample has a key"
        } else {
            "its values are not all objects, and not all lists"
        };
        Err(Error::invalid(format!(
            "describe the files: column `{name}` cannot become `STRUCT`: {what}"
        ))
        .hint(format!("set `columns.{name}.type` to `JSON`, or leave it out")))
    }

    fn field(&self, name: &str) -> Result<Column> {
        let kinds = [self.has_scalars, self.has_objects, self.elements.is_some()];
        let is_mixed = self.is_too_large || kinds.into_iter().filter(|seen| *seen).count() > 1;
        if let Some(elements) = self.elements.as_ref().filter(|_| !is_mixed) {
            return list_of(name, elements);
        }
        if self.has_objects && !is_mixed && !self.fields.is_empty() {
            let fields = self.fields.iter().map(|(key, shape)| shape.field(key));
            let fields: Vec<Column> = fields.collect::<Result<_>>()?;
            refuse_collisions(&fields)?;
            return Ok(Column {
                name: target_name(name, None)?,
                fields,
                invalid: Some(MISFITS.to_owned()),
                ..Column::plain(name, RECORD, TargetType::Struct)
            });
        }
        let mut seen = self.scalars.clone();
        if self.is_too_large || self.has_objects || self.elements.is_some() {
            // Of several kinds of values, the document itself is kept.
            seen.add_json("{}");
        }
        let (kind, target) = seen.told_of_json();
        Ok(Column {
            name: target_name(name, None)?,
            decimal: match target {
                TargetType::Numeric => Some(Decimal::NUMERIC),
                TargetType::Bignumeric => Some(Decimal::BIGNUMERIC),
                _ => None,
            },
            invalid: Some(kind.misfits(target).to_owned()),
            ..Column::plain(name, kind.name(), target)
        })
    }
}

/// A list becomes an array. BigQuery has no arrays of arrays, so an inner one is the field `element` of a STRUCT.
fn list_of(name: &str, elements: &Shape) -> Result<Column> {
    let mut inner = elements.field(name)?;
    if inner.repeated {
        let inner_name = ELEMENT.to_owned();
        let list = Column { name: inner_name.clone(), source_name: inner_name, ..inner };
        inner = Column { fields: vec![list], ..Column::plain(name, ELEMENT, TargetType::Struct) };
    }
    let encoding = format!("{LIST_OF}{}", inner.encoding);
    let of_lists = inner.encoding == ELEMENT;
    Ok(Column {
        name: target_name(name, None)?,
        source_name: name.to_owned(),
        source_type: if of_lists { format!("{LIST_OF}lists") } else { encoding.clone() },
        encoding,
        repeated: true,
        invalid: Some(MISFITS.to_owned()),
        ..inner
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(column: &Column) -> String {
        let fields: Vec<String> = column.fields.iter().map(types).collect();
        let inner =
            if fields.is_empty() { String::new() } else { format!("<{}>", fields.join(", ")) };
        let many = if column.repeated { "[]" } else { "" };
        format!("{} {}{inner}{many}", column.name, column.target_type)
    }

    fn told(values: &[&str]) -> Result<String> {
        let mut shape = Shape::default();
        for value in values {
            shape.add(value);
        }
        shape.column("v").map(|column| types(&column))
    }

    #[test]
    fn objects_and_lists_are_told_with_all_that_is_in_them() {
        for (values, expected) in [
            (&[r#"{"a": 1}"#, "null", r#"{"b": "x", "a": 2}"#][..], "v STRUCT<a INT64, b STRING>"),
            (&[r#"{"a": {"at": "2026-11-30"}}"#], "v STRUCT<a STRUCT<at DATE>>"),
            (&["[1, 2]", "[]", "[3]"], "v INT64[]"),
            (&[r#"[{"a": 1.50}]"#, r#"[{"b": [true]}]"#], "v STRUCT<a NUMERIC, b BOOL[]>[]"),
            (&["[[1], []]"], "v STRUCT<element INT64[]>[]"),
            (&["[]"], "v STRING[]"),
            // What is not of one kind stays a document.
            (&[r#"{"a": 1, "b": {}}"#, r#"{"a": "x"}"#], "v STRUCT<a JSON, b JSON>"),
            (&[r#"[1, {"a": 1}]"#], "v JSON[]"),
        ] {
            assert_eq!(told(values).unwrap(), expected, "{values:?}");
        }
        for values in [&[r#"{"a": 1}"#, "[1]"][..], &["1", r#"{"a": 1}"#], &["{}"], &["7"], &[]] {
            let error = told(values).unwrap_err();
            assert!(error.chain().contains("column `v` cannot become `STRUCT`"), "{values:?}");
        }
    }

    #[test]
    fn what_is_too_deep_or_has_data_for_keys_stays_a_document() {
        let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
        let column = told(&[&deep]).unwrap();
        assert_eq!(column.matches("STRUCT").count(), 14);
        assert!(column.contains("element JSON"), "{column}");
        let keys: Vec<String> = (0..1_001).map(|key| format!("\"user {key}\": 1")).collect();
        let object = format!("{{{}}}", keys.join(", "));
        assert!(told(&[&object]).unwrap_err().chain().contains("more than 1,000 keys"));
        let inner = format!("{{\"users\": {object}}}");
        assert_eq!(told(&[&inner]).unwrap(), "v STRUCT<users JSON>");
    }
}
