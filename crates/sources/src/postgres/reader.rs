//! The reading side.

use std::sync::Arc;

use super::driver::{Connection, Failure, Progress};
use arrow_array::RecordBatch;
use async_trait::async_trait;
use sluice_contracts::documents::{Relation, Table, Unit};
use sluice_contracts::{Error, Kind, Result};

use super::batches::PgBatches;
use super::connection::{begin, begin_soon, execute, get, if_allowed, row_security, rows, settle};
use super::copy::CopyDecoder;
use super::partitions::MOST_LOCKED;
use super::server_error::{failed, lacks_user_mapping, sqlstate};
use super::silence::{SILENCE, Watch};
use super::{Database, dialect, pieces, replacements, rights, snapshot_token, survey};
use crate::source::{Batches, Join, Reader};

/// The cursor that a query is tried with.
const CURSOR: &str = "_sluice_begins";

/// A connection in a transaction that sees one snapshot.
pub(super) struct PgReader {
    watch: Watch,
    line: Connection,
    /// Whether each statement sees a snapshot of its own.
    independent: bool,
    /// This connection's own export, once it was asked for.
    exported: Option<String>,
    /// The table that is read.
    table: Option<OpenTable>,
}

/// Goes back to before a table was locked: an error then ends the table and not the snapshot, and
/// nobody waits for a lock on a table that is not read any more.
const CLOSE_TABLE: &str = "rollback to savepoint one_table; release savepoint one_table";

/// A table from the check of a unit to that of another table's.
struct OpenTable {
    index: u32,
    /// Whether its shape was checked, and is locked.
    is_checked: bool,
    /// Whether it is the root of a tree. Such a check looks at the root alone: what a query reads
    /// of the tree is looked at when it begins.
    is_tree: bool,
    /// Whether there is a savepoint before what its queries lock.
    guarded: bool,
}

impl PgReader {
    /// Begins the transaction. `None` if the snapshot of `join` has no holder any more.
    pub(super) async fn join(
        database: &Arc<Database>,
        application: &str,
        mut connection: Connection,
        join: Join<'_>,
    ) -> Result<Option<Self>> {
        let independent = match join {
            Join::Independent => true,
            Join::New | Join::Token(_) => false,
            Join::Pinned(_) => {
                return Err(Error::bug("join a snapshot: PostgreSQL pins none"));
            }
        };
        if !independent {
            begin_soon(&mut connection, "repeatable read").await?;
        }
        if let Join::Token(token) = join
            && !snapshot_token::joined(&mut connection, token).await?
        {
            return Ok(None);
        }
        if !independent {
            settle(&mut connection).await?;
        }
        let watch = Watch::of(Arc::clone(database), application);
        if !independent {
            watch.over_process(&mut connection).await?;
        }
        Ok(Some(Self { watch, line: connection, independent, exported: None, table: None }))
    }

    async fn lock(&mut self, table: &Table, relation: &str, only: &str) -> Result<()> {
        let what = || format!("lock table `{}` against changes of its shape", table.name);
        let sql = format!(
            "select relkind::text from pg_class where oid = to_regclass({}) \
             and has_table_privilege(oid, 'select')",
            dialect::literal(relation)
        );
        let found = rows(&mut self.line, &sql, what).await?;
        let kind = found.first().map(|row| get::<String>(row, 0)).transpose()?;
        // Other kinds cannot be locked, nor can a table of which this user may read some columns:
        // the server locks that when the query begins.
        if kind.is_some_and(|kind| matches!(kind.as_str(), "r" | "p" | "v")) {
            let sql = format!("lock table {only}{relation} in access share mode");
            execute(&mut self.line, &sql, what).await?;
        }
        Ok(())
    }

    /// Lets the server begin the table's query. The catalogue shows the snapshot's shape, but a
    /// statement uses the newest one. Errors that would refuse a COPY before its first row are
    /// found here, where they cost no connection: a cursor plans the query, checks what the user
    /// may read, and connects to the servers that foreign tables lie on.
    async fn begins(
        &mut self,
        table: &Table,
        before: &str,
        query: &str,
        whole: bool,
    ) -> Result<()> {
        let sql = if self.independent {
            format!("{before}explain {query}")
        } else {
            format!("{before}declare {CURSOR} no scroll cursor for {query}; close {CURSOR}")
        };
        match self.line.query(&sql).await {
            Ok(_) => {}
            Err(error) if is_altered(&error) => {
                return Err(altered(table, failed("begin its query".to_owned(), error).chain()));
            }
            Err(error) => return Err(failed(format!("begin to read `{}`", table.name), error)),
        }
        if self.independent {
            return Ok(());
        }
        match replacements::find(&mut self.line, whole).await? {
            Some(change) => Err(altered(table, change)),
            None => Ok(()),
        }
    }

