//! What a look at a run of a thousand tables asks the bucket for.

use sluice_contracts::documents::SnapshotPlan;

use super::cloud::Cloud;
use crate::RunState;

const TABLES: u32 = 1000;

/// How many documents were read. The target of these tests looks for each part.
fn documents_read(cloud: &Cloud) -> u32 {
    let reads = cloud.reads.lock().unwrap();
    reads.iter().filter(|(path, _)| !path.contains("/parts/")).map(|(_, times)| times).sum()
}

#[tokio::test]
async fn a_look_at_a_thousand_tables_reads_each_document_once_and_lists_each_folder_once() {
    let mut cloud = Cloud::at_work(&[1; TABLES as usize], SnapshotPlan::Held).await;
    cloud.world.prove_all(0).await;
    cloud.end("e0", 0);
    cloud.world.target.pending = 1;
    assert_eq!(cloud.check().await.unwrap(), RunState::Loading);
    let asked = |cloud: &Cloud, what: &str| -> (u32, u32) {
        let sum = |of: &std::collections::BTreeMap<String, u32>| {
            of.iter().filter(|(path, _)| path.contains(what)).map(|(_, times)| times).sum()
        };
        let asked = (sum(&cloud.reads.lock().unwrap()), sum(&cloud.lists.lock().unwrap()));
        println!("requests: {what}: {} read, {} listed", asked.0, asked.1);
        asked
    };
    // Every table is at work: none has a commit, and that is found out by one listing.
    assert_eq!(asked(&cloud, "/receipts/"), (TABLES, 2));
    assert_eq!(asked(&cloud, "/commits"), (0, 2));
    assert_eq!(asked(&cloud, "/parts").1, 1, "one listing serves all tables");
    assert!(documents_read(&cloud) <= TABLES + 20, "{}", documents_read(&cloud));

    cloud.reads.lock().unwrap().clear();
    cloud.lists.lock().unwrap().clear();
    cloud.check_to_the_end().await;
    assert_eq!(asked(&cloud, "/receipts/").0, TABLES);
    assert_eq!(asked(&cloud, "/commits").0, 0);
    assert!(documents_read(&cloud) <= TABLES + 20, "{}", documents_read(&cloud));
    assert_eq!(cloud.world.loads().len(), TABLES as usize);
}
