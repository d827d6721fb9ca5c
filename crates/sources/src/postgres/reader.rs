//! The reading side.

use std::collections::HashSet;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use bytes::{Buf as _, Bytes};
use futures::StreamExt;
use futures::stream::BoxStream;
use sluice_contracts::manifest::{Relation, Table};
use sluice_contracts::unit::Unit;
use sluice_contracts::{Error, Kind, Result};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr as _};

use super::connection::{execute, failed, get, rows, sqlstate};
use super::copy::CopyDecoder;
use super::{dialect, survey};
use crate::source::{Batches, Join, Reader};

/// A connection in a transaction that sees one moment.
pub(super) struct PgReader {
    connection: PgConnection,
    /// Whether each statement sees a moment of its own.
    independent: bool,
    /// This connection's own export, once asked for.
    exported: Option<String>,
    /// Tables whose shape was checked, and is locked.
    checked: HashSet<u32>,
}

impl PgReader {
    /// Begins the transaction. `None` where the snapshot of `join` has no holder any more.
    pub(super) async fn join(mut connection: PgConnection, join: Join<'_>) -> Result<Option<Self>> {
        let independent = matches!(join, Join::Independent);
        if !independent {
            const BEGIN: &str = "begin transaction isolation level repeatable read read only";
            execute(&mut connection, BEGIN, || "begin a snapshot".to_owned()).await?;
        }
        if let Join::Token(token) = join {
            let sql = format!("set transaction snapshot {}", dialect::literal(token));
            match connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await {
                Ok(_) => {}
                Err(error) if is_gone(&error) => return Ok(None),
                Err(error) => return Err(failed("join a snapshot".to_owned(), error)),
            }
        }
        Ok(Some(Self { connection, independent, exported: None, checked: HashSet::new() }))
    }

    async fn lock(&mut self, table: &Table, relation: &str) -> Result<()> {
        let what = || format!("lock table `{}` against changes of its shape", table.name);
        let sql = format!(
            "select relkind::text from pg_class where oid = to_regclass({})",
            dialect::literal(relation)
        );
        let found = rows(&mut self.connection, &sql, what).await?;
        let kind = found.first().map(|row| get::<String>(row, 0)).transpose()?;
        // Other kinds cannot be locked.
        if kind.is_some_and(|kind| matches!(kind.as_str(), "r" | "p" | "v")) {
            let sql = format!("lock table {relation} in access share mode");
            execute(&mut self.connection, &sql, what).await?;
        }
        Ok(())
    }

    /// Whether a table was rewritten or emptied between the snapshot and the lock: such changes
    /// are visible to every transaction, however old its snapshot.
    async fn rewritten(&mut self, relation: &str) -> Result<bool> {
        let sql = format!(
            "with recursive tree(oid) as (\
               select to_regclass({})::oid union select i.inhrelid from tree t \
               join pg_inherits i on i.inhparent = t.oid) \
             select count(*) from tree t join pg_class c on c.oid = t.oid \
             where c.relfilenode <> 0 \
             and pg_relation_filenode(c.oid) is distinct from c.relfilenode",
            dialect::literal(relation)
        );
        let what = || "look whether the table was rewritten".to_owned();
        let found = rows(&mut self.connection, &sql, what).await?;
        Ok(found.first().map(|row| get::<i64>(row, 0)).transpose()?.unwrap_or(0) > 0)
    }

    /// Asks the server for the types that it would send now. The catalogue shows the snapshot's
    /// shape, a statement uses the newest.
    async fn prepares(&mut self, table: &Table) -> Result<(), sqlx::Error> {
        let columns: Vec<String> =
            table.columns.iter().map(|c| dialect::identifier(&c.source_name)).collect();
        let from = dialect::relation(&table.relation);
        let sql = dialect::select(&columns.join(", "), &from, table.filter.as_deref());
        (&mut self.connection).prepare(AssertSqlSafe(sql).into_sql_str()).await.map(drop)
    }
}

/// Whether the server says that a snapshot ended: its file is gone (`undefined_object`
/// since PostgreSQL 17, `invalid_parameter_value` before), or the transaction that exported it
/// failed and waits for its end (`object_not_in_prerequisite_state`).
fn is_gone(error: &sqlx::Error) -> bool {
    matches!(sqlstate(error).as_deref(), Some("22023" | "42704" | "55000"))
}

