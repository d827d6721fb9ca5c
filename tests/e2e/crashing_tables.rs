//! A table whose reading brings the whole server down.

use serde_json::{Value, json};
use sluice_tests::cluster::Cluster;
use sluice_tests::sluice::Site;

/// The server ends the connections of all tasks when one of its processes dies. Each table lies with
/// a task of its own, and takes longer than the guilty one needs to do it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_crashes_the_server_is_given_up_and_the_others_are_committed() {
    let Some(server) = Cluster::start() else { return };
    let database = server.database().await;
    database
        .execute(
            "CREATE TABLE few AS SELECT n AS id FROM generate_series(1, 3) AS n;
             CREATE FUNCTION dies() RETURNS int LANGUAGE plpgsql AS $$
             BEGIN
               PERFORM pg_sleep(0.5);
               EXECUTE 'COPY (SELECT 1) TO PROGRAM ''kill -9 $PPID''';
               RETURN 1;
             END $$;
             CREATE VIEW guilty AS SELECT id, dies() FROM few WHERE id = 1;
             CREATE VIEW slow_a AS SELECT id, pg_sleep(1) IS NULL AS slept FROM few;
             CREATE VIEW slow_b AS SELECT * FROM slow_a;
             CREATE VIEW slow_c AS SELECT * FROM slow_a",
        )
        .await;
    let site = Site::reading(database.url());
    let names = ["slow_a", "guilty", "slow_b", "slow_c"];
    let tables = names.map(|name| json!({"table": format!("public.{name}")}));
    let job = json!({
        "name": "crashing",
        "source": {"url": "${SOURCE_URL}"},
        "tables": tables,
        "target": {"dataset": format!("file://{}/warehouse", site.path().display())},
        "limits": {"max_tasks": 4, "finish_within": "1ms"},
    });
    let file = site.file("job.json", &job.to_string());
    let ended = site.sluice(["run".as_ref(), "--json".as_ref(), file.as_os_str()]).await;
    assert_ne!(ended.code, Some(0), "{ended}");
    let answer: Value = serde_json::from_str(&ended.stdout).expect("an answer in JSON");
    assert_eq!(answer["tasks"], 4, "{answer:#}");
    for table in answer["tables"].as_array().expect("tables") {
        let guilty = table["table"] == "public.guilty";
        assert_eq!(table["state"], if guilty { "failed" } else { "committed" }, "{ended}");
        let error = table["error"].as_str().unwrap_or_default();
        assert_eq!(error.contains("tried 4 times"), guilty, "{ended}");
    }
}
