//! The leaves that a table consists of, and how large each one is.

use super::driver::{Connection, Oid, Row};
use sluice_contracts::documents::{self, Column};
use sluice_contracts::job::TableJob;
use sluice_contracts::{Error, Result};

use super::catalog::CatalogEntry;
use super::connection::{get, rows};
use super::{HEAP, dialect, outside};
use crate::description::{BlockRange, Piece};

/// Most tables that one transaction locks because of one that it reads. By default a server has
/// room for 64 locks for each of its connections, on average.
/// <https://www.postgresql.org/docs/current/runtime-config-locks.html>
pub(super) const MOST_LOCKED: usize = 64;
/// The server plans as if a table that was never analysed had at least so many pages.
const LEAST_PAGES: u32 = 10;
/// Most locks that a view or a query may need and still be read by several tasks.
const MOST_LOCKS: i64 = 256;

/// What a table consists of.
#[derive(Debug)]
pub(super) struct Partitions {
    pub(super) all: Vec<Piece>,
    /// Oids of the leaves, to detect that the table was altered.
    pub(super) leaves: Vec<u32>,
    pub(super) warnings: Vec<String>,
}

/// One table of the tree that a partitioned or inherited table is the root of.
struct Leaf {
    oid: u32,
    name: String,
    kind: char,
    pages: Option<u32>,
    /// Whether the server reads a range of pages without the others, as it does since version 14.
    seeks_pages: bool,
    bytes: u64,
    /// Rows that the server counted and has extrapolated since, as its planner does it.
    rows: Option<u64>,
    readable: bool,
    /// Whether what is read of it lies outside of the snapshot.
    outside: bool,
}

/// Finds the pieces of what a table job reads, and asks the server's own planner for their rows.
pub(super) async fn find(
    connection: &mut Connection,
    job: &TableJob,
    found: &CatalogEntry,
    columns: &[Column],
) -> Result<Partitions> {
    // Not all columns: this user may not be allowed to read the others.
    let names: Vec<String> =
        columns.iter().map(|column| dialect::identifier(&column.source_name)).collect();
    let names = names.join(", ");
    let mut warnings = Vec::new();
    let whole = |leaves: Vec<u32>, warnings: Vec<String>, piece: Piece| Partitions {
        all: vec![piece],
        leaves,
        warnings,
    };
    let from = dialect::relation(&job.relation);
    let Some(oid) = found.oid.filter(|_| "rpmf".contains(found.kind)) else {
        let sql = dialect::select(&names, &from, filter(job));
        let Expected { rows, width, .. } = explain(connection, &sql).await?;
        let below = outside::below(connection, job, &sql).await?;
        warnings.extend(outside::warning(&below.outside));
        let piece = Piece {
            rows,
            bytes: rows.saturating_mul(width),
            outside: !below.outside.is_empty(),
            crowded: below.locks > MOST_LOCKS,
            ..Piece::default()
        };
        return Ok(whole(Vec::new(), warnings, piece));
    };
    let mut leaves = leaves(connection, job, oid).await?;
    let foreign = leaves.iter().filter(|leaf| leaf.kind == 'f');
    let foreign = foreign.map(|leaf| (leaf.oid, leaf.name.clone())).collect();
    let mut outside = outside::foreign_tables(connection, foreign).await?;
    // What a foreign table is read by is outside anyway. Partitions are not what the filter reads.
    if job.filter.is_some() && found.kind != 'f' {
        let alone = dialect::select(&names, &found.alone(&job.relation), filter(job));
        let by_filter = outside::below(connection, job, &alone).await?.outside;
        for leaf in &mut leaves {
            leaf.outside |= !by_filter.is_empty();
        }
        outside.extend(by_filter);
    }
    warnings.extend(outside::warning(&outside));
    let oids: Vec<u32> = leaves.iter().map(|leaf| leaf.oid).collect();
    if let [only] = leaves.as_slice()
        && only.oid == oid
    {
        let expected = explain(connection, &dialect::select(&names, &from, filter(job))).await?;
        let piece = measure(job, only, None, expected);
        let blocks = if found.row_security { None } else { piece.blocks };
        return Ok(whole(oids, warnings, Piece { blocks, ..piece }));
    }
    // A leaf has privileges and policies of its own, but those of the parent are the ones that
    // count.
    if found.row_security || leaves.iter().any(|leaf| !leaf.readable) {
        warnings.push(
            "the partitions may not be read one by one (row security, or no SELECT on one of \
             them), so the table is cut as a whole"
                .to_owned(),
        );
        let crowded = leaves.len() > MOST_LOCKED;
        let rows = if crowded {
            // The server would lock every partition to plan the query.
            leaves.iter().filter_map(|leaf| leaf.rows).sum()
        } else {
            explain(connection, &dialect::select(&names, &from, filter(job))).await?.rows
        };
        let bytes = leaves.iter().map(|leaf| leaf.bytes).sum();
        let outside = !outside.is_empty();
        let piece = Piece { rows, bytes, outside, crowded, ..Piece::default() };
        return Ok(whole(oids, warnings, piece));
    }
    if leaves.is_empty() {
        return Ok(whole(oids, warnings, Piece::default()));
    }
    // What the server refuses of the query, it refuses of the parent alone.
    explain(connection, &dialect::select(&names, &format!("only {from}"), filter(job))).await?;
    let all = measure_leaves(connection, job, &leaves, &names).await?;
    Ok(Partitions { all, leaves: oids, warnings })
}

