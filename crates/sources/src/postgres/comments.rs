//! What the server's users say that a table and its columns are about.

use std::collections::HashMap;

use super::driver::Connection;
use sluice_contracts::Result;
use sluice_contracts::documents::Column;

use super::connection::{comment, if_allowed};
use crate::naming;

/// Comments on a table and on its columns.
#[derive(Debug, Default)]
pub(super) struct Comments {
    /// That on the table itself, as a description.
    pub(super) table: Option<String>,
    columns: HashMap<String, String>,
}

impl Comments {
    /// The comments on the relation with this oid; none where this user may not read them, and none
    /// for a query.
    pub(super) async fn of(connection: &mut Connection, oid: Option<u32>) -> Result<Self> {
        let Some(oid) = oid else { return Ok(Self::default()) };
        let sql = format!(
            "select a.attname::text, d.description from pg_description d \
             left join pg_attribute a on a.attrelid = d.objoid and a.attnum = d.objsubid \
               and a.attnum > 0 and not a.attisdropped \
             where d.classoid = 'pg_class'::regclass and d.objoid = {oid}"
        );
        let found = if_allowed(connection, &sql, || "read the comments".to_owned()).await?;
        let mut comments = Self::default();
        for row in &found.unwrap_or_default() {
            match (comment(row, 0)?, comment(row, 1)?) {
                (None, said) => comments.table = naming::description_of_table(said.as_deref()),
                (Some(column), Some(said)) => drop(comments.columns.insert(column, said)),
                (Some(_), None) => {}
            }
        }
        Ok(comments)
    }

    /// Describes the columns that the job does not describe.
    pub(super) fn describe(&self, columns: &mut [Column]) {
        for column in columns.iter_mut().filter(|column| column.description.is_none()) {
            let said = self.columns.get(&column.source_name);
            column.description = naming::description(said.map(String::as_str));
        }
    }
}
