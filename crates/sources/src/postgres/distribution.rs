//! Where a key's values lie, from statistics or a sample; never from the whole table.

use super::driver::Connection;
use sluice_contracts::documents::KeyType;
use sluice_contracts::job::TableJob;
use sluice_contracts::{Error, Result};

use super::connection::{get, if_allowed, rows};
use super::dialect::{self, identifier, literal};
use super::partitions::explain;
use crate::description::{Distribution, Key, Piece, Span};
use crate::sql::unknown_key;

/// Pages read for a sample: enough for hundreds of units, and below 1 % of any table that is cut
/// because it is large.
const SAMPLE_PAGES: f64 = 400.0;
/// Greatest share of a table that statistics may have missed and still be used: autovacuum analyses
/// again after a tenth.
const STALE_SHARE: f64 = 0.2;
/// Number of intervals that the server's own estimates are asked for.
const ESTIMATED_SPANS: f64 = 128.0;

/// Finds where the keys of a piece lie.
///
/// Tables use statistics, or else a sample of their pages, which unlike a walk along an index also
/// shows how many rows lie between two keys. A relation without pages uses the server's estimates.
pub(super) async fn find(
    connection: &mut Connection,
    table: &TableJob,
    piece: &Piece,
    key: &Key,
) -> Result<Option<Distribution>> {
    if piece.rows == 0 {
        return Ok(Some(Distribution::default()));
    }
    let leaf = piece.leaf.as_ref().map(ToString::to_string);
    let relation = leaf.unwrap_or_else(|| dialect::relation(&table.relation));
    if let Some(pages) = piece.blocks {
        if table.filter.is_none()
            && let Some(found) = statistics(connection, &relation, piece, key).await?
        {
            return Ok(Some(found));
        }
        return sample(connection, table, &relation, piece, pages, key).await.map(Some);
    }
    estimates(connection, table, &relation, key).await
}

/// The histogram and the most common values of the last ANALYZE, if it saw most of the table.
async fn statistics(
    connection: &mut Connection,
    relation: &str,
    piece: &Piece,
    key: &Key,
) -> Result<Option<Distribution>> {
    let what = || format!("read the statistics of column `{}`", key.column);
    let of = format!(
        "from pg_stats s join pg_class c on c.oid = to_regclass({}) \
         join pg_namespace n on n.oid = c.relnamespace \
         where s.schemaname = n.nspname and s.tablename = c.relname and not s.inherited \
         and s.attname = {}",
        literal(relation),
        literal(&key.column)
    );
    let sql = format!(
        "select s.null_frac::float8, c.reltuples::float8, \
         pg_stat_get_mod_since_analyze(c.oid)::float8, s.most_common_freqs::float8[] {of}"
    );
    let head = if_allowed(connection, &sql, what).await?.unwrap_or_default();
    let Some(head) = head.first() else { return Ok(None) };
    let (nulls, seen): (f64, f64) = (get(head, 0)?, get(head, 1)?);
    let changed: f64 = get::<Option<f64>>(head, 2)?.unwrap_or(0.0);
    let all = as_f64(piece.rows);
    if seen <= 0.0 || changed > all * STALE_SHARE || (all - seen).abs() > all * STALE_SHARE {
        return Ok(None);
    }
    let frequencies: Vec<f64> = get::<Option<Vec<f64>>>(head, 3)?.unwrap_or_default();
    let mut common = Vec::new();
    for value in values(connection, "most_common_vals", &of, key).await? {
        common.push(value);
    }
    let histogram: Vec<i64> =
        values(connection, "histogram_bounds", &of, key).await?.into_iter().flatten().collect();
    let common_share: f64 = frequencies.iter().sum();
    let rest = (1.0 - nulls - common_share).max(0.0) * all;
    let mut spans = histogram_spans(&histogram, rest);
    for (value, frequency) in common.into_iter().zip(frequencies) {
        if let Some(value) = value {
            add_point(&mut spans, value, frequency * all);
        }
    }
    Ok((!spans.is_empty()).then_some(Distribution { spans, nulls: nulls * all }))
}

/// One array of `pg_stats`, element by element; `None` for infinities.
async fn values(
    connection: &mut Connection,
    array: &str,
    of: &str,
    key: &Key,
) -> Result<Vec<Option<i64>>> {
    let kind = type_name(key.key_type)?;
    let sql = format!(
        "select {} from (select s.{array}::text::{kind}[] as a {of}) as s, \
         unnest(s.a) with ordinality as u(x, n) order by u.n",
        counted("u.x", key.key_type)
    );
    let what = || format!("read the statistics of column `{}`", key.column);
    rows(connection, &sql, what).await?.iter().map(|row| get(row, 0)).collect()
}