fn filter(job: &TableJob) -> Option<&str> {
    job.filter.as_deref()
}

/// Every table of the tree that holds rows itself.
async fn leaves(connection: &mut Connection, job: &TableJob, oid: u32) -> Result<Vec<Leaf>> {
    let sql = format!(
        "with recursive tree(oid) as (\
           select {oid}::oid union select i.inhrelid from tree t \
           join pg_inherits i on i.inhparent = t.oid) \
         select c.oid, format('%I.%I', n.nspname, c.relname), c.relkind::text, \
                case when c.relkind in ('r', 'm') and c.relam = {HEAP} then \
                  pg_relation_size(c.oid) / current_setting('block_size')::bigint end, \
                case when c.relkind in ('r', 'm') then pg_table_size(c.oid) else 0 end, \
                has_table_privilege(c.oid, 'select') and not c.relrowsecurity, \
                case when c.relkind in ('r', 'm') and c.relam = {HEAP} \
                  and c.reltuples >= 0 and c.relpages > 0 then round(c.reltuples / c.relpages * ( \
                  pg_relation_size(c.oid) / current_setting('block_size')::bigint))::bigint end, \
                current_setting('server_version_num')::int >= 140000 \
         from tree t join pg_class c on c.oid = t.oid \
         join pg_namespace n on n.oid = c.relnamespace where c.relkind <> 'p' order by 2"
    );
    let what = || format!("list the partitions of `{}`", job.relation);
    rows(connection, &sql, what)
        .await?
        .iter()
        .map(|row| {
            let pages: Option<i64> = get(row, 3)?;
            let kind = get::<String>(row, 2)?.chars().next().unwrap_or(' ');
            Ok(Leaf {
                oid: get::<Oid>(row, 0)?.0,
                name: get(row, 1)?,
                kind,
                pages: pages.map(|pages| u32::try_from(pages).unwrap_or(u32::MAX)),
                bytes: u64::try_from(get::<i64>(row, 4)?).unwrap_or(0),
                readable: get(row, 5)?,
                outside: kind == 'f',
                rows: get::<Option<i64>>(row, 6)?.and_then(|rows| u64::try_from(rows).ok()),
                seeks_pages: get(row, 7)?,
            })
        })
        .collect()
}

/// The rows of every leaf, each by its name. Asks the server about some leaves at once: of thousands,
/// each question counts.
async fn measure_leaves(
    connection: &mut Connection,
    job: &TableJob,
    leaves: &[Leaf],
    columns: &str,
) -> Result<Vec<Piece>> {
    let is_asked = |leaf: &&Leaf| leaf.rows.is_none() || job.filter.is_some();
    let mut pieces = Vec::with_capacity(leaves.len());
    for leaves in leaves.chunks(dialect::READ_TOGETHER) {
        let question =
            |leaf: &Leaf| dialect::select(columns, &format!("only {}", leaf.name), filter(job));
        let questions: Vec<String> = leaves.iter().filter(is_asked).map(question).collect();
        let mut answers = explain_all(connection, &questions).await?.into_iter();
        for leaf in leaves {
            let name = documents::Leaf::Partition(leaf.name.clone());
            let answer = Some(leaf).filter(is_asked).and_then(|_| answers.next());
            let rows = leaf.rows.unwrap_or(0);
            let counted = Expected { rows, width: 0, reads_all: true };
            pieces.push(measure(job, leaf, Some(name), answer.unwrap_or(counted)));
        }
    }
    Ok(pieces)
}

/// A piece of as many rows, and bytes of a row, as the server expects.
fn measure(
    job: &TableJob,
    leaf: &Leaf,
    name: Option<documents::Leaf>,
    Expected { rows, width, reads_all }: Expected,
) -> Piece {
    let rows = match leaf.pages {
        Some(pages) if leaf.rows.is_none() && pages < LEAST_PAGES => {
            rows * u64::from(pages) / u64::from(LEAST_PAGES)
        }
        _ => rows,
    };
    let bytes = match job.filter {
        None if leaf.kind != 'f' => leaf.bytes,
        _ => rows.saturating_mul(width),
    };
    Piece {
        leaf: name,
        rows,
        bytes,
        blocks: leaf.pages,
        block_range: match job.filter {
            _ if !leaf.seeks_pages => BlockRange::ReadsAll,
            Some(_) if !reads_all => BlockRange::ReadsMoreThanIndex,
            _ => BlockRange::ReadsLeast,
        },
        has_ranges: false,
        outside: leaf.outside,
        crowded: false,
    }
}

