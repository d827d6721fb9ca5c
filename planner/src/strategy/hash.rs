//! Classes of a hash.

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::documents::Cut;
use sluice_contracts::job::TableJob;
use sluice_sources::{Description, Piece, Survey};

use super::{Choice, Fit, Strategy, is_files};
use crate::cut::Weighed;

/// `hash(key) mod n = i`.
#[derive(Debug)]
pub(super) struct Hash;

#[async_trait]
impl Strategy for Hash {
    fn name(&self) -> &'static str {
        "hash"
    }

    fn doc(&self) -> &'static str {
        "classes of a hash of the key or the whole row: fits everything, and the source reads \
         everything for each unit"
    }

    fn fit(&self, table: &TableJob, description: &Description) -> Fit {
        if is_files(description) {
            return Fit::No("each unit would read every file".to_owned());
        }
        let (by, columns) = match &table.partitioning.column {
            Some(column) => (format!("column `{column}`"), vec![column.clone()]),
            // By name: a column that is added meanwhile must not move rows to other classes.
            None if description.identity.is_empty() => {
                let all = description.columns.iter().map(|column| column.source_name.clone());
                ("the whole row".to_owned(), all.collect())
            }
            None => ("the primary key".to_owned(), description.identity.clone()),
        };
        let reason = format!("rows fall into classes by a hash of {by}");
        Fit::Good(Choice { columns, ..Choice::new(None, reason) })
    }

    /// Each unit reads everything, so more units than connections only add reading.
    fn most_units(&self) -> u32 {
        16
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    async fn cut(
        &self,
        _: &mut dyn Survey,
        _: &TableJob,
        piece: &Piece,
        choice: &Choice,
        count: u32,
    ) -> Result<Option<Vec<Weighed>>> {
        let modulus = count.max(1);
        let rows = piece.rows as f64 / f64::from(modulus);
        let cut = |remainder| Cut::Hash { columns: choice.columns.clone(), modulus, remainder };
        Ok(Some((0..modulus).map(|at| Weighed { cut: cut(at), rows }).collect()))
    }
}
