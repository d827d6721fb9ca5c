//! A secret in an environment variable never leaves the programs but to the source.

use serde_json::{Value, json};
use sluice_tests::cluster::Cluster;
use sluice_tests::postgres::Database;
use sluice_tests::sluice::{Ended, Site};

/// A value that a URL's parser takes apart if it is not percent-encoded.
const SECRET: &str = "Pl4n/t3d:Pl4nt3d@w#r?d%41&x=Pl4nt3d";
/// What of it no output may contain.
const PLANTED: [&str; 4] = ["Pl4n", "pl4n", "Pl4nt3d", "pl4nt3d"];

/// Sources that cannot be read, each for a reason of its own, with the secret in every place: what
/// the parser refuses, what no name server knows, what the server refuses, what no file is.
const FAILING: &[&str] = &[
    "${SECRET}",
    "${SECRET}://host/d",
    "postgres://u@${SECRET}/d",
    "postgres://u@h/d?${SECRET}",
    "postgres://u@h/d?sslmode=${SECRET}",
    "postgres://u@h/d?sslrootcert=${SECRET}",
    "postgres://u@h/d?sslmode=verify-ca&sslrootcert=/${SECRET}",
    "postgres://u@h/d?port=${SECRET}",
    "postgres://${HOST}/${SECRET}",
    "postgres://postgres@${HOST}/${SECRET}",
    "postgres://${SECRET}@${HOST}/postgres",
    "postgres://${SECRET}:${SECRET}@${HOST}/postgres",
    "postgres://postgres:${SECRET}@${CLOSED}/postgres",
    "postgres://postgres@${HOST}/postgres?options=${SECRET}",
    "postgres://postgres@${HOST}/postgres?options=-c%20search_path%3D${SECRET}%20-c%20nothing%3D${SECRET}",
    "postgres://postgres@${HOST}/postgres?options[${SECRET}]=1",
    "postgres://postgres@${HOST}/postgres?host=${SECRET}",
    "postgres://postgres@${HOST}/postgres?host=/${SECRET}",
    "${WHOLE_USER}",
    "${WHOLE_DATABASE}",
    "${WHOLE_HOST}",
    "sqlite://${SECRET}",
    "sqlite:///${SECRET}",
    "sqlite:///${SECRET}/a.db",
    "sqlite:///${FOLDER}",
    "sqlite:///${NO_DATABASE}",
    "sqlite:///a.db?mode=${SECRET}",
];

fn assert_clean(ended: &Ended, site: &Site, source: &str) {
    let mut said = vec![ended.to_string()];
    let mut folders = vec![site.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder can be listed") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "json") {
                said.push(std::fs::read_to_string(path).expect("a document"));
            }
        }
    }
    for text in said {
        for planted in PLANTED {
            assert!(!text.contains(planted), "{source}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_shows_a_value_of_a_variable() {
    let Some(cluster) = Cluster::with_tls() else { return };
    let database = cluster.database().await;
    let (host, port) = cluster.address();
    let place = format!("{host}:{port}");
    let of = |rest: &str| format!("postgres://{rest}");
    let folder = tempfile::TempDir::with_prefix("Pl4nt3d").expect("a temporary folder");
    let no_database = folder.path().join("no.db");
    std::fs::write(
        &no_database,
        "not a database, and longer than a header of one has to be: 0123456789".repeat(3),
    )
    .expect("a file");
    let site = Site::new()
        .with("RUST_LOG", "trace")
        .with("SECRET", SECRET)
        .with("HOST", &place)
        .with("CLOSED", "127.0.0.1:1")
        .with("WHOLE_USER", of(&format!("Pl4nt3d:Pl4nt3d@{place}/{}", database.name())))
        .with("WHOLE_DATABASE", of(&format!("postgres@{place}/Pl4nt3d")))
        .with("WHOLE_HOST", of("u:Pl4nt3d@Pl4nt3d.invalid/d"))
        .with("FOLDER", folder.path().display().to_string())
        .with("NO_DATABASE", no_database.display().to_string());
    for source in FAILING {
        let job = site.job("shop", &json!({"url": source, "table": "t"}), &json!({}));
        for command in ["plan", "run"] {
            let ended = site.sluice([command.as_ref(), job.as_os_str()]).await;
            assert!(!ended.code.is_some_and(|code| code == 0 || code == 70), "{source}: {ended}");
            assert_clean(&ended, &site, source);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_may_have_any_characters_and_stays_where_it_is() {
    let Some(database) = Database::fresh().await else { return };
    database.execute("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 1000) AS n").await;
    let role = format!("reader_of_{}", database.name());
    let grants =
        format!("CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'; GRANT SELECT ON t TO {role}");
    database.execute(&grants).await;
    let (host, port) = database.address();
    let url = format!("postgres://{role}:${{SECRET}}@{host}:{port}/{}", database.name());
    let parts = json!({
        "host": host, "port": port, "user": role, "password": "${SECRET}",
        "database": database.name(), "options": {"application_name": "${SECRET}"}, "table": "t",
    });
    for source in [json!({"url": url, "table": "t"}), parts] {
        let site = Site::new().with("SECRET", SECRET).with("RUST_LOG", "trace");
        let job = |more: &Value| {
            let mut job = json!({
                "name": "shop", "source": source, "bucket": site.bucket(),
                "target": {"table": format!("file://{}", site.table("shop").display())},
            });
            for (key, value) in more.as_object().into_iter().flatten() {
                job[key] = value.clone();
            }
            site.file("shop.yaml", &job.to_string())
        };
        let path = job(&json!({}));
        let ended = site.sluice(["run".as_ref(), path.as_os_str()]).await;
        ended.succeeded();
        assert_clean(&ended, &site, &source.to_string());
        // What fails while it reads says nothing of it either.
        let path = job(&json!({"partitioning": {"column": "no"}}));
        let ended = site.sluice(["run".as_ref(), path.as_os_str()]).await;
        assert_ne!(ended.code, Some(0), "{ended}");
        assert_clean(&ended, &site, &source.to_string());
    }
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// The server's own words may hold the user's name, long after the connection was made.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_says_of_a_statement_holds_no_value_of_a_variable() {
    let Some(database) = Database::fresh().await else { return };
    let role = format!("pl4nt3d_{}", database.name());
    let statements = format!(
        "CREATE EXTENSION postgres_fdw;
         CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1');
         CREATE FOREIGN TABLE remote (id int) SERVER away;
         CREATE TABLE closed AS SELECT 1 AS id;
         CREATE ROLE {role} LOGIN; GRANT SELECT ON remote TO {role}"
    );
    database.execute(&statements).await;
    let (host, port) = database.address();
    let url = format!("postgres://${{ROLE}}@{host}:{port}/{}", database.name());
    let site = Site::new().with("ROLE", &role).with("RUST_LOG", "trace");
    for (table, words) in
        [("remote", "user mapping not found"), ("closed", "this user may not read it")]
    {
        let job = site.job("shop", &json!({"url": url, "table": table}), &json!({}));
        let ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
        ended.refused(1, &[table, words]);
        assert!(!ended.stderr.contains("altered"), "{ended}");
        assert_clean(&ended, &site, table);
    }
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
