//! What a role may see, and what it is told of the rest.

use serde_json::{Value, json};
use sluice_tests::cluster::Cluster;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::proxy::Proxy;
use sluice_tests::sluice::Site;

use crate::concurrent_changes::altered_when_planned;
use crate::crashes::resume;
use crate::snapshot::SLOW;

/// Policies that hide rows in every place where PostgreSQL applies them: on a table, with no policy
/// at all, on a partitioned table, and below a view that reads with its caller's rights. `visits`
/// has them on a partition only, which hides nothing from a reader of the whole table.
const HIDDEN: &str = "
    CREATE TABLE orders AS SELECT n AS id, n % 10 AS tenant FROM generate_series(1, 1000) AS n;
    ALTER TABLE orders ENABLE ROW LEVEL SECURITY;
    CREATE TABLE closed AS SELECT n AS id FROM generate_series(1, 50) AS n;
    ALTER TABLE closed ENABLE ROW LEVEL SECURITY;
    CREATE TABLE days (id int, d date) PARTITION BY RANGE (d);
    CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
    CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
    INSERT INTO days SELECT n, date '2024-01-01' + n % 55 FROM generate_series(1, 500) AS n;
    ALTER TABLE days ENABLE ROW LEVEL SECURITY;
    CREATE TABLE visits (id int, d date) PARTITION BY RANGE (d);
    CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
    CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
    INSERT INTO visits SELECT n, date '2024-01-01' + n % 55 FROM generate_series(1, 500) AS n;
    ALTER TABLE visits_2 ENABLE ROW LEVEL SECURITY;
    CREATE TABLE open AS SELECT n AS id FROM generate_series(1, 20) AS n;
    CREATE VIEW owners AS SELECT id FROM orders;
    ANALYZE";

/// The role of the test, which may read all of `HIDDEN` as far as policies go.
struct Reader {
    database: Database,
    name: String,
}

impl Reader {
    async fn new() -> Option<Self> {
        let database = Database::fresh().await?;
        database.execute(HIDDEN).await;
        let name = format!("reader_of_{}", database.name());
        let grants = format!(
            "CREATE ROLE {name} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name};
             CREATE POLICY shown ON orders FOR SELECT TO {name} USING (tenant = 1);
             CREATE POLICY shown ON days FOR SELECT TO {name} USING (id < 100)"
        );
        database.execute(&grants).await;
        Some(Self { database, name })
    }

    async fn drop(self) {
        let name = &self.name;
        self.database.execute(&format!("DROP OWNED BY {name}; DROP ROLE {name}")).await;
    }
}

