//! Logins: how a program proves to a database that it is an account of Google Cloud.

use async_trait::async_trait;

use crate::error::Result;

/// The account of Google Cloud that a program runs as, for a database that takes it as a user
/// without a password of its own.
///
/// <https://cloud.google.com/sql/docs/postgres/iam-logins>
#[async_trait]
pub trait DatabaseLogin: std::fmt::Debug + Send + Sync {
    /// The account's email.
    ///
    /// # Errors
    /// `Denied` if this program runs as no account, or as one whose name cannot be read;
    /// `Transient` if the same call may succeed.
    async fn email(&self) -> Result<String>;

    /// A token that takes the place of the password and has not expired. A connection that it has
    /// opened stays open when it expires. Ask for one for each connection: a token is returned again
    /// as long as it is valid, and another one is fetched some minutes before it expires.
    ///
    /// # Errors
    /// As those of [`DatabaseLogin::email`].
    async fn token(&self) -> Result<String>;

    /// Returns no token again that was returned before: a database has refused the last one.
    fn renew(&self);
}
