//! How a connection begins: who connects to which database, and how that is proved.
//!
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-START-UP>

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;

use super::failure::Failure;
use super::options::Options;
use super::{Connection, MALFORMED, OUT_OF_TURN};

impl Connection {
    /// Says who connects, proves it, and waits until the server is ready.
    pub(super) async fn start(&mut self, options: &Options) -> Result<(), Failure> {
        let mut parameters = vec![("user", options.user.as_str()), ("client_encoding", "UTF8")];
        let more = [
            ("database", &options.database),
            ("application_name", &options.application),
            ("options", &options.settings),
        ];
        parameters.extend(more.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));
        self.send(|into| frontend::startup_message(parameters, into)).await?;
        let password = options.password.as_deref().unwrap_or_default().as_bytes();
        loop {
            match self.message().await? {
                Message::AuthenticationOk | Message::BackendKeyData(_) => {}
                Message::AuthenticationCleartextPassword => {
                    self.send(|into| frontend::password_message(password, into)).await?;
                }
                Message::AuthenticationMd5Password(body) => {
                    let hash = md5_hash(options.user.as_bytes(), password, body.salt());
                    self.send(|into| frontend::password_message(hash.as_bytes(), into)).await?;
                }
                Message::AuthenticationSasl(body) => self.scram(&body, password).await?,
                Message::AuthenticationGss | Message::AuthenticationSspi => {
                    return Err(Failure::Authentication("GSSAPI"));
                }
                Message::AuthenticationKerberosV5 => {
                    return Err(Failure::Authentication("Kerberos 5"));
                }
                Message::ErrorResponse(body) => return Err(Failure::of_server(&body)),
                Message::ReadyForQuery(_) => return Ok(()),
                _ => return Err(OUT_OF_TURN),
            }
        }
    }

    /// Proves that the password is known, and lets the server prove that it knows it too.
    /// <https://www.postgresql.org/docs/current/sasl-authentication.html>
    async fn scram(
        &mut self,
        offered: &AuthenticationSaslBody,
        password: &[u8],
    ) -> Result<(), Failure> {
        let mut mechanisms = offered.mechanisms();
        let mut is_offered = false;
        while let Some(mechanism) = mechanisms.next().map_err(|_| MALFORMED)? {
            is_offered |= mechanism == SCRAM_SHA_256;
        }
        if !is_offered {
            return Err(Failure::Authentication("a mechanism other than SCRAM-SHA-256"));
        }
        let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
        let first = scram.message().to_vec();
        self.send(|into| frontend::sasl_initial_response(SCRAM_SHA_256, &first, into)).await?;
        match self.message().await? {
            Message::AuthenticationSaslContinue(body) => {
                scram.update(body.data()).map_err(|_| MALFORMED)?;
            }
            Message::ErrorResponse(body) => return Err(Failure::of_server(&body)),
            _ => return Err(OUT_OF_TURN),
        }
        let proof = scram.message().to_vec();
        self.send(|into| frontend::sasl_response(&proof, into)).await?;
        match self.message().await? {
            Message::AuthenticationSaslFinal(body) => {
                scram.finish(body.data()).map_err(|_| Failure::Untrusted)
            }
            Message::ErrorResponse(body) => Err(Failure::of_server(&body)),
            _ => Err(OUT_OF_TURN),
        }
    }
}
