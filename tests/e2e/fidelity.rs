//! Every type of PostgreSQL: exact, refused by the plan, or counted as invalid.

use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::cloud::storage::CloudStorage;
use sluice_tests::fidelity::{judge, servers};

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_every_type_is_exact_refused_or_counted() {
    for server in servers() {
        let Some(answer) = judge("outcomes", &server, &["--values", "250"]).await else { return };
        assert!(answer["types"].as_u64() > Some(140), "{answer:#}");
        assert!(answer["exact"].as_u64() > Some(15_000), "{answer:#}");
        assert!(answer["counted"].as_u64() > Some(500), "{answer:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_has_set_changes_no_value() {
    for server in servers() {
        let settings = ["--values", "40", "--settings"];
        let Some(answer) = judge("outcomes", &server, &settings).await else { return };
        assert!(answer["exact"].as_u64() > Some(3_000), "{answer:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_the_same_number_in_every_currency() {
    for server in servers() {
        let Some(answer) = judge("money", &server, &[]).await else { return };
        assert_eq!(answer["currencies"], 4, "{answer:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_encoding_of_a_database_changes_no_text() {
    for server in servers() {
        if judge("encodings", &server, &[]).await.is_none() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_type_of_the_catalogue_is_without_a_row() {
    for server in servers() {
        let Some(answer) = judge("catalogue", &server, &[]).await else { return };
        // PostgreSQL 12 has 150 built-in types.
        assert!(answer["types"].as_u64() > Some(150), "{answer:#}");
        assert!(answer["planned"].as_u64() > Some(140), "{answer:#}");
    }
}

/// Every write disposition, read by Google's own client.
#[tokio::test(flavor = "multi_thread")]
async fn every_value_that_bigquery_has_is_the_sources_whatever_the_disposition() {
    let Some(server) = servers().into_iter().next() else { return };
    let Some(storage) = CloudStorage::start().await else { return };
    let Some(warehouse) = Warehouse::over(storage.root()).await else { return };
    let (bigquery, storage) = (warehouse.url(), storage.url());
    let services = ["--bigquery", &bigquery, "--storage", &storage];
    let Some(answer) = judge("warehouse", &server, &services).await else { return };
    assert_eq!(answer["cases"], 23, "{answer:#}");
    assert!(answer["exact"].as_u64() > Some(2_000), "{answer:#}");
}
