//! Who this program is to a database that takes an account of Google Cloud for a user.

use std::sync::Arc;

use sluice_contracts::ports::DatabaseLogin;

/// The account that this program runs as, asked when it is needed first; `None` in a build without
/// Google Cloud.
pub fn own_account() -> Option<Arc<dyn DatabaseLogin>> {
    #[cfg(feature = "google")]
    return Some(Arc::new(crate::google::database_login::CloudSqlLogin::default()));
    #[cfg(not(feature = "google"))]
    return None;
}
