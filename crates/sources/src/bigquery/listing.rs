//! The tables of the datasets.

use sluice_contracts::Result;
use sluice_contracts::documents::RunId;
use sluice_contracts::job::TableName;
use sluice_runtime::google::bigquery::{BigQueryClient, ListedTable, TableId};

use super::address::Address;
use crate::description::Listing;

/// Lists the tables of the dataset that the URL names, or of all datasets of its project.
pub(super) async fn list(client: &BigQueryClient, address: &Address) -> Result<Listing> {
    let datasets = match &address.dataset {
        Some(dataset) => vec![dataset.clone()],
        None => client.datasets(&address.project).await?,
    };
    let mut listing = Listing::default();
    for dataset in datasets {
        for table in client.tables(&address.project, &dataset).await? {
            let refused = refused(&address.project, &dataset, &table);
            let name = TableName { schema: Some(dataset.clone()), name: table.name };
            match refused {
                None => listing.tables.push(name),
                Some(reason) => listing.excluded.push((name, reason)),
            }
        }
    }
    Ok(listing)
}

/// Why a pattern does not match a table, if it does not.
fn refused(project: &str, dataset: &str, table: &ListedTable) -> Option<String> {
    if is_own(&table.name) {
        return Some("it belongs to a load of Sluice".to_owned());
    }
    if table.kind != "TABLE" {
        return Some(format!("it is a {} and not a table", in_words(&table.kind)));
    }
    let named = TableId::new(project, dataset, &table.name);
    named.err().map(|why| format!("its {why}"))
}

/// What BigQuery calls a kind of table, in words.
pub(super) fn in_words(kind: &str) -> String {
    kind.to_lowercase().replace('_', " ")
}

/// Whether a name is that of a staging table, or of the claim of a table that is being made.
pub(super) fn is_own(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("sluice_") else { return false };
    let is_run = |id: &str| id.parse::<RunId>().is_ok();
    rest.starts_with("claim_") || rest.split('_').next().is_some_and(is_run)
}
