//! How well connections to the source must be protected.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How well a connection must be protected at least, by the names of libpq's modes. What does not
/// leave the machine meets every demand.
///
/// <https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-PROTECTION>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeastTls {
    /// As the source's URL says.
    #[default]
    Prefer,
    /// Encrypted.
    Require,
    /// Encrypted, with a certificate that is verified.
    VerifyCa,
    /// The same, and the certificate is for the name that is connected to.
    VerifyFull,
}

impl LeastTls {
    /// Whether nothing is demanded.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