pub(crate) fn job(site: &Site, tables: &[&str], more: &Value) -> std::path::PathBuf {
    let entries: Vec<Value> = tables.iter().map(|table| json!({"table": table})).collect();
    let mut job = json!({
        "name": "shop", "source": {"url": "${SOURCE_URL}"}, "tables": entries,
        "target": {"dataset": format!("file://{}/warehouse/shop", site.path().display())},
        "bucket": site.bucket(),
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        job[key] = value.clone();
    }
    site.file("shop.yaml", &job.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_policies_hide_are_never_absent_without_a_word() {
    let Some(reader) = Reader::new().await else { return };
    let site = Site::reading(reader.database.url_as(&reader.name));
    let tables = ["public.orders", "public.closed", "public.days", "public.visits", "public.open"];

    // Not accepted: the tables where rows are hidden are refused, and no other.
    let path = job(&site, &tables, &json!({}));
    let ended = site.sluice(["run".as_ref(), path.as_os_str()]).await;
    ended.refused(
        1,
        &["`public.orders`", "`public.closed`", "`public.days`", "row_security: filter"],
    );
    for hidden in ["orders", "closed", "days"] {
        assert!(!site.table(hidden).exists(), "{hidden}: {ended}");
    }
    for whole in ["visits", "open"] {
        assert_same(Expected::Table(&reader.database, whole), &site.table(whole)).await;
    }
    let plan = site.plan(&path).await;
    let refused = plan["refused"].as_array().expect("`refused` is a list");
    let refused: Vec<_> = refused.iter().filter_map(|table| table["table"].as_str()).collect();
    assert_eq!(refused, ["public.orders", "public.closed", "public.days"], "{plan:#}");

    // Accepted: the rows that the policies show, and a warning for each such table.
    let path = job(&site, &tables, &json!({"row_security": "filter"}));
    let warnings = site.plan(&path).await["warnings"].to_string();
    for hidden in ["orders", "closed", "days"] {
        assert!(warnings.contains(&format!("hides rows of `public.{hidden}`")), "{warnings}");
    }
    for whole in ["visits", "open"] {
        assert!(!warnings.contains(&format!("hides rows of `public.{whole}`")), "{warnings}");
    }
    // Whatever the role has set, and however the table is cut.
    let set = format!("ALTER ROLE {} SET row_security = off", reader.name);
    reader.database.execute(&set).await;
    site.run(&path).await;
    let mut cut = json!({"row_security": "filter", "limits": {"finish_within": "1s"}});
    cut["partitioning"] = json!({"strategy": "id_range", "column": "id", "target_rows": 50});
    site.run(&site.job("orders", &json!({"table": "public.orders"}), &cut)).await;
    for (table, shown) in [("orders", "tenant = 1"), ("closed", "false"), ("days", "id < 100")] {
        let query = format!("SELECT * FROM {table} WHERE {shown}");
        assert_same(Expected::Query(&reader.database, &query), &site.table(table)).await;
    }
    reader.drop().await;
}

/// A policy may begin to hide rows when the plan has been made.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_policies_hide_after_the_plan_are_refused_too() {
    let Some(reader) = Reader::new().await else { return };
    // So that the run does not end before the policy begins.
    let long = "CREATE TABLE late AS SELECT n AS id, repeat('x', 20000) AS note
        FROM generate_series(1, 100) AS n; GRANT SELECT ON late TO PUBLIC";
    reader.database.execute(long).await;
    let proxy = Proxy::slow(reader.database.address(), SLOW).await;
    let url = reader.database.url_as(&reader.name);
    let (_, port) = reader.database.address();
    let site = Site::reading(url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port())));
    let path = site.job("late", &json!({"table": "public.late"}), &json!({}));
    let change = "ALTER TABLE late ENABLE ROW LEVEL SECURITY";
    let run = altered_when_planned(&reader.database, &site, &path, change).await;
    let ended = resume(&site, &path, &run).ended().await;
    ended.refused(1, &["`public.late`", "row_security: filter"]);
    assert!(!site.table("late").exists(), "{ended}");
    reader.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_below_views_and_queries_count_where_the_reader_is_their_caller() {
    let Some(reader) = Reader::new().await else { return };
    let site = Site::reading(reader.database.url_as(&reader.name));
    let query = json!({"query": "SELECT id FROM orders"});
    let path = site.job("asked", &query, &json!({}));
    let ended = site.sluice(["run".as_ref(), path.as_os_str()]).await;
    ended.refused(1, &["orders", "row_security: filter"]);
    assert!(!site.table("asked").exists());

    // A view reads with its owner's rights, whom no policy concerns.
    let path = site.job("owners", &json!({"table": "public.owners"}), &json!({}));
    site.run(&path).await;
    assert_same(Expected::Query(&reader.database, "SELECT id FROM orders"), &site.table("owners"))
        .await;

    // Unless it says otherwise, which PostgreSQL has since version 15.
    let version =
        reader.database.number("SELECT current_setting('server_version_num')::bigint").await;
    if version >= 150_000 {
        reader.database.execute("ALTER VIEW owners SET (security_invoker = true)").await;
        let ended = site.sluice(["run".as_ref(), path.as_os_str()]).await;
        ended.refused(1, &["`public.owners`", "orders", "row_security: filter"]);
    }
    reader.drop().await;
}

/// libpq's modes. A certificate that cannot be verified is never accepted where it has to be, and
/// the program says so: it does not panic, whichever providers of cryptography it is built with.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_verified_as_libpq_verifies_it() {
    let Some(cluster) = Cluster::with_tls() else { return };
    let database = cluster.database().await;
    database.execute("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 10) AS n").await;
    let port = cluster.address().1;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls");
    let (right, wrong) = (format!("{folder}/ca.crt"), format!("{folder}/other-ca.crt"));
    let (issuer, name) = (Some("`sslrootcert`"), Some("`sslmode=verify-ca`"));
    for (host, mode, root, refused) in [
        ("127.0.0.1", "require", None, None),
        ("127.0.0.1", "require", Some(&right), None),
        ("127.0.0.1", "verify-ca", Some(&right), None),
        ("localhost", "verify-full", Some(&right), None),
        ("127.0.0.1", "require", Some(&wrong), issuer),
        ("127.0.0.1", "verify-ca", Some(&wrong), issuer),
        ("localhost", "verify-full", Some(&wrong), issuer),
        ("127.0.0.1", "verify-full", Some(&right), name),
        ("localhost", "verify-full", None, issuer),
        ("127.0.0.1", "disable", None, None),
    ] {
        let root = root.map_or_else(String::new, |root| format!("&sslrootcert={root}"));
        let url =
            format!("postgres://postgres@{host}:{port}/{}?sslmode={mode}{root}", database.name());
        let site = Site::reading(url.clone());
        let path = site.job("t", &json!({"table": "public.t"}), &json!({}));
        let ended = site.sluice(["run".as_ref(), path.as_os_str()]).await;
        match refused {
            None => assert_eq!(ended.code, Some(0), "{url}: {ended}"),
            Some(remedy) => ended.refused(1, &["certificate", "hint: ", remedy]),
        }
    }
    // No password is asked for, so none is wrong.
    let site = Site::reading(format!("postgres://nobody@127.0.0.1:{port}/{}", database.name()));
    let path = site.job("t", &json!({"table": "public.t"}), &json!({}));
    let ended = site.sluice(["plan".as_ref(), path.as_os_str()]).await;
    ended.refused(1, &["does not exist", "pg_hba.conf"]);
    assert!(!ended.stderr.contains("password"), "{ended}");
}

