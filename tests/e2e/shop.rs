//! The tables that most tests move.

use serde_json::{Value, json};
use sluice_tests::postgres::Database;

/// Makes `orders`, which resembles the busiest table of a Django shop. Recent days have more rows,
/// ids have gaps, one row in fifty has no timestamp, and some timestamps are exactly midnight.
pub(crate) async fn orders(database: &Database, rows: u32) {
    database
        .execute(&format!(
            "CREATE TABLE orders (
                 id bigint PRIMARY KEY,
                 customer_id integer,
                 status varchar(20) NOT NULL,
                 total numeric(12, 2),
                 weight double precision,
                 paid boolean NOT NULL,
                 created_at timestamptz,
                 shipped_on date,
                 reference uuid NOT NULL,
                 payload jsonb,
                 note text,
                 proof bytea,
                 tags text[] NOT NULL
             );
             INSERT INTO orders
             SELECT
                 n * 3 + n / 1000 * 5000,
                 CASE WHEN n % 11 <> 0 THEN (n * 7919) % 5000 END,
                 (ARRAY['new', 'paid', 'shipped', 'returned'])[1 + n % 4],
                 round((n % 100000)::numeric / 7, 2),
                 n / 3.0,
                 n % 3 = 0,
                 CASE
                     WHEN n % 50 = 0 THEN NULL
                     WHEN n % 17 = 0 THEN timestamptz '2024-03-01 00:00:00+00' + (n % 60) * interval '1 day'
                     ELSE timestamptz '2024-01-01 00:00:00+00' + sqrt(n::float8 / {rows}) * interval '180 days'
                 END,
                 date '2024-01-01' + n % 200,
                 md5(n::text)::uuid,
                 CASE WHEN n % 5 <> 0 THEN jsonb_build_object('n', n, 'naïve', 'λ ☃ ' || n) END,
                 CASE WHEN n % 7 <> 0 THEN repeat('ñ€𝄞', n % 5) || E'\\t\"line\\nbreak\" ' || n END,
                 CASE WHEN n % 9 <> 0 THEN decode(md5(n::text), 'hex') END,
                 CASE WHEN n % 4 = 0 THEN '{{}}' ELSE ARRAY['a', 'tag ' || n] END
             FROM generate_series(1, {rows}) AS n;
             CREATE INDEX ON orders (created_at);
             ANALYZE orders;",
        ))
        .await;
}

/// Settings that cut a small table into many units and spread them over three tasks.
pub(crate) fn cut(strategy: &str) -> Value {
    json!({
        "partitioning": {"strategy": strategy, "target_rows": 1000},
        "limits": {"max_connections": 3, "max_tasks": 3, "finish_within": "500ms"},
    })
}

/// The same settings with the column to cut by.
pub(crate) fn cut_by(strategy: &str, column: &str) -> Value {
    let mut more = cut(strategy);
    more["partitioning"]["column"] = json!(column);
    more
}
