//! How others are called: whom this program believes over TLS, and what it says of a call that failed.
//!
//! The public authorities are built in (Mozilla's list), so that an image needs no files of them and one program
//! believes the same everywhere. Others are given by a file. One provider of cryptography, ring, is named where
//! TLS begins; no process-wide default is needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::{ClientConfig, RootCertStore};

/// Settings of calls over TLS.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Calls to others")]
pub struct TlsSettings {
    /// A file of authorities (certificates, PEM) that are believed beside the public ones: of a mail server, a
    /// receiver of webhooks, a card provider or a gateway that is called over TLS.
    #[arg(long, env = "TLS_CA_FILE", value_name = "FILE")]
    pub tls_ca_file: Option<PathBuf>,
}

/// Why nobody can be called over TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of authorities.
    #[error("TLS_CA_FILE {0}: {1}")]
    File(PathBuf, pem::Error),
    /// There is no certificate in it.
    #[error("TLS_CA_FILE {0}: there is no certificate in it")]
    Empty(PathBuf),
    /// What is in it is no certificate of an authority, or TLS cannot be set up at all.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The same, of the mail server's connection.
    #[error("TLS: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// The HTTP client.
    #[error("HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// Whom this program believes.
#[derive(Debug, Clone, Default)]
pub struct TrustStore {
    /// Beside the public authorities.
    own: Vec<CertificateDer<'static>>,
}

impl TrustStore {
    /// As it is set.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        let own = settings.tls_ca_file.as_deref().map(read).transpose()?;
        Ok(Self { own: own.unwrap_or_default() })
    }

    /// A client for HTTP and HTTPS. `limit`: of a whole call. A redirect is no answer: it would send what is
    /// meant for one to somebody whom nobody has configured.
    pub fn http(&self, limit: Duration) -> Result<reqwest::ClientBuilder, TlsError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for own in &self.own {
            roots.add(own.clone())?;
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

    /// For SMTP with a server of this name.
    pub fn smtp(&self, server: &str) -> Result<TlsParameters, TlsError> {
        let mut tls = TlsParameters::builder(server.into()).certificate_store(CertificateStore::WebpkiRoots);
        for own in &self.own {
            tls = tls.add_root_certificate(Certificate::from_der(own.to_vec())?);
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

/// Why a call failed, down to the last cause; without the URL, which may carry a secret.
pub fn why(error: reqwest::Error) -> String {
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
        assert!(matches!(trust(), Err(TlsError::File(..))), "it is not there");
        std::fs::write(&file, "no certificate\n").unwrap();
        assert!(matches!(trust(), Err(TlsError::Empty(_))));
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        let trust = trust().unwrap();
        assert!(matches!(trust.http(Duration::ZERO), Err(TlsError::Tls(_))));
        assert!(matches!(trust.smtp("mail"), Err(TlsError::Smtp(_))));
        std::fs::remove_file(file).unwrap();
    }
}