    /// Begins one query of a unit. What it locks of a tree is locked until the next one begins or
    /// the unit ends: of thousands of partitions, a task never locks more than a few.
    pub(super) async fn begin_query(
        &mut self,
        table: &Table,
        query: &str,
        whole: bool,
    ) -> Result<()> {
        if let Some(open) = &mut self.table
            && open.is_tree
        {
            let guarded = std::mem::replace(&mut open.guarded, true);
            let before =
                if guarded { "rollback to savepoint leaves; " } else { "savepoint leaves; " };
            self.begins(table, before, query, whole).await?;
        }
        let begun = self.line.begin_copy(&dialect::copy(query)).await;
        begun.map_err(|error| failed(copying(table), error))
    }

    /// Waits for more rows, when all that have come are taken.
    pub(super) async fn receive(&mut self, table: &Table) -> Result<Progress> {
        let received = async {
            let received = self.line.receive_copied().await;
            received.map_err(|error| failed(copying(table), error))
        };
        self.watch.over(received).await
    }

    /// Has the decoder take what has come, up to the end of a batch, which is returned.
    pub(super) fn decode(&mut self, decoder: &mut CopyDecoder) -> Result<Option<RecordBatch>> {
        self.line.take_copied(decoder)
    }

    /// Whether the table of the last check has no children.
    pub(super) fn is_alone(&self, table: &Table) -> bool {
        let is_tree = self.table.as_ref().is_some_and(|open| open.is_tree);
        !is_tree && matches!(table.relation, Relation::Table { .. })
    }

    /// How silence of the server is watched.
    pub(super) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    async fn end_unit(&mut self) -> Result<()> {
        let what = || "end a unit".to_owned();
        if self.independent {
            self.table = None;
            return execute(&mut self.line, "commit", what).await;
        }
        match &self.table {
            // Ends the locks of the leaves.
            Some(OpenTable { guarded: true, .. }) => {
                execute(&mut self.line, "rollback to savepoint leaves", what).await
            }
            _ => Ok(()),
        }
    }

    /// Ends the locks of the table that was read last.
    async fn close_table(&mut self) -> Result<()> {
        if self.independent || self.table.is_none() {
            return Ok(());
        }
        let what = || "end the locks of a table".to_owned();
        execute(&mut self.line, CLOSE_TABLE, what).await?;
        self.table = None;
        Ok(())
    }

    async fn check_unit(&mut self, table: &Table) -> Result<()> {
        let open =
            OpenTable { index: table.index, is_checked: false, is_tree: false, guarded: false };
        let set = row_security(table.row_security);
        let what = || "begin a unit".to_owned();
        if self.independent {
            // Each statement sees a snapshot of its own in it.
            begin(&mut self.line, "read committed").await?;
            settle(&mut self.line).await?;
            execute(&mut self.line, &set, what).await?;
            self.watch.over_process(&mut self.line).await?;
        } else {
            let last = self.table.as_ref();
            if last.is_some_and(|last| last.is_checked && last.index == table.index) {
                return Ok(());
            }
            self.close_table().await?;
            execute(&mut self.line, &format!("savepoint one_table; {set}"), what).await?;
        }
        self.table = Some(open);
        let is_tree = self.check_shape(table).await?;
        if let Some(open) = &mut self.table {
            (open.is_checked, open.is_tree) = (true, is_tree);
        }
        Ok(())
    }

    /// Refuses a table that is not what was planned, and locks it. Returns whether it is a tree.
    async fn check_shape(&mut self, table: &Table) -> Result<bool> {
        let filter = table.filter.as_deref();
        pieces::refuse(&mut self.line, &table.relation, filter).await?;
        let altered = |why| altered(table, why);
        let gone = |error: Error| match error.kind() {
            Kind::NotFound => altered("it is gone".to_owned()),
            _ => error,
        };
        let relation = dialect::relation(&table.relation);
        let is_table = matches!(table.relation, Relation::Table { .. });
        let locks = is_table && !self.independent;
        if locks {
            self.lock(table, &relation, "only ").await.map_err(gone)?;
        }
        let shape = survey::shape_now(&mut self.line, &table.relation, &table.columns).await;
        let (shape, leaves) = match shape {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Data) => {
                return Err(altered(error.chain()));
            }
            Err(error) => return Err(error),
        };
        if shape != table.shape {
            return Err(altered("it has other partitions, or is no longer what it was".to_owned()));
        }
        // So that the leaves of a tree of few are not emptied before they are read.
        if locks && leaves.is_some_and(|leaves| leaves <= MOST_LOCKED) {
            self.lock(table, &relation, "").await.map_err(gone)?;
        }
        let is_tree = leaves.is_some();
        let only = if is_tree { "only " } else { "" };
        let columns: Vec<String> =
            table.columns.iter().map(|c| dialect::identifier(&c.source_name)).collect();
        let from = format!("{only}{relation}");
        let query = dialect::select(&columns.join(", "), &from, table.filter.as_deref());
        self.begins(table, "", &query, !is_tree).await?;
        Ok(is_tree)
    }
}