/// What the URL leaves open is taken from libpq's variables, as libpq takes it.
#[tokio::test(flavor = "multi_thread")]
async fn variables_of_libpq_say_what_the_url_does_not() {
    let Some(cluster) = Cluster::with_tls() else { return };
    let database = cluster.database().await;
    database.execute("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 10) AS n").await;
    let port = cluster.address().1;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tls");
    let (right, wrong) = (format!("{folder}/ca.crt"), format!("{folder}/other-ca.crt"));
    let (mode, root) = ("PGSSLMODE", "PGSSLROOTCERT");
    let named = "postgres://postgres@localhost";
    let issuer = Some((1, "`sslrootcert`"));
    for (server, parameters, variables, refused) in [
        (named, "", vec![(mode, "verify-full"), (root, right.as_str())], None),
        (named, "", vec![(mode, "require"), (root, &wrong)], issuer),
        (named, "", vec![(mode, "verify-full")], issuer),
        (named, "", vec![(root, &wrong), (mode, "verify-ca")], issuer),
        ("postgres://postgres@127.0.0.1", "", vec![(mode, "verify-full"), (root, &right)], {
            Some((1, "`sslmode=verify-ca`"))
        }),
        (named, "", vec![(mode, "requires")], Some((64, "did you mean `require`?"))),
        (
            named,
            "",
            vec![(mode, "verify-ca"), (root, "/nowhere.crt")],
            Some((1, "`PGSSLROOTCERT`")),
        ),
        // The URL counts more than they do.
        (named, "?sslmode=disable", vec![(mode, "verify-full"), (root, &wrong)], None),
        (named, "?sslmode=verify-full&sslrootcert=RIGHT", vec![(root, &wrong)], None),
        ("postgres://localhost", "", vec![("PGUSER", "postgres")], None),
        ("postgres://localhost", "", vec![("PGUSER", "nobody")], Some((1, "role \"nobody\""))),
        (named, "", vec![("PGUSER", "nobody")], None),
    ] {
        let parameters = parameters.replace("RIGHT", &right);
        let site = Site::reading(format!("{server}:{port}/{}{parameters}", database.name()));
        let site = variables.iter().fold(site, |site, (name, value)| site.with(name, *value));
        let job = site.job("t", &json!({"table": "public.t"}), &json!({}));
        let ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
        match refused {
            None => assert_eq!(ended.code, Some(0), "{server} {parameters} {variables:?}: {ended}"),
            Some((code, word)) => ended.refused(code, &[word]),
        }
    }
}

/// Rights on single columns are enough for a job that names them, and a column that may not be read
/// is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_may_read_the_columns_that_it_is_granted() {
    let Some(database) = Database::fresh().await else { return };
    let role = format!("columns_of_{}", database.name());
    let setup = format!(
        "CREATE TABLE customers AS SELECT n AS id, 'c' || n AS name, md5(n::text) AS password_hash
             FROM generate_series(1, 5000) AS n;
         CREATE TABLE days (id int, secret text) PARTITION BY RANGE (id);
         CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (100);
         INSERT INTO days SELECT n, 'x' FROM generate_series(1, 50) AS n;
         ANALYZE;
         CREATE ROLE {role} LOGIN; GRANT SELECT (id, name) ON customers TO {role};
         GRANT SELECT (id) ON days TO {role}"
    );
    database.execute(&setup).await;
    let site = Site::reading(database.url_as(&role));
    let source = json!({"table": "public.customers", "columns": ["id", "name"]});
    let cut = json!({"partitioning": {"strategy": "id_range", "column": "id", "target_rows": 900}});
    site.run(&site.job("customers", &source, &cut)).await;
    let query = "SELECT id, name FROM customers";
    assert_same(Expected::Query(&database, query), &site.table("customers")).await;
    let source = json!({"table": "public.days", "columns": ["id"]});
    site.run(&site.job("days", &source, &json!({}))).await;
    assert_same(Expected::Query(&database, "SELECT id FROM days"), &site.table("days")).await;

    let path = site.job("all", &json!({"table": "public.customers"}), &json!({}));
    let ended = site.sluice(["run".as_ref(), path.as_os_str()]).await;
    ended.refused(1, &["may not read column `password_hash`", "name the columns"]);
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// A limit that a role or the server has set does not count, not even for the statements that come
/// before the job's: a statement of planning and one that reads have limits of their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_of_the_role_does_not_count() {
    let Some(database) = Database::fresh().await else { return };
    let role = format!("hurried_in_{}", database.name());
    let setup = format!(
        "CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 50000) AS n;
         CREATE ROLE {role} LOGIN; GRANT SELECT ON t TO {role};
         ALTER ROLE {role} SET statement_timeout = '1ms';
         ALTER ROLE {role} SET lock_timeout = '1ms'"
    );
    database.execute(&setup).await;
    let site = Site::reading(database.url_as(&role));
    let job = site.job("t", &json!({"table": "public.t"}), &json!({}));
    // The server may take longer than a millisecond even to begin a transaction, now and then.
    let mut ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
    for _ in 0..5 {
        if ended.code != Some(0) {
            ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
        }
    }
    ended.succeeded();
    assert_same(Expected::Table(&database, "t"), &site.table("t")).await;
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
