//! How a connection says who it is: by what the URL holds, or by an account of Google Cloud.
//!
//! A URL with `login=google_iam` has no password. Cloud SQL takes a token of the account in its
//! place, and the account's name, shortened, as the user.
//! <https://cloud.google.com/sql/docs/postgres/iam-logins>

use std::sync::Arc;

use super::driver::Options;
use sluice_contracts::job::nearest_hint;
use sluice_contracts::ports::DatabaseLogin;
use sluice_contracts::{Error, Kind, Result};

use crate::place::Protection;

/// The parameter of the URL.
pub(super) const PARAMETER: &str = "login";
/// Its values.
const VALUES: [&str; 1] = ["google_iam"];

/// What helps where the server refuses the account.
const REFUSED: &str = "check three things: the account has `roles/cloudsql.instanceUser` on the project, \
                       for some minutes already; the instance has a user of the account's name; its flag \
                       `cloudsql.iam_authentication` is `on`. `cloud_sql_iam_logins` of `terraform/` makes \
                       the first two. A pooler between has to pass the token on";
/// The end of a service account's email that its name in a database is without.
/// <https://cloud.google.com/sql/docs/postgres/add-manage-iam-users>
const SUFFIX: &str = ".gserviceaccount.com";

/// How a connection says who it is.
#[derive(Debug, Clone, Default)]
pub(super) enum Credentials {
    /// By the user and the password of the URL, of libpq's variables or of `.pgpass`.
    #[default]
    OfUrl,
    /// By the account that this program runs as.
    OfAccount {
        /// The user, if the URL names one: a person's account, whose token does not say its name.
        user: Option<String>,
        /// The account. A URL can be checked without one.
        account: Option<Arc<dyn DatabaseLogin>>,
    },
}

/// Checks the parameter's value.
pub(super) fn check_value(value: &str) -> Result<()> {
    if VALUES.contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(format!("read `source.url`: `{PARAMETER}` is not a kind of login"))
        .hint(nearest_hint(value, &VALUES.map(str::to_owned))))
}

impl Credentials {
    /// Refuses what a login by an account would be of no use with, or would make public.
    pub(super) fn check(
        &self,
        has_password: bool,
        has_database: bool,
        protection: Protection,
    ) -> Result<()> {
        if matches!(self, Self::OfUrl) {
            return Ok(());
        }
        let refused = |why: &str| {
            Error::invalid(format!("read `source.url`: `{PARAMETER}=google_iam` {why}"))
        };
        if has_password {
            return Err(refused("cannot be combined with a password").hint("keep one of the two"));
        }
        if !has_database {
            return Err(refused("needs the name of a database").hint("name the database"));
        }
        if protection < Protection::Encrypted {
            return Err(refused("needs an encrypted connection").hint(
                "add `sslmode=verify-ca` and `sslrootcert`, or `sslmode=require` at least: the \
                 token is a password for anyone who reads it",
            ));
        }
        Ok(())
    }

    /// The account that logs in.
    pub(super) fn with_account(self, account: Option<&Arc<dyn DatabaseLogin>>) -> Self {
        match self {
            Self::OfUrl => Self::OfUrl,
            Self::OfAccount { user, .. } => Self::OfAccount { user, account: account.cloned() },
        }
    }

    /// The options of one connection. A token is asked for each time, because it expires.
    pub(super) async fn complete(&self, options: &Options) -> Result<Options> {
        let Self::OfAccount { user, account } = self else { return Ok(options.clone()) };
        let what = || "log in to the source by an account of Google Cloud";
        let account = account.as_ref().ok_or_else(|| {
            Error::invalid(format!("{}: this build does not include Google Cloud", what()))
                .hint("build it in: `cargo install --locked --path cli --features google`")
        })?;
        let during = |error: Error| error.during(what());
        let user = match user {
            Some(user) => user.clone(),
            None => account.email().await.map_err(during)?,
        };
        let user = user.to_lowercase();
        let user = user.strip_suffix(SUFFIX).unwrap_or(&user);
        let token = account.token().await.map_err(during)?;
        Ok(Options { user: user.to_owned(), password: Some(token), ..options.clone() })
    }

    /// Whether the server has refused the account's token, which may have expired since it was asked
    /// for. A rule of `pg_hba.conf` is not about the token.
    pub(super) fn are_refused(&self, error: &Error) -> bool {
        let said = error.chain();
        let of_token = said.contains("(SQLSTATE 28P01)")
            || said.contains("(SQLSTATE 28000)") && !said.contains("pg_hba.conf")
            || said.contains("authentication failed (SQLSTATE 08P01)");
        self.are_of_account() && error.kind() == Kind::Denied && of_token
    }

    /// Has the account ask for a new token. Whether there is an account.
    pub(super) fn renew(&self) -> bool {
        let Self::OfAccount { account: Some(account), .. } = self else { return false };
        account.renew();
        true
    }

    /// The error of a connection, with what helps if the server refuses the account.
    pub(super) fn explain(&self, error: Error) -> Error {
        if self.are_refused(&error) { error.hint(REFUSED) } else { error }
    }

    /// Whether an account logs in.
    pub(super) fn are_of_account(&self) -> bool {
        matches!(self, Self::OfAccount { .. })
    }
}
