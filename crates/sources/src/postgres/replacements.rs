//! Changes that every transaction sees, however old its snapshot.

use super::driver::Connection;
use sluice_contracts::Result;

use super::FIRST_USER_OID;
use super::connection::{rows, text};

/// What holds rows, or shows those of others.
const KINDS: &str = "'r', 'm', 'p', 'v', 'f'";

/// A condition: this row of a catalog was replaced, and that was committed, after the snapshot. The
/// row has the lower half of the id of the transaction that replaced it. The
/// upper half is that of the nearest id to those which the snapshot knows. A transaction that was
/// rolled back leaves its id too.
fn replaced(row: &str) -> String {
    format!(
        "exists (select from (select {row}.xmax::text::bigint as low, \
           txid_snapshot_xmax(txid_current_snapshot()) as near) as id where low <> 0 \
           and txid_status(near + (low - near % 4294967296 + 6442450944) % 4294967296 \
             - 2147483648) = 'committed')"
    )
}

/// What was rewritten, emptied, exchanged or defined anew between the snapshot of this connection's
/// transaction and its locks, in words.
///
/// Looks at the tables and views that this transaction has locked. Those are all that a view or a
/// query reads, because the server locks them when it begins the query; only what a function reads
/// inside is not among them.
///
/// The catalogs show the state of the snapshot. The server's functions use the newest, and so does
/// the query: they tell where the files of a table lie, and which table or column has a name. None
/// tells how a view is defined, so the row of the definition that the snapshot shows is asked
/// whether it was replaced.
///
/// Where a parent is read as a `whole`, the server reads the children that it has now.
pub(super) async fn find(connection: &mut Connection, whole: bool) -> Result<Option<String>> {
    let sql = format!(
        "with read as (select l.oid, c.oid is not null as is_known, c.relkind, c.relfilenode, \
             n.nspname, c.relname \
           from (select distinct relation as oid from pg_locks where pid = pg_backend_pid() \
             and locktype = 'relation' and granted and relation >= {FIRST_USER_OID}) l \
           left join pg_class c on c.oid = l.oid \
           left join pg_namespace n on n.oid = c.relnamespace), \
         changes(oid, change) as (\
           select oid, 'was rewritten, emptied or renamed' from read where case \
             when not is_known then pg_get_indexdef(oid) is null \
             when relkind not in ({KINDS}) then false \
             else relkind in ('r', 'm') and relfilenode <> 0 \
               and pg_relation_filenode(oid) is distinct from relfilenode \
               or to_regclass(format('%I.%I', nspname, relname)) is distinct from oid end \
           union all \
           select oid, format('has no column `%s` any more, or another one of that name', attname) \
           from read join pg_attribute a on a.attrelid = oid \
           where relkind in ({KINDS}) and attnum > 0 and not attisdropped and attname <> \
             (pg_identify_object_as_address('pg_class'::regclass, oid, attnum)).object_names[3] \
           union all \
           select read.oid, 'was defined anew' \
           from read join pg_rewrite w on w.ev_class = read.oid \
           where relkind = 'v' and {} \
           union all \
           select read.oid, format('computes column `%s` in another way', attname) \
           from read join pg_attrdef d on d.adrelid = read.oid \
           join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum \
           where relkind in ({KINDS}) and attgenerated = 'v' and {} \
           union all \
           select read.oid, format('has a column `%s` whose type was altered', attname) \
           from read join pg_attribute a on a.attrelid = read.oid \
           join pg_type t on t.oid = a.atttypid \
           join pg_type of on of.oid in (t.oid, t.typelem, t.typbasetype) \
           where read.relkind in ({KINDS}) and attnum > 0 and not attisdropped and (\
             exists (select from pg_enum e where e.enumtypid = of.oid and {}) or \
             exists (select from pg_class c where c.oid = of.typrelid and c.relkind = 'c' and {}) or \
             exists (select from pg_attribute f join pg_class c on c.oid = f.attrelid \
               where f.attrelid = of.typrelid and c.relkind = 'c' and {}))) \
         select format('`%s` %s', oid::regclass, change) from changes order by 1 limit 1",
        replaced("w"),
        replaced("d"),
        replaced("e"),
        replaced("c"),
        replaced("f"),
    );
    let what = || "look whether a table or view was replaced".to_owned();
    let mut found = rows(connection, &sql, what).await?;
    if found.is_empty() && whole {
        found = rows(connection, &children(), what).await?;
    }
    found.first().map(|row| text(row, 0)).transpose()
}

/// Tables that got a parent or lost one after the snapshot, of those that this transaction has
/// locked and their children. The snapshot shows no such change, but its rows of the catalogs were
/// replaced: that of the parent, or, of a table that gets one, those of all columns that the parent
/// has.
fn children() -> String {
    format!(
        "with read(oid) as (select distinct relation from pg_locks where pid = pg_backend_pid() \
           and locktype = 'relation' and granted and relation >= {FIRST_USER_OID}), \
         named(oid, name, changed) as (select a.attrelid, a.attname::text, {} \
           from read join pg_class c on c.oid = read.oid and c.relkind in ('r', 'p', 'f') \
           join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), \
         columns(oid, names, changed) as (select oid, array_agg(name), \
           array_agg(name) filter (where changed) from named group by oid), \
         found(oid) as (\
           select i.inhrelid from read join pg_inherits i on i.inhparent = read.oid where {} \
           union all \
           select child.oid from columns child join columns parent on child.changed is not null \
             and parent.oid <> child.oid and parent.names <@ child.changed) \
         select format('`%s` was given to a parent or taken from it', oid::regclass) from found \
         order by 1 limit 1",
        replaced("a"),
        replaced("i"),
    )
}