/// What the server's planner expects of a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    pub(super) rows: u64,
    /// Bytes of a row.
    width: u64,
    /// Whether all pages of one table are read, because no index finds the rows.
    reads_all: bool,
}

/// Asks the server's planner about a query. Reads no table.
pub(super) async fn explain(connection: &mut Connection, sql: &str) -> Result<Expected> {
    let found = explain_all(connection, &[sql.to_owned()]).await?;
    found.first().copied().ok_or_else(|| Error::bug(asking()))
}

/// The same of several queries, in one question. The server locks what all of them read meanwhile.
async fn explain_all(connection: &mut Connection, queries: &[String]) -> Result<Vec<Expected>> {
    if queries.is_empty() {
        return Ok(Vec::new());
    }
    let each = queries.iter().map(|query| format!("explain (format json) {query}; "));
    // Rolling back ends the locks that planning takes.
    let sql = format!(
        "savepoint planned; {}rollback to savepoint planned; release savepoint planned",
        each.collect::<String>()
    );
    let found = rows(connection, &sql, asking).await?;
    if found.len() != queries.len() {
        return Err(Error::bug(asking()));
    }
    found.iter().map(expected).collect()
}

fn asking() -> String {
    "ask the server for a plan".to_owned()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
fn expected(row: &Row) -> Result<Expected> {
    let text: String = get(row, 0)?;
    let plan: serde_json::Value =
        serde_json::from_str(&text).map_err(|source| Error::bug(asking()).because(source))?;
    let number = |key| plan.pointer(&format!("/0/Plan/{key}")).and_then(serde_json::Value::as_f64);
    match (number("Plan Rows"), number("Plan Width")) {
        (Some(rows), Some(width)) => Ok(Expected {
            rows: rows as u64,
            width: width as u64,
            reads_all: plan.pointer("/0/Plan").is_some_and(reads_all),
        }),
        _ => Err(Error::bug(asking())),
    }
}

/// Whether a plan reads one table from its first page to its last. Several workers may share that. The
/// subqueries of a condition are nodes beside the one that reads the table.
fn reads_all(node: &serde_json::Value) -> bool {
    let text = |node: &serde_json::Value, key| {
        node.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    match text(node, "Node Type").as_str() {
        "Seq Scan" => true,
        "Gather" | "Gather Merge" => {
            let nodes = node.get("Plans").and_then(serde_json::Value::as_array);
            let is_outer = |node: &&serde_json::Value| text(node, "Parent Relationship") == "Outer";
            nodes.into_iter().flatten().find(is_outer).is_some_and(reads_all)
        }
        _ => false,
    }
}

/// Oids of every table of the tree that holds rows itself.
pub(super) async fn leaf_oids(connection: &mut Connection, oid: u32) -> Result<Vec<u32>> {
    let sql = format!(
        "with recursive tree(oid) as (\
           select {oid}::oid union select i.inhrelid from tree t \
           join pg_inherits i on i.inhparent = t.oid) \
         select c.oid from tree t join pg_class c on c.oid = t.oid where c.relkind <> 'p'"
    );
    let what = || "list the partitions".to_owned();
    rows(connection, &sql, what).await?.iter().map(|row| Ok(get::<Oid>(row, 0)?.0)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(kind: &str, relationship: &str, below: &[Value]) -> Value {
        json!({"Node Type": kind, "Parent Relationship": relationship, "Plans": below})
    }

    #[test]
    fn a_plan_that_reads_all_pages_is_told_from_one_that_an_index_helps() {
        let seq = || node("Seq Scan", "Outer", &[]);
        let index = |relationship| node("Index Scan", relationship, &[]);
        for (plan, expected) in [
            (seq(), true),
            (node("Seq Scan", "", &[index("InitPlan")]), true),
            (node("Gather", "", &[seq()]), true),
            (node("Gather", "", &[index("InitPlan"), seq()]), true),
            (node("Gather", "", &[node("Result", "InitPlan", &[]), index("Outer")]), false),
            (node("Gather Merge", "", &[node("Bitmap Heap Scan", "Outer", &[])]), false),
            (index(""), false),
            (node("Index Only Scan", "", &[]), false),
            (node("Bitmap Heap Scan", "", &[]), false),
            // The condition became a join, which may read a part of the table.
            (node("Nested Loop", "", &[seq(), index("Inner")]), false),
            (json!({}), false),
        ] {
            assert_eq!(reads_all(&plan), expected, "{plan}");
        }
    }
}
