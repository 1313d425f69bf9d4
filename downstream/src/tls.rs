//! Outbound connections: which certificate authorities the program trusts, and how it reports a failed HTTP call.
//!
//! The public authorities are built in (Mozilla's list), so that an image needs no certificate files and the program
//! trusts the same authorities everywhere. Further authorities come from a file. The cryptography provider, ring, is
//! named where TLS is configured, so no process-wide default is needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, RootCertStore};

/// The settings of outbound TLS connections.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Outbound connections")]
pub struct TlsSettings {
    /// File of certificate authorities (PEM) that are trusted in addition to the public ones: of a mail server, a
    /// webhook receiver, a card provider or a gateway that is reached over TLS.
    #[arg(long, env = "TLS_CA_FILE", value_name = "FILE")]
    pub tls_ca_file: Option<PathBuf>,
}

/// The reason why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of authorities cannot be read.
    #[error("cannot read TLS_CA_FILE {0}")]
    File(PathBuf, #[source] pem::Error),
    /// The file contains no certificate.
    #[error("TLS_CA_FILE {0} contains no certificate")]
    Empty(PathBuf),
    /// A certificate is not that of an authority, or TLS cannot be configured at all.
    #[error("cannot configure TLS")]
    Config(#[from] rustls::Error),
    /// TLS cannot be configured for the mail server.
    #[error("cannot configure TLS for the mail server")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// The HTTP client cannot be created.
    #[error("cannot create the HTTP client")]
    Http(#[from] reqwest::Error),
}

/// The certificate authorities that the program trusts.
#[derive(Debug, Clone, Default)]
pub struct TrustStore {
    /// The authorities that are trusted in addition to the public ones.
    extra: Vec<CertificateDer<'static>>,
}

impl TrustStore {
    /// Reads the configured authorities.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let extra = settings.tls_ca_file.as_deref().map(read).transpose()?;
        Ok(Self { extra: extra.unwrap_or_default() })
    }

    /// Returns a builder of HTTP and HTTPS clients. `limit` is the time limit of a whole call. Redirects are not
    /// followed: they would send a request to a host that was not configured.
    pub fn http_client(&self, limit: Duration) -> Result<reqwest::ClientBuilder, TlsError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for authority in &self.extra {
            roots.add(authority.clone())?;
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(limit)
            .redirect(reqwest::redirect::Policy::none()))
    }

    /// Returns the TLS parameters for SMTP with a server of this name.
    pub fn smtp_parameters(&self, server: &str) -> Result<TlsParameters, TlsError> {
        let mut tls = TlsParameters::builder(server.into()).certificate_store(CertificateStore::WebpkiRoots);
        for authority in &self.extra {
            tls = tls.add_root_certificate(Certificate::from_der(authority.to_vec())?);
        }
        Ok(tls.build_rustls()?)
    }
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |error| TlsError::File(file.into(), error);
    let certificates = CertificateDer::pem_file_iter(file).map_err(failed)?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if certificates.is_empty() { Err(TlsError::Empty(file.into())) } else { Ok(certificates) }
}

/// Returns why an HTTP call failed, with its whole cause chain, and without the URL, which may contain a secret.
pub fn cause_chain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_authorities_is_an_error_and_not_ignored() {
        let file = std::env::temp_dir().join(format!("ca-{}.pem", uuid::Uuid::now_v7()));
        let trust = || TrustStore::new(&TlsSettings { tls_ca_file: Some(file.clone()) });
        assert!(matches!(trust(), Err(TlsError::File(..))), "the file does not exist");
        std::fs::write(&file, "no certificate\n").unwrap();
        assert!(matches!(trust(), Err(TlsError::Empty(_))));
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let trust = trust().unwrap();
        assert!(matches!(trust.http_client(Duration::ZERO), Err(TlsError::Config(_))));
        assert!(matches!(trust.smtp_parameters("mail"), Err(TlsError::Smtp(_))));
        std::fs::remove_file(file).unwrap();
    }
}