/// Keys from pages spread over the whole table.
async fn sample(
    connection: &mut Connection,
    table: &TableJob,
    relation: &str,
    piece: &Piece,
    pages: u32,
    key: &Key,
) -> Result<Distribution> {
    let percent = (SAMPLE_PAGES * 100.0 / f64::from(pages.max(1))).min(100.0);
    let only = if piece.leaf.is_some() { "only " } else { "" };
    let column = identifier(&key.column);
    let kind = type_name(key.key_type)?;
    let filter = table.filter.as_ref().map_or_else(String::new, |f| format!("where (\n{f}\n)"));
    let sql = format!(
        "select s.x is null, {} from (select {column}::{kind} as x from {only}{relation} as _sluice \
         tablesample system ({percent:.6}) repeatable (0) {filter}) as s order by 2",
        counted("s.x", key.key_type)
    );
    let what = || format!("sample column `{}`", key.column);
    let found = rows(connection, &sql, what).await?;
    let mut keys = Vec::with_capacity(found.len());
    let mut nulls = 0_u32;
    for row in &found {
        if get(row, 0)? {
            nulls += 1;
        } else {
            keys.extend(get::<Option<i64>>(row, 1)?);
        }
    }
    let all = as_f64(piece.rows);
    let per_row = all / as_f64(u64::try_from(found.len()).unwrap_or(u64::MAX).max(1));
    Ok(Distribution { spans: sample_spans(&keys, per_row), nulls: f64::from(nulls) * per_row })
}

/// What the server's planner expects below each key, asked by bisection. Reads no table, and knows
/// as much about views, joins and filters as the server.
async fn estimates(
    connection: &mut Connection,
    table: &TableJob,
    relation: &str,
    key: &Key,
) -> Result<Option<Distribution>> {
    let (lowest, highest) = match key.key_type {
        KeyType::Integer => (i64::MIN, i64::MAX),
        KeyType::Date => (-719_162, 2_932_896),
        KeyType::Timestamp | KeyType::Timestamptz => {
            (-62_135_596_800_000_000, 253_402_300_799_999_999)
        }
        KeyType::Unsigned | KeyType::Uuid => return Ok(None),
    };
    let below = |hi: i64| {
        let cut = sluice_contracts::documents::Cut::Range {
            column: key.column.clone(),
            key: key.key_type,
            lo: None,
            hi: Some(hi),
        };
        let mut filter = format!("({})", dialect::predicate(&cut)?);
        if let Some(own) = &table.filter {
            filter = format!("(\n{own}\n) and {filter}");
        }
        Ok::<_, Error>(dialect::select("1", relation, Some(&filter)))
    };
    let total = as_f64(explain(connection, &below(highest)?).await?.rows);
    let enough = (total / ESTIMATED_SPANS).max(1.0);
    let mut spans = Vec::new();
    let mut open = vec![(lowest, highest, 0.0, total)];
    // Enough to bisect 64 bits down to every span, and a limit in case the estimates are
    // inconsistent.
    let mut questions = 64 + 8 * 128;
    while let Some((lo, hi, rows_lo, rows_hi)) = open.pop() {
        let inside: f64 = (rows_hi - rows_lo).max(0.0);
        if inside <= enough || hi <= lo || questions == 0 {
            if inside > 0.0 {
                spans.push(Span { lo, hi: hi.max(lo), rows: inside });
            }
            continue;
        }
        questions -= 1;
        let middle = i64::midpoint(lo, hi) + 1;
        let rows_middle = as_f64(explain(connection, &below(middle)?).await?.rows);
        open.push((middle, hi, rows_middle, rows_hi));
        open.push((lo, middle - 1, rows_lo, rows_middle));
    }
    Ok(Some(Distribution { spans, nulls: 0.0 }))
}

/// Buckets of equal weight between consecutive bounds.
fn histogram_spans(bounds: &[i64], rows: f64) -> Vec<Span> {
    let buckets = bounds.len().saturating_sub(1);
    if buckets == 0 {
        return bounds.iter().map(|&key| Span { lo: key, hi: key, rows }).collect();
    }
    let each = rows / as_f64(u64::try_from(buckets).unwrap_or(1));
    let mut spans: Vec<Span> = Vec::with_capacity(buckets);
    for (at, pair) in bounds.windows(2).enumerate() {
        let &[lo, next] = pair else { continue };
        let last = at + 1 == buckets;
        let hi = if last { next } else { next.saturating_sub(1) };
        if hi >= lo && spans.last().is_none_or(|span| span.hi < lo) {
            spans.push(Span { lo, hi, rows: each });
        } else if let Some(span) = spans.last_mut() {
            span.rows += each;
        } else {
            spans.push(Span { lo, hi: lo, rows: each });
        }
    }
    spans
}

