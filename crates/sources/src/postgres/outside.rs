//! What a query reads outside of the snapshot: foreign tables, and what functions read over
//! connections of their own.

use std::collections::HashMap;

use super::driver::{Connection, Oid, Row};
use sluice_contracts::Result;
use sluice_contracts::documents::Relation;
use sluice_contracts::job::TableJob;

use super::FIRST_USER_OID;
use super::catalog::unpopulated;
use super::connection::{execute, get, if_allowed, rows};
use super::dialect::literal;

/// Extensions whose functions change from call to call and read nothing.
const READ_NOTHING: &str = "'pgcrypto', 'tablefunc', 'uuid-ossp'";

/// Said where nobody can say what functions read.
const UNKNOWN: &str = "what functions may read over connections of their own";

/// What lies below a query.
#[derive(Debug)]
pub(super) struct Below {
    /// Locks that the transaction holds once the query is planned.
    pub(super) locks: i64,
    /// What is not part of the snapshot, in words.
    pub(super) outside: Vec<String>,
}

/// Looks below a query. The server locks what it plans to read, so the locks of a transaction that
/// plans the query name that.
pub(super) async fn below(connection: &mut Connection, job: &TableJob, sql: &str) -> Result<Below> {
    const LOCKS: &str = "\
        select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'relation'";
    const UNPOPULATED: &str = "\
        select c.oid::regclass::text from pg_locks l join pg_class c on c.oid = l.relation \
        where l.pid = pg_backend_pid() and l.locktype = 'relation' and l.granted \
        and c.relkind = 'm' and not c.relispopulated order by 1";
    const FOREIGN: &str = "\
        select c.oid, c.oid::regclass::text from pg_locks l \
        join pg_class c on c.oid = l.relation where l.pid = pg_backend_pid() \
        and l.locktype = 'relation' and l.granted and c.relkind = 'f' order by 2";
    let what = || "look for what is outside of the snapshot".to_owned();
    execute(connection, "savepoint below", what).await?;
    let found = async {
        execute(connection, &format!("explain {sql}"), what).await?;
        if let Some(row) = rows(connection, UNPOPULATED, what).await?.first() {
            return Err(unpopulated("read what lies below", &get::<String>(row, 0)?));
        }
        let counted = rows(connection, LOCKS, what).await?;
        let locks = counted.first().map(|row| get(row, 0)).transpose()?.unwrap_or(0);
        let foreign = rows(connection, FOREIGN, what).await?;
        let named = |row: &Row| Ok((get::<Oid>(row, 0)?.0, get(row, 1)?));
        let foreign = foreign.iter().map(named).collect::<Result<Vec<_>>>()?;
        let mut outside = foreign_tables(connection, foreign).await?;
        outside.extend(functions(connection, &spelled(job)).await?);
        Ok(Below { locks, outside })
    };
    let found = found.await;
    if found.is_ok() {
        execute(connection, "rollback to savepoint below; release savepoint below", what).await?;
    }
    found
}

/// Foreign tables in words, each with the server that it lies on, where this user may look that up.
pub(super) async fn foreign_tables(
    connection: &mut Connection,
    tables: Vec<(u32, String)>,
) -> Result<Vec<String>> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let oids: Vec<String> = tables.iter().map(|(oid, _)| oid.to_string()).collect();
    let sql = format!(
        "select f.ftrelid, s.srvname::text from pg_foreign_table f \
         join pg_foreign_server s on s.oid = f.ftserver where f.ftrelid = any('{{{}}}'::oid[])",
        oids.join(",")
    );
    let what = || "look for the servers of foreign tables".to_owned();
    let found = if_allowed(connection, &sql, what).await?.unwrap_or_default();
    let servers = found.iter().map(|row| Ok((get::<Oid>(row, 0)?.0, get(row, 1)?)));
    let servers: HashMap<u32, String> = servers.collect::<Result<_>>()?;
    let in_words = |(oid, name)| match servers.get(&oid) {
        Some(server) => format!("`{name}` on server `{server}`"),
        None => format!("`{name}`, a foreign table"),
    };
    Ok(tables.into_iter().map(in_words).collect())
}

/// Tells what is outside of the snapshot.
pub(super) fn warning(outside: &[String]) -> Option<String> {
    (!outside.is_empty()).then(|| {
        format!(
            "not part of the snapshot: {}; that is read as it is when it is read, and by one \
             statement only, unless the job says `consistency: none`; whether another server's row \
             security hides rows is not checked",
            outside.join(", ")
        )
    })
}

/// The SQL that a job spells: its query, and its filter.
fn spelled(job: &TableJob) -> String {
    let query = match &job.relation {
        Relation::Query(sql) => sql.as_str(),
        _ => "",
    };
    format!("{query}\n{}", job.filter.as_deref().unwrap_or_default())
}

/// The functions that may open connections of their own, among those that the views which this
/// transaction has locked call, those that SQL names, and those that these call in turn.
///
/// The server's own languages see the snapshot only. A function in another language that is not
/// confined (C as well), and that does not promise to return the same for the same, may do anything.
async fn functions(connection: &mut Connection, sql: &str) -> Result<Vec<String>> {
    let words =
        |of: &str| format!("select lower(word[1]) from regexp_matches({of}, '\\w+', 'g') word");
    let query = format!(
        "with recursive named as materialized (\
           select p.oid, lower(p.proname) as name, p.prosrc, p.provolatile, l.lanname, \
             l.lanpltrusted \
           from pg_proc p join pg_language l on l.oid = p.prolang where p.oid >= {FIRST_USER_OID}), \
         called(oid) as (\
           select d.refobjid from pg_locks k \
           join pg_class c on c.oid = k.relation and c.relkind = 'v' \
           join pg_rewrite w on w.ev_class = c.oid \
           join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid \
             and d.refclassid = 'pg_proc'::regclass \
           where k.pid = pg_backend_pid() and k.locktype = 'relation' and k.granted \
           union select n.oid from named n where n.name in ({}) \
           union select next.oid from called join named n on n.oid = called.oid \
           cross join lateral (\
             select o.oid from named o where n.lanname not in ('c', 'internal') and o.name in ({}) \
             union all select d.refobjid from pg_depend d where d.classid = 'pg_proc'::regclass \
               and d.objid = n.oid and d.refclassid = 'pg_proc'::regclass) as next) \
         select distinct n.oid::regproc::text, coalesce(' of extension `' || e.extname || '`', '') \
         from called join named n on n.oid = called.oid \
         left join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = n.oid \
           and d.deptype = 'e' \
         left join pg_extension e on e.oid = d.refobjid \
         where n.provolatile = 'v' and not n.lanpltrusted and n.lanname <> 'internal' \
           and coalesce(e.extname not in ({READ_NOTHING}), true) order by 1",
        words(&literal(sql)),
        words("n.prosrc"),
    );
    let what = || "look for functions that read outside of the snapshot".to_owned();
    let Some(found) = if_allowed(connection, &query, what).await? else {
        return Ok(vec![UNKNOWN.to_owned()]);
    };
    let named = |row: &Row| {
        let (name, owner): (String, String) = (get(row, 0)?, get(row, 1)?);
        Ok(format!("what function `{name}`{owner} reads over connections of its own"))
    };
    found.iter().map(named).collect()
}
