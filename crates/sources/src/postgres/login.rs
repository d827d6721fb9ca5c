//! How a connection says who it is: by what the URL holds, or by an account of Google Cloud.
//!
//! A URL with `login=google_iam` has no password. Cloud SQL takes a token of the account in its
//! place, and the account's name, shortened, as the user.
//! <https://cloud.google.com/sql/docs/postgres/iam-logins>

use std::sync::Arc;

use sluice_contracts::job::nearest_hint;
use sluice_contracts::ports::DatabaseLogin;
use sluice_contracts::{Error, Kind, Result};
use sqlx::postgres::PgConnectOptions;

use crate::place::Protection;

/// The parameter of the URL.
pub(super) const PARAMETER: &str = "login";
/// Its values.
const VALUES: [&str; 1] = ["google_iam"];

/// What helps where the server refuses the account.
const REFUSED: &str = "the account needs `roles/cloudsql.instanceUser` on the instance's project, a user \
                       of its name on the instance, and there the flag `cloudsql.iam_authentication`; \
                       `terraform/` makes all but the flag (`cloud_sql_iam_logins`)";

/// How a connection says who it is.
#[derive(Debug, Clone, Default)]
pub(super) enum Login {
    /// By the user and the password of the URL, of libpq's variables or of `.pgpass`.
    #[default]
    Own,
    /// By the account that this program runs as.
    Google {
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

impl Login {
    /// Refuses what a login by an account would be of no use with, or would make public.
    pub(super) fn check(
        &self,
        has_password: bool,
        has_database: bool,
        protection: Protection,
    ) -> Result<()> {
        if matches!(self, Self::Own) {
            return Ok(());
        }
        let refused = |why: &str| {
            Error::invalid(format!("read `source.url`: `{PARAMETER}=google_iam` stands {why}"))
        };
        if has_password {
            return Err(refused("beside a password").hint("keep one of the two"));
        }
        if !has_database {
            return Err(refused("there without a database").hint("name the database"));
        }
        if protection < Protection::Encrypted {
            return Err(refused("there for a connection that may not be encrypted").hint(
                "add `sslmode=require`, or `sslmode=verify-ca` with `sslrootcert`: who reads the \
                 token could log in with it",
            ));
        }
        Ok(())
    }

    /// The account that logs in.
    pub(super) fn with_account(self, account: Option<&Arc<dyn DatabaseLogin>>) -> Self {
        match self {
            Self::Own => Self::Own,
            Self::Google { user, .. } => Self::Google { user, account: account.cloned() },
        }
    }

    /// The options of one connection. A token is asked for each time, because it expires.
    pub(super) async fn sign(&self, options: &PgConnectOptions) -> Result<PgConnectOptions> {
        let Self::Google { user, account } = self else { return Ok(options.clone()) };
        let what = || "log in to the source by an account of Google Cloud";
        let account = account.as_ref().ok_or_else(|| {
            Error::invalid(format!("{}: this build does not include Google Cloud", what()))
                .hint("build it in: `cargo install --locked --path cli --features google`")
        })?;
        let during = |error: Error| error.during(what());
        let user = match user {
            Some(user) => user.clone(),
            None => account.user().await.map_err(during)?,
        };
        let token = account.token().await.map_err(during)?;
        Ok(options.clone().username(&user).password(&token))
    }

    /// The error of a connection, with what helps if the server refuses the account.
    pub(super) fn explain(&self, error: Error) -> Error {
        let is_refused = error.kind() == Kind::Denied && error.chain().contains("(SQLSTATE 28");
        match self {
            Self::Google { .. } if is_refused => error.hint(REFUSED),
            _ => error,
        }
    }
}