/// Spans between the sorted keys of a sample, each key standing for `per_row` rows.
fn sample_spans(keys: &[i64], per_row: f64) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for chunk in keys.chunk_by(|a, b| a == b) {
        let &[key, ..] = chunk else { continue };
        let weight = per_row * as_f64(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        spans.push(Span { lo: key, hi: key, rows: weight });
    }
    // A key seen once stands for the gap up to the next one; a key seen often is that common.
    for at in 0..spans.len().saturating_sub(1) {
        let next = spans.get(at + 1).map_or(i64::MAX, |span| span.lo);
        if let Some(span) = spans.get_mut(at)
            && span.rows < per_row * 1.5
        {
            span.hi = next.saturating_sub(1).max(span.lo);
        }
    }
    spans
}

/// Puts a common value between the spans, splitting the one that it falls into.
fn add_point(spans: &mut Vec<Span>, key: i64, rows: f64) {
    let at = spans.partition_point(|span| span.hi < key);
    let point = Span { lo: key, hi: key, rows };
    let Some(around) = spans.get(at).copied().filter(|span| span.lo <= key) else {
        spans.insert(at, point);
        return;
    };
    let width = |lo: i64, hi: i64| (i128::from(hi) - i128::from(lo) + 1).max(0);
    let share = |lo: i64, hi: i64| {
        around.rows * as_f64_wide(width(lo, hi)) / as_f64_wide(width(around.lo, around.hi))
    };
    let mut parts = Vec::with_capacity(3);
    if around.lo < key {
        let hi = key - 1;
        parts.push(Span { lo: around.lo, hi, rows: share(around.lo, hi) });
    }
    parts.push(point);
    if key < around.hi {
        let lo = key + 1;
        parts.push(Span { lo, hi: around.hi, rows: share(lo, around.hi) });
    }
    spans.splice(at..=at, parts);
}

fn type_name(key: KeyType) -> Result<&'static str> {
    Ok(match key {
        KeyType::Integer => "int8",
        KeyType::Date => "date",
        KeyType::Timestamp => "timestamp",
        KeyType::Timestamptz => "timestamptz",
        KeyType::Unsigned | KeyType::Uuid => return Err(unknown_key(key)),
    })
}

/// An expression of a key's type as a 64-bit integer; NULL for NULL and infinity, which no span
/// holds.
fn counted(key: &str, key_type: KeyType) -> String {
    match key_type {
        KeyType::Date => {
            format!("case when isfinite({key}) then ({key} - date '1970-01-01')::int8 end")
        }
        // The last microseconds that the server knows are more than the integer holds.
        KeyType::Timestamp | KeyType::Timestamptz => format!(
            "case when isfinite({key}) then least({}, \
             (extract(epoch from {key}) * 1000000)::numeric)::int8 end",
            i64::MAX
        ),
        KeyType::Integer | KeyType::Unsigned | KeyType::Uuid => format!("{key}::int8"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn as_f64_wide(count: i128) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascending(spans: &[Span]) -> bool {
        spans.iter().all(|span| span.lo <= span.hi)
            && spans.windows(2).all(|pair| pair[0].hi < pair[1].lo)
    }

    #[test]
    fn histograms_with_repeated_bounds_stay_disjoint_and_keep_their_weight() {
        for bounds in [
            vec![1, 1, 1, 5, 5, 9],
            vec![i64::MIN, 0, i64::MAX],
            vec![7],
            vec![3, 3],
            vec![i64::MAX, i64::MAX],
            vec![0, 10, 10, 10],
        ] {
            let spans = histogram_spans(&bounds, 100.0);
            assert!(ascending(&spans), "{bounds:?} {spans:?}");
            let sum: f64 = spans.iter().map(|span| span.rows).sum();
            assert!((sum - 100.0).abs() < 1e-9, "{bounds:?} {spans:?}");
        }
        assert!(histogram_spans(&[], 0.0).is_empty());
    }

    #[test]
    fn common_values_split_the_span_around_them() {
        let mut spans = histogram_spans(&[0, 100, 200], 100.0);
        for (key, rows) in [(50, 10.0), (0, 10.0), (200, 10.0), (-5, 10.0), (300, 10.0)] {
            add_point(&mut spans, key, rows);
            assert!(ascending(&spans), "{spans:?}");
        }
        let sum: f64 = spans.iter().map(|span| span.rows).sum();
        assert!((sum - 150.0).abs() < 2.0, "{sum}");
        let mut spans = vec![Span { lo: i64::MIN, hi: i64::MAX, rows: 1.0 }];
        add_point(&mut spans, i64::MIN, 1.0);
        add_point(&mut spans, i64::MAX, 1.0);
        assert!(ascending(&spans), "{spans:?}");
    }

    #[test]
    fn samples_become_ascending_spans() {
        let spans = sample_spans(&[1, 1, 1, 4, 9, 9, 20], 10.0);
        assert!(ascending(&spans));
        assert_eq!(spans[0], Span { lo: 1, hi: 1, rows: 30.0 });
        assert_eq!(spans[1], Span { lo: 4, hi: 8, rows: 10.0 });
        assert!(sample_spans(&[], 10.0).is_empty());
    }
}