#[async_trait]
impl Reader for PgReader {
    async fn export(&mut self) -> Result<String> {
        if self.independent {
            return Ok(String::new());
        }
        if let Some(token) = &self.exported {
            return Ok(token.clone());
        }
        let what = || "export a snapshot".to_owned();
        let found = rows(&mut self.connection, "select pg_export_snapshot()", what).await?;
        let row = found.first().ok_or_else(|| Error::bug(what()))?;
        let token: String = get(row, 0)?;
        self.exported = Some(token.clone());
        Ok(token)
    }

    async fn check(&mut self, table: &Table) -> Result<()> {
        if !self.independent {
            // An error then ends the unit and not the snapshot.
            let what = || "begin a unit".to_owned();
            execute(&mut self.connection, "savepoint unit", what).await?;
        }
        if self.checked.contains(&table.index) {
            return Ok(());
        }
        let altered = |why: String| {
            Error::data(format!(
                "read table `{}`: it was altered since the run was planned",
                table.name
            ))
            .because(why)
            .hint("nothing was loaded; start the run again")
        };
        let relation = dialect::relation(&table.relation);
        let is_table = matches!(table.relation, Relation::Table { .. });
        if is_table && !self.independent {
            self.lock(table, &relation).await.map_err(|error| match error.kind() {
                Kind::NotFound => altered("it is gone".to_owned()),
                _ => error,
            })?;
        }
        let shape = survey::shape_now(&mut self.connection, &table.relation, &table.columns).await;
        let shape = match shape {
            Ok(shape) => shape,
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Data) => {
                return Err(altered(error.chain()));
            }
            Err(error) => return Err(error),
        };
        if shape != table.shape {
            return Err(altered("it has other partitions, or is no longer what it was".to_owned()));
        }
        if is_table && self.rewritten(&relation).await? {
            return Err(altered("it was rewritten or emptied".to_owned()));
        }
        match self.prepares(table).await {
            Ok(()) => {}
            Err(error) if sqlstate(&error).is_some_and(|code| code.starts_with("42")) => {
                return Err(altered(failed("prepare its query".to_owned(), error).chain()));
            }
            Err(error) => return Err(failed(format!("prepare to read `{}`", table.name), error)),
        }
        if !self.independent {
            self.checked.insert(table.index);
        }
        Ok(())
    }

    async fn read<'a>(
        &'a mut self,
        table: &'a Table,
        unit: &'a Unit,
    ) -> Result<Box<dyn Batches + 'a>> {
        let sql = dialect::copy(table, unit)?;
        let decoder = CopyDecoder::new(&table.columns)?;
        let what = || format!("copy from `{}`", table.name);
        let stream =
            self.connection.copy_out_raw(&sql).await.map_err(|error| failed(what(), error))?;
        Ok(Box::new(PgBatches {
            name: &table.name,
            stream,
            decoder,
            chunk: Bytes::new(),
            ended: false,
        }))
    }

    async fn confirm(&mut self) -> Result<()> {
        if self.independent {
            return Ok(());
        }
        let what = || "end a unit".to_owned();
        execute(&mut self.connection, "release savepoint unit", what).await
    }
}

/// The rows of one COPY.
struct PgBatches<'a> {
    name: &'a str,
    stream: BoxStream<'a, Result<Bytes, sqlx::Error>>,
    decoder: CopyDecoder,
    /// What of the last message the decoder has not taken yet.
    chunk: Bytes,
    ended: bool,
}

#[async_trait]
impl Batches for PgBatches<'_> {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let name = self.name;
        let during = |error: Error| error.during(format!("copy from `{name}`"));
        loop {
            if !self.chunk.is_empty() {
                let mut rest = &self.chunk[..];
                let batch = self.decoder.feed(&mut rest).map_err(during)?;
                let taken = self.chunk.len() - rest.len();
                self.chunk.advance(taken);
                if batch.is_some() {
                    return Ok(batch);
                }
            }
            if self.ended {
                return Ok(None);
            }
            match self.stream.next().await {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Err(failed(format!("copy from `{name}`"), error)),
                None => {
                    self.ended = true;
                    return self.decoder.finish().map_err(during);
                }
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.decoder.bytes()
    }

    fn invalid(&self) -> &[u64] {
        self.decoder.invalid()
    }
}
