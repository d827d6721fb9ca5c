//! The names of types in Avro's schemas.
//!
//! Writers spell them in several ways: with a namespace beside them, within them, or of the record around them. The
//! library resolves some of these alone, so each type gets a name without a namespace before it reads the schema.

use std::collections::HashMap;

use serde_json::Value;

/// A schema whose types have names without namespaces.
///
/// # Errors
/// What is wrong with the schema.
pub(super) fn with_plain_names(schema: &[u8]) -> Result<String, String> {
    let mut schema: Value =
        serde_json::from_slice(schema).map_err(|_| "its schema is not JSON".to_owned())?;
    if schema["type"] != "record" {
        return Err("its schema is not a record, and has no columns".to_owned());
    }
    Names::default().rename(&mut schema, "")?;
    Ok(schema.to_string())
}

/// The types that were named so far.
#[derive(Debug, Default)]
struct Names {
    /// The plain name of each, by its name with the namespace.
    plain: HashMap<String, String>,
    /// The records around the type at hand.
    open: Vec<String>,
}

impl Names {
    fn rename(&mut self, schema: &mut Value, namespace: &str) -> Result<(), String> {
        match schema {
            Value::String(name) if is_primitive(name) => Ok(()),
            Value::String(name) => {
                let full = full_name(name, namespace);
                // A name without a namespace may also be one of the schema's outermost types.
                let known = [full.as_str(), name.as_str()].map(|it| self.plain.get_key_value(it));
                let Some((full, plain)) = known.into_iter().flatten().next() else {
                    return Err(format!("its schema names a type `{name}` that it does not have"));
                };
                if self.open.contains(full) {
                    return Err(format!(
                        "its record `{full}` contains itself, and BigQuery has no such type"
                    ));
                }
                name.clone_from(plain);
                Ok(())
            }
            Value::Array(members) => {
                members.iter_mut().try_for_each(|member| self.rename(member, namespace))
            }
            Value::Object(object) => {
                let kind = object.get("type").and_then(Value::as_str).map(str::to_owned);
                match kind.as_deref() {
                    Some("record" | "error" | "enum" | "fixed") => self.name(object, namespace),
                    Some("array") => self.rename_in(object, "items", namespace),
                    Some("map") => self.rename_in(object, "values", namespace),
                    _ => self.rename_in(object, "type", namespace),
                }
            }
            _ => Err("its schema has something that is not a type".to_owned()),
        }
    }

    fn rename_in(
        &mut self,
        object: &mut serde_json::Map<String, Value>,
        key: &str,
        namespace: &str,
    ) -> Result<(), String> {
        let inner = object.get_mut(key);
        self.rename(
            inner.ok_or_else(|| format!("its schema has a type without `{key}`"))?,
            namespace,
        )
    }

    /// Names a type, and those in its fields.
    fn name(
        &mut self,
        object: &mut serde_json::Map<String, Value>,
        namespace: &str,
    ) -> Result<(), String> {
        let name = object.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let own = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace).to_owned();
        let full = full_name(&name, &own);
        let (namespace, short) = full.rsplit_once('.').unwrap_or(("", &full));
        let is_taken = |plain: &String| self.plain.values().any(|taken| taken == plain);
        let numbered = |number: u32| format!("{short}_{number}");
        let mut plain = short.to_owned();
        let mut number = 1;
        while is_taken(&plain) {
            number += 1;
            plain = numbered(number);
        }
        self.plain.insert(full.clone(), plain.clone());
        object.insert("name".to_owned(), Value::String(plain));
        object.remove("namespace");
        object.remove("aliases");
        if let Some(fields) = object.get_mut("fields").and_then(Value::as_array_mut) {
            self.open.push(full.clone());
            for field in fields.iter_mut().filter_map(Value::as_object_mut) {
                self.rename_in(field, "type", namespace)?;
            }
            self.open.pop();
        }
        Ok(())
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        return name.to_owned();
    }
    format!("{namespace}.{name}")
}

fn is_primitive(name: &str) -> bool {
    ["null", "boolean", "int", "long", "float", "double", "bytes", "string"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_however_their_names_are_spelled() {
        let schema = r#"{"type": "record", "name": "shop.Order", "fields": [
            {"name": "a", "type": {"type": "enum", "name": "shop.parts.State", "symbols": ["X"]}},
            {"name": "b", "type": ["null", "shop.parts.State"]},
            {"name": "c", "type": {"type": "fixed", "name": "State", "size": 2}},
            {"name": "d", "type": {"type": "array", "items": "State"}},
            {"name": "e", "type": {"type": "map", "values": {"type": "long", "logicalType": "timestamp-millis"}}},
            {"name": "f", "type": {"type": "record", "name": "Line", "namespace": "other",
                "fields": [{"name": "s", "type": "shop.State"}]}}]}"#;
        let renamed: Value =
            serde_json::from_str(&with_plain_names(schema.as_bytes()).unwrap()).unwrap();
        let field = |at: usize| &renamed["fields"][at]["type"];
        assert_eq!(renamed["name"], "Order");
        assert_eq!((&field(0)["name"], &field(1)[1]), (&"State".into(), &"State".into()));
        assert_eq!((&field(2)["name"], &field(3)["items"]), (&"State_2".into(), &"State_2".into()));
        assert_eq!(field(4)["values"]["logicalType"], "timestamp-millis");
        assert_eq!(field(5)["fields"][0]["type"], "State_2");
    }

    #[test]
    fn what_no_table_has_is_refused() {
        let record =
            |fields: &str| format!(r#"{{"type":"record","name":"r","fields":[{fields}]}}"#);
        for (schema, said) in [
            (record(r#"{"name": "next", "type": ["null", "r"]}"#), "`r` contains itself"),
            (record(r#"{"name": "x", "type": "gone"}"#), "a type `gone`"),
            (record(r#"{"name": "x"}"#), "without `type`"),
            (record(r#"{"name": "x", "type": 7}"#), "not a type"),
            ("{".to_owned(), "not JSON"),
            (r#""string""#.to_owned(), "not a record"),
        ] {
            let error = with_plain_names(schema.as_bytes()).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
