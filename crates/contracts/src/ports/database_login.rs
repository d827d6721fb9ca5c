//! Logins: how a program proves to a database that it is an account of Google Cloud.

use async_trait::async_trait;

use crate::error::Result;

/// The account of Google Cloud that a program runs as, for a database that takes it as a user
/// without a password of its own.
///
/// <https://cloud.google.com/sql/docs/postgres/iam-logins>
#[async_trait]
pub trait DatabaseLogin: std::fmt::Debug + Send + Sync {
    /// The account's name as a user of PostgreSQL.
    ///
    /// # Errors
    /// `Denied` if this program runs as no account, or as one whose name cannot be read;
    /// `Transient` if the same call may succeed.
    async fn user(&self) -> Result<String>;

    /// A token that takes the place of the password. It is valid for some minutes at least, and
    /// opens a connection; one that is open stays open when the token expires. Ask for one for each
    /// connection: a token that is still valid is returned again, and another one is fetched in time.
    ///
    /// # Errors
    /// As those of [`DatabaseLogin::user`].
    async fn token(&self) -> Result<String>;
}
