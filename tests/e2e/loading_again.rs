//! A run whose table could not be loaded is loaded from its part files, without its source.

use std::fs;

use serde_json::json;
use sluice_tests::sluice::Site;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_loaded_once_the_target_is_corrected() {
    let database = "shop.db";
    let site = Site::new();
    let path = site.path().join(database);
    let connection = rusqlite::Connection::open(&path).expect("the database is made");
    let rows = "create table orders (id integer primary key); \
                insert into orders values (1), (2), (3); \
                create table lines (id integer primary key); insert into lines values (7)";
    connection.execute_batch(rows).expect("the database can be written");
    let warehouse = site.path().join("warehouse");
    let text = format!(
        "name: shop\nsource: {{url: sqlite://{}}}\ntables:\n- table: '*'\ntarget: {{dataset: \
         file://{}}}\nbucket: {}\n",
        path.display(),
        warehouse.display(),
        site.bucket()
    );
    let job = site.file("job.yaml", &text);
    // Nobody can lock the table, because a folder is in the place of its lock.
    fs::create_dir_all(warehouse.join(".orders.lock")).expect("the folder can be made");
    let job = job.to_str().expect("a path in UTF-8");
    let failed = site.sluice(["run", job]).await;
    assert_eq!(failed.code, Some(1), "{failed}");
    assert!(warehouse.join("lines").exists(), "the other table is visible: {failed}");
    let run = site.newest_run().expect("there is a run");
    let status = site.sluice(["status", &run, "--job", job]).await;
    let way_out = format!("the part files of `orders` are kept: `sluice load {run} --bucket ");
    assert!(status.stdout.contains(&way_out), "{status}");

    let again = site.sluice(["load", &run, "--job", job]).await;
    assert_eq!(again.code, Some(1), "it is still in the way: {again}");
    fs::remove_dir(warehouse.join(".orders.lock")).expect("it is empty");
    drop(connection);
    fs::remove_file(&path).expect("the source goes away");
    let loaded = site.sluice(["--json", "load", &run, "--bucket", &site.bucket()]).await.answer();
    let tables: Vec<_> = loaded["tables"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|table| (table["table"].clone(), table["state"].clone(), table["rows"].clone()))
        .collect();
    assert!(tables.contains(&(json!("orders"), json!("committed"), json!(3))), "{tables:?}");
    assert!(tables.contains(&(json!("lines"), json!("committed"), json!(1))), "{tables:?}");
    assert!(site.documents(&run, "parts").is_empty(), "the part files have served");
    let whole = site.sluice(["load", &run, "--job", job]).await;
    assert_eq!(whole.code, Some(0), "nothing is left to be done: {whole}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_be_loaded_says_why() {
    let site = Site::new();
    let run = "0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90";
    let nowhere = site.sluice(["load", run]).await;
    nowhere.refused(64, &["nothing says where its parts are", "`--loader URL`"]);
    fs::create_dir_all(site.path().join("bucket")).expect("the folder can be made");
    let absent = site.sluice(["load", run, "--bucket", &site.bucket()]).await;
    assert_eq!(absent.code, Some(1), "{absent}");
}
