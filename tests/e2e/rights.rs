//! Views that are broken, and schemas that are closed.

use serde_json::{Value, json};
use sluice_tests::postgres::Database;
use sluice_tests::proxy::Proxy;
use sluice_tests::sluice::Site;

use crate::concurrent_changes::altered_when_planned;
use crate::crashes::resume;
use crate::many_tables;
use crate::snapshot::SLOW;

/// A reader, and an owner of views who has lost what they read.
struct People<'a> {
    database: &'a Database,
    reader: String,
    owner: String,
}

impl<'a> People<'a> {
    async fn invited(database: &'a Database) -> Self {
        let reader = format!("{}_reader", database.name());
        let owner = format!("{}_owner", database.name());
        database
            .execute(&format!(
                "CREATE ROLE {reader} LOGIN; CREATE ROLE {owner};
                 CREATE TABLE base AS SELECT n AS id, 'x'::text AS note FROM generate_series(1, 100) AS n;
                 CREATE VIEW ok AS SELECT * FROM base;
                 CREATE MATERIALIZED VIEW unpopulated AS SELECT * FROM base WITH NO DATA;
                 CREATE VIEW over_unpopulated AS SELECT * FROM unpopulated;
                 GRANT SELECT ON base TO {owner};
                 CREATE VIEW lost AS SELECT * FROM base; ALTER VIEW lost OWNER TO {owner};
                 CREATE VIEW over_lost AS SELECT id FROM lost;
                 CREATE VIEW invoker WITH (security_invoker = true) AS SELECT * FROM base;
                 ALTER VIEW invoker OWNER TO {owner};
                 REVOKE SELECT ON base FROM {owner};
                 CREATE VIEW zero AS SELECT id, 1 / (id - 50) AS x FROM base;
                 CREATE FUNCTION raising(integer) RETURNS integer LANGUAGE plpgsql AS
                     $$ BEGIN RAISE EXCEPTION 'the secret is %', $1; END $$;
                 CREATE VIEW raised AS SELECT raising(id) AS x FROM base;
                 CREATE VIEW logarithm AS SELECT ln(id - 1) AS x FROM base;
                 CREATE SCHEMA closed; CREATE TABLE closed.t AS SELECT 1 AS id;
                 GRANT SELECT ON ALL TABLES IN SCHEMA public, closed TO {reader};
                 REVOKE SELECT ON base FROM {reader};"
            ))
            .await;
        Self { database, reader, owner }
    }

    async fn leave(self) {
        let Self { database, reader, owner } = self;
        let all = format!("{reader}, {owner}");
        database.execute(&format!("DROP OWNED BY {all} CASCADE; DROP ROLE {all}")).await;
    }
}

