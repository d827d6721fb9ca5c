//! The parts of a table, once every count agrees.

use std::collections::{BTreeMap, HashSet};

use sluice_contracts::documents::{Part, Receipt, Table, UnitRef};
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Result};

/// The parts of a table in the order of its units, and their rows.
///
/// # Errors
/// `Data` if a receipt is missing, of another snapshot, or contradicts itself.
pub(crate) fn collect_parts(
    store: &RunStore,
    table: &Table,
    generation: u32,
    receipts: &BTreeMap<UnitRef, Receipt>,
) -> Result<(Vec<Part>, u64)> {
    let hint =
        "nothing of the table was made visible; start the run again, and report the run's receipts";
    if table.units == 0 {
        return Err(Error::data("the plan has no units of it").hint(hint));
    }
    let ours = store.layout().parts();
    let mut seen = HashSet::new();
    let mut parts = Vec::new();
    let mut rows = 0u64;
    for unit in 0..table.units {
        let name = UnitRef { table: table.index, unit };
        let wrong = |what: String| Err(Error::data(format!("unit {unit}: {what}")).hint(hint));
        let Some(receipt) = receipts.get(&name) else {
            return wrong("it has no receipt".to_owned());
        };
        if receipt.snapshot != generation {
            return wrong(format!(
                "its receipt is of snapshot {}, and the run's is {generation}",
                receipt.snapshot
            ));
        }
        let counted = receipt.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.rows));
        if counted != Some(receipt.rows) {
            return wrong(format!(
                "its receipt says {} rows, and its parts {}",
                receipt.rows,
                counted.map_or_else(|| "more than can be counted".to_owned(), |n| n.to_string())
            ));
        }
        for part in &receipt.parts {
            let path = object_store::path::Path::from(part.path.as_str());
            if !path.prefix_matches(&ours) || !seen.insert(path) {
                return wrong(format!("its part `{}` is not its own", part.path));
            }
        }
        let Some(sum) = rows.checked_add(receipt.rows) else {
            return wrong("the table's rows are more than can be counted".to_owned());
        };
        rows = sum;
        parts.extend(receipt.parts.iter().cloned());
    }
    Ok((parts, rows))
}
