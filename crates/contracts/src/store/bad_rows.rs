//! The rows of files that are set aside.

use object_store::ObjectStoreExt as _;

use super::{RunStore, storage_error};
use crate::documents::{BadRow, BadRows, UnitRef};
use crate::error::{Error, Result};

impl RunStore {
    /// Writes the document of the rows of a unit that are set aside, one a line, if there are some. Each process that
    /// reads the unit writes one of its own; the receipt says which counts.
    pub async fn write_bad_rows(
        &self,
        generation: u32,
        unit: UnitRef,
        writer: &str,
        rows: &[BadRow],
    ) -> Result<BadRows> {
        if rows.is_empty() {
            return Ok(BadRows::default());
        }
        let path = self.layout.bad_rows(generation, unit, writer);
        let mut lines = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut lines, row)
                .map_err(|source| Error::bug("write a bad row").because(source))?;
            lines.push(b'\n');
        }
        let written = self.bucket.store.put(&path, lines.into()).await;
        written.map_err(|source| storage_error(format!("write `{path}`"), source))?;
        Ok(BadRows { rows: rows.len() as u64, path: path.to_string() })
    }
}
