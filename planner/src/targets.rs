//! Targets, as far as the planner looks at them: whether a run can be loaded at all, before its
//! first row is read.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::manifest::{RunId, Table};
use sluice_runtime::features::unknown_scheme;
use sluice_runtime::google::Endpoints;
use sluice_runtime::google::bigquery::BigQuery;

/// Where runs go.
#[async_trait]
pub trait Targets: fmt::Debug + Send + Sync {
    /// Whether there are targets of this URL's kind, without looking at any.
    ///
    /// # Errors
    /// `Invalid` where there are not, with the known kinds as hint.
    fn know(&self, target: &str) -> Result<()>;

    /// Looks at the target of one table as it is now, and says what the reader of the plan should
    /// know.
    ///
    /// # Errors
    /// Where the table could not be loaded into it, in the words of whoever must act.
    async fn check(&self, run: RunId, table: &Table) -> Result<Vec<String>>;
}

/// One kind of target.
#[async_trait]
trait Target: fmt::Debug + Send + Sync {
    async fn check(&self, table: &Table) -> Result<Vec<String>>;
}

/// The warehouses that this build writes to, by the scheme of their URLs.
#[derive(Debug)]
pub struct Warehouses {
    known: Vec<(&'static str, Arc<dyn Target>)>,
}

impl Warehouses {
    /// Makes a client of each. Nothing is called yet.
    pub async fn connect(endpoints: &Endpoints) -> Result<Self> {
        let bigquery = BigQuery::new(&endpoints.bigquery()).await?;
        Ok(Self { known: vec![("bigquery", Arc::new(bigquery))] })
    }

    fn find(&self, target: &str) -> Result<&dyn Target> {
        let scheme = target.split_once("://").map_or("", |(scheme, _)| scheme);
        let found = self.known.iter().find(|(known, _)| *known == scheme);
        found.map(|(_, target)| &**target).ok_or_else(|| {
            let known: Vec<&str> = self.known.iter().map(|(known, _)| *known).collect();
            unknown_scheme("target", scheme, "writes", &known, "bigquery")
        })
    }
}

#[async_trait]
impl Targets for Warehouses {
    fn know(&self, target: &str) -> Result<()> {
        self.find(target).map(|_| ())
    }

    async fn check(&self, _: RunId, table: &Table) -> Result<Vec<String>> {
        self.find(&table.target)?.check(table).await
    }
}

#[async_trait]
impl Target for BigQuery {
    async fn check(&self, table: &Table) -> Result<Vec<String>> {
        Self::check(self, table).await?;
        self.warnings(table).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Any;

    #[async_trait]
    impl Target for Any {
        async fn check(&self, _: &Table) -> Result<Vec<String>> {
            Ok(Vec::new())
        }
    }

    #[test]
    fn an_unknown_target_is_answered_with_the_known_ones() {
        let warehouses = Warehouses { known: vec![("bigquery", Arc::new(Any))] };
        warehouses.know("bigquery://p/d/t").unwrap();
        let error = warehouses.know("snowflake://p/d/t").unwrap_err();
        assert_eq!(error.to_string(), "unknown target `snowflake://`");
        assert_eq!(error.remedy(), Some("this build writes `bigquery://`"));
    }
}