/// What is done when rows are read.
pub(super) fn copying(table: &Table) -> String {
    format!("copy from `{}`", table.name)
}

/// The error of a table that is not what it was when the run was planned.
fn altered(table: &Table, why: String) -> Error {
    Error::data(format!("read table `{}`: it was altered since the run was planned", table.name))
        .because(why)
        .hint("nothing of the table is loaded; run the job again")
}

/// Whether the server does not find a table, column, function or type that the table was planned
/// with. What it says of a foreign table's user is of the same class.
fn is_altered(error: &Failure) -> bool {
    let names = ["42P01", "42703", "42704", "42804", "42883"];
    sqlstate(error).is_some_and(|code| names.contains(&code)) && !lacks_user_mapping(error)
}

#[async_trait]
impl Reader for PgReader {
    async fn export(&mut self) -> Result<String> {
        if let Some(token) = &self.exported {
            return Ok(token.clone());
        }
        let token = snapshot_token::export(&mut self.line).await?;
        self.exported = Some(token.clone());
        Ok(token)
    }

    async fn check(&mut self, table: &Table) -> Result<()> {
        self.watch.over_table(table);
        let watch = self.watch.clone();
        match watch.over(self.check_unit(table)).await {
            Err(error) if error.kind() == Kind::Denied && self.table.is_some() => {
                let what = || "look for the rights that are missing".to_owned();
                let back =
                    if self.independent { "rollback" } else { "rollback to savepoint one_table" };
                let connection = &mut self.line;
                if execute(connection, back, what).await.is_err() {
                    return Err(error);
                }
                Err(rights::explained(connection, &table.relation, error).await)
            }
            checked => checked,
        }
    }

    async fn take_turn(&mut self, run: &str) -> Result<bool> {
        // The lock ends with the savepoint of the table.
        let sql = format!(
            "select pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended({}, 0))",
            dialect::literal(&format!("sluice {run}"))
        );
        let watch = self.watch.clone();
        let ask = async {
            let what = || "ask whether another task reads".to_owned();
            let found = if_allowed(&mut self.line, &sql, what).await?;
            found.as_deref().and_then(<[_]>::first).map_or(Ok(true), |row| get(row, 0))
        };
        watch.over(ask).await
    }

    async fn read<'a>(
        &'a mut self,
        table: &'a Table,
        unit: &'a Unit,
    ) -> Result<Box<dyn Batches + 'a>> {
        let watch = self.watch.clone();
        Ok(Box::new(watch.over(PgBatches::begin(self, table, unit)).await?))
    }

    async fn confirm(&mut self) -> Result<()> {
        let watch = self.watch.clone();
        watch.over(self.end_unit()).await
    }

    async fn rest(&mut self) -> Result<()> {
        let watch = self.watch.clone();
        watch.over(self.close_table()).await
    }

    async fn recover(&mut self) -> Result<()> {
        let what = || "go on after a unit that failed".to_owned();
        let silent = |_| Error::transient(format!("{}: the server is silent", what()));
        if self.watch.is_dead() {
            return Err(Error::transient(format!("{}: the connection is dead", what())));
        }
        while self.line.is_copying() {
            // The error of a COPY is that of the unit. One of the connection comes again below.
            let skipped = tokio::time::timeout(SILENCE, self.line.skip_copied());
            if let Err(error) = skipped.await.map_err(silent)? {
                return Err(failed(what(), error));
            }
        }
        let sql = match self.table.take() {
            _ if self.independent => "rollback",
            Some(_) => CLOSE_TABLE,
            // Tests only whether the connection and its transaction are alive.
            None => "select",
        };
        let answer = execute(&mut self.line, sql, what);
        tokio::time::timeout(SILENCE, answer).await.map_err(silent)?
    }
}