fn tables(names: &[&str]) -> Value {
    json!(names.iter().map(|name| json!({"table": name})).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_by_the_plan_with_the_right_that_is_missing() {
    let Some(database) = Database::fresh().await else { return };
    let people = People::invited(&database).await;
    let site = Site::reading(database.url_as(&people.reader));
    let grant = format!("grant SELECT on `base` to `{}`", people.owner);
    let caller = "grant this user the right to what the error names";
    let expected = [
        ("public.base", "grant SELECT on `public.base` to this user"),
        ("public.invoker", caller),
        ("public.unpopulated", "`REFRESH MATERIALIZED VIEW public.unpopulated`"),
        ("public.over_unpopulated", "`REFRESH MATERIALIZED VIEW unpopulated`"),
        ("public.lost", grant.as_str()),
        ("public.over_lost", grant.as_str()),
        ("closed.t", "grant USAGE on schema `closed` to this user"),
    ];
    let names: Vec<&str> = expected.iter().map(|(name, _)| *name).chain(["public.ok"]).collect();
    let job = many_tables::job(&site, &json!({"tables": tables(&names)}));
    let plan = site.plan(&job).await;
    let refused = plan["refused"].as_array().expect("`refused` is a list");
    assert_eq!(refused.len(), expected.len(), "{plan:#}");
    for ((name, hint), refused) in expected.iter().zip(refused) {
        assert_eq!(refused["table"], *name, "{plan:#}");
        let said = refused["hint"].as_str().unwrap_or_default();
        assert!(said.contains(hint), "{name}: {said}");
    }
    // A run says all that the plan does, whether some tables move or none.
    let ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
    let of = format!("{} of {} tables not visible", expected.len(), names.len());
    ended.refused(1, &[&of]);
    for (name, hint) in expected {
        assert!(ended.stdout.contains(hint) && ended.stderr.contains(hint), "{name}: {ended}");
    }
    let none = json!({"tables": tables(&names[..expected.len()])});
    let ended = site.sluice(["run".as_ref(), many_tables::job(&site, &none).as_os_str()]).await;
    ended.refused(1, &["no table can be moved"]);
    for (name, hint) in expected {
        assert!(ended.stderr.contains(name) && ended.stderr.contains(hint), "{name}: {ended}");
    }
    people.leave().await;
}

/// Another job can help where columns are refused, so that is the answer to bad input.
#[tokio::test(flavor = "multi_thread")]
async fn all_columns_that_are_refused_are_named_at_once() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TABLE shapes (id integer, line numeric(60, 5), tid numeric(70), box numeric(80, 9));
             CREATE TABLE plain (id integer)",
        )
        .await;
    let site = Site::reading(database.url());
    let job = site.job("shapes", &json!({"table": "public.shapes"}), &json!({}));
    let ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
    let hint = |column: &str| format!("set `columns.{column}.type` to `STRING`");
    for column in ["line", "tid", "box"] {
        ended.refused(64, &[&format!("describe column `{column}`"), &hint(column)]);
    }
    let selected = json!({"table": "public.shapes", "columns": ["id", "a", "b"]});
    let job = site.job("shapes", &selected, &json!({}));
    let ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
    ended.refused(1, &["there is no column `a`", "there is no column `b`"]);
    // Some tables move, so the job is not what is wrong.
    let both = json!({"tables": tables(&["public.shapes", "public.plain"])});
    let job = many_tables::job(&site, &both);
    let ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
    ended.refused(1, &["1 of 2 tables not visible", "describe column `tid`", &hint("box")]);
}

/// An error of a value is told without the value, whatever the server says of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_fails_at_a_row_is_named_and_told_in_words() {
    let Some(database) = Database::fresh().await else { return };
    let people = People::invited(&database).await;
    for (view, words) in [
        ("zero", "a division by zero"),
        ("raised", "a function raises an exception"),
        ("logarithm", "a logarithm of zero or of a negative number"),
    ] {
        let site = Site::reading(database.url_as(&people.reader));
        let job = site.job(view, &json!({"table": format!("public.{view}")}), &json!({}));
        let ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
        ended.refused(1, &[view, words, "hint:"]);
        assert!(!ended.stderr.contains("secret"), "{ended}");
    }
    people.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_lost_after_the_plan_is_named_as_by_the_plan() {
    let Some(database) = Database::fresh().await else { return };
    let people = People::invited(&database).await;
    database.execute(&format!("GRANT SELECT ON base TO {}", people.owner)).await;
    // So that the run does not end before the right is lost.
    database.execute("UPDATE base SET note = repeat('x', 20000)").await;
    let proxy = Proxy::slow(database.address(), SLOW).await;
    let url = database.url_as(&people.reader);
    let (_, port) = database.address();
    let site = Site::reading(url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port())));
    let job = site.job("lost", &json!({"table": "public.lost"}), &json!({}));
    let change = format!("REVOKE SELECT ON base FROM {}", people.owner);
    let run = altered_when_planned(&database, &site, &job, &change).await;
    let ended = resume(&site, &job, &run).ended().await;
    let grant = format!("grant SELECT on `base` to `{}`", people.owner);
    ended.refused(1, &["`public.lost`", &grant]);
    people.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_materialized_view_that_is_emptied_after_the_plan_is_told_how_to_fill() {
    let Some(database) = Database::fresh().await else { return };
    let filled = "CREATE MATERIALIZED VIEW filled AS SELECT n AS id, repeat('x', 20000) AS note
            FROM generate_series(1, 100) AS n;
        CREATE VIEW above AS SELECT * FROM filled";
    database.execute(filled).await;
    let proxy = Proxy::slow(database.address(), SLOW).await;
    let site = Site::reading(database.url_through(proxy.port()));
    let job = site.job("above", &json!({"table": "public.above"}), &json!({}));
    let change = "REFRESH MATERIALIZED VIEW filled WITH NO DATA";
    let run = altered_when_planned(&database, &site, &job, change).await;
    let ended = resume(&site, &job, &run).ended().await;
    ended.refused(1, &["`public.above`", "filled", "run `REFRESH MATERIALIZED VIEW`"]);
    assert!(!site.table("above").exists(), "{ended}");
}
