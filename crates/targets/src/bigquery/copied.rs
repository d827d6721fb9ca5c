//! A table beside the copy of another one, which is to have what the table has.

use serde_json::{Map, Value, json};
use sluice_contracts::Error;
use sluice_contracts::documents::Column;

use super::existing::ExistingTable;
use super::schema::{self, find, text};

impl ExistingTable {
    /// Whether another table has the same columns in the same order, and its rows where this one has
    /// them, so that the one can be copied over the other.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        schema::is_same(self.fields(), other.fields()) && self.layout() == other.layout()
    }

    /// Its own schema, for a copy of a table with the same columns. A policy that the copy has of its source
    /// is taken away only where the schema says so.
    pub(super) fn schema_over(&self, copy: &Self) -> Value {
        let over = |field: &Value| {
            let mut over = field.clone();
            let theirs = find(copy.fields(), text(field, "name"));
            let has_tags = theirs.is_some_and(|theirs| theirs.get("policyTags").is_some());
            if has_tags && over.get("policyTags").is_none() {
                over["policyTags"] = json!({"names": []});
            }
            over
        };
        json!({"fields": self.fields().iter().map(over).collect::<Vec<Value>>()})
    }

    /// The change by which queries of it need not name partitions.
    pub(super) fn without_filter(&self) -> Map<String, Value> {
        let mut change = Map::new();
        if self.requires_filter() {
            change.insert("requirePartitionFilter".to_owned(), false.into());
            if let Some(time) = self.layout().get("timePartitioning") {
                let mut time = time.clone();
                time["requirePartitionFilter"] = false.into();
                change.insert("timePartitioning".to_owned(), time);
            }
        }
        change
    }

    /// Whether its partitions are deleted at some age.
    pub(super) fn partitions_expire(&self) -> bool {
        let layout = self.layout();
        layout.get("timePartitioning").is_some_and(|time| time.get("expirationMs").is_some())
    }

    /// A STRUCT of a job whose fields it has in another order.
    pub(super) fn reordered<'c>(&self, columns: &'c [Column]) -> Option<&'c Column> {
        schema::reordered(self.fields(), columns)
    }

    /// What stands against a statement that writes these columns: it would give the fields of a STRUCT
    /// each other's values.
    pub(super) fn refused_order_of_fields(&self, columns: &[Column]) -> Option<Error> {
        let column = &self.reordered(columns)?.name;
        let what = format!(
            "the table has the fields of `{column}` in another order, and a statement matches them by \
             their places"
        );
        Some(Error::data(what).hint(format!(
            "read the fields in the table's order by a `source.query`, or leave `{column}` out"
        )))
    }

    /// Its own schema, with the descriptions that a job's columns have.
    pub(super) fn described(&self, columns: &[Column]) -> Value {
        let described = |field: &Value| {
            let mut field = field.clone();
            let column = columns.iter().find(|column| column.name == text(&field, "name"));
            if let Some(description) = column.and_then(|column| column.description.as_ref()) {
                field["description"] = description.as_str().into();
            }
            field
        };
        json!({"fields": self.fields().iter().map(described).collect::<Vec<Value>>()})
    }
}
