//! Which certificates of a server are accepted.
//!
//! <https://www.postgresql.org/docs/current/libpq-ssl.html>

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_rustls::TlsConnector;

use super::failure::Failure;
use super::options::{Options, SslMode};

/// What makes connections with TLS as the options say.
pub(super) fn connector(options: &Options) -> Result<TlsConnector, Failure> {
    let provider = Arc::new(ring::default_provider());
    let lenient = |verifier| Arc::new(Lenient { verifier, provider: Arc::clone(&provider) });
    let verifier: Arc<dyn ServerCertVerifier> = match options.ssl_mode {
        SslMode::Disable | SslMode::Prefer | SslMode::Require => lenient(None),
        SslMode::VerifyCa => lenient(Some(verifier(options, &provider)?)),
        SslMode::VerifyFull => verifier(options, &provider)?,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|source| unusable("no version of TLS can be used", source))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate, "`sslcert` cannot be read")?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|source| unusable("`sslkey` cannot be read", source))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|source| unusable("`sslcert` and `sslkey` do not fit", source))?
        }
        (None, None) => config.with_no_client_auth(),
        _ => return Err(Failure::Unusable("`sslcert` and `sslkey` are used together", None)),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Verifies a certificate and its name against the authorities of the file that the options name, and against
/// the public ones without a file.
fn verifier(
    options: &Options,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, Failure> {
    let mut roots = RootCertStore::empty();
    match &options.root {
        Some(path) => {
            let wrong = "`sslrootcert` cannot be read";
            for certificate in certificates(path, wrong)? {
                roots.add(certificate).map_err(|source| unusable(wrong, source))?;
            }
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|source| unusable("`sslrootcert` cannot be used", source))
}

fn certificates(path: &Path, wrong: &'static str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    found.map_err(|source| unusable(wrong, source))
}

fn unusable(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Unusable(what, Some(Box::new(source)))
}

/// Verifies less than `WebPkiServerVerifier` does: not the name, or nothing of the certificate at all.
#[derive(Debug)]
struct Lenient {
    /// Verifies the certificate; `None` accepts any, so that another server may answer.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(verifier) = &self.verifier else { return Ok(ServerCertVerified::assertion()) };
        // The name is looked at last, when everything else is right.
        match verifier.verify_server_cert(certificate, chain, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
