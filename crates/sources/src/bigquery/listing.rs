//! The tables of the datasets.

use sluice_contracts::Result;
use sluice_contracts::job::TableName;
use sluice_runtime::google::bigquery::BigQueryClient;

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
            let name = TableName { schema: Some(dataset.clone()), name: table.id.table };
            match table.kind.as_str() {
                "TABLE" => listing.tables.push(name),
                kind => {
                    let kind = kind.to_lowercase().replace('_', " ");
                    listing.excluded.push((name, format!("it is a {kind} and not a table")));
                }
            }
        }
    }
    Ok(listing)
}
