//! A job's own SQL: one query, or one condition.

use super::driver::Connection;
use sluice_contracts::documents::Relation;
use sluice_contracts::{Error, Result};

use super::connection::execute;
use super::dialect;
use super::server_error::{failed, is_several_statements, sqlstate};

/// Refuses a query or a filter that is not one statement or one condition by itself: with the
/// parentheses and conditions around it, it would mean something else. Everything else is sent to
/// the server in a form that allows several statements, and one of them could end the transaction,
/// which only reads. An unnamed statement needs nothing of a pooler.
///
/// <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY>
pub(super) async fn refuse(
    connection: &mut Connection,
    relation: &Relation,
    filter: Option<&str>,
) -> Result<()> {
    let from = dialect::relation(relation);
    let mut statements = Vec::new();
    if let Relation::Query(sql) = relation {
        statements.push(sql.trim().trim_end_matches(';').to_owned());
    }
    if let Some(filter) = filter {
        statements.push(format!("select 1 from {from} as {} where \n{filter}\n", dialect::ALIAS));
    }
    for sql in statements {
        let what = || format!("read the SQL of `{relation}`");
        execute(connection, "savepoint pieces", what).await?;
        let planned = connection.run_single(&format!("explain {sql}")).await;
        let back = "rollback to savepoint pieces; release savepoint pieces";
        execute(connection, back, what).await?;
        match planned {
            Err(error) if is_several_statements(&error) => {
                return Err(Error::invalid(format!("{}: it holds several statements", what()))
                    .hint("write one query, and a filter without `;`"));
            }
            Err(error) if sqlstate(&error).is_some_and(|code| code == "42601") => {
                return Err(failed(what(), error));
            }
            Err(error) => {
                let error = failed(what(), error);
                if error.is_transient() {
                    return Err(error);
                }
            }
            // What describes the relation says better what else is wrong with it.
            Ok(()) => {}
        }
    }
    Ok(())
}
