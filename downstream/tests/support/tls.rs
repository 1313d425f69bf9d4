//! TLS for a test: a certificate authority, and a TLS proxy to a server that speaks none.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// An authority that no client trusts by default, and the certificate of a server, as files.
pub(crate) struct Authority {
    folder: PathBuf,
    config: Arc<ServerConfig>,
    refused: Arc<AtomicUsize>,
}

impl Authority {
    /// Creates an authority, and a certificate for servers at 127.0.0.1.
    pub(crate) fn new() -> Self {
        let folder = std::env::temp_dir().join(testkit::fresh("tls"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["127.0.0.1".to_string()]).expect("a name");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate");
        let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("written");
        write("ca.pem", issuer.pem());
        write("server.pem", certificate.pem());
        write("server.key", key.serialize_pem());
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)
            })
            .expect("a server's TLS");
        Self { folder, config: Arc::new(config), refused: Arc::default() }
    }

    /// Returns the path of `ca.pem`, `server.pem` or `server.key`.
    pub(crate) fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Returns the number of clients that did not trust the certificate.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// Starts a TLS proxy to a server that speaks none. It ends with the test.
    pub(crate) async fn tls_proxy(&self, target: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (acceptor, refused) = (TlsAcceptor::from(self.config.clone()), self.refused.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (acceptor, refused) = (acceptor.clone(), refused.clone());
                tokio::spawn(async move {
                    let Ok(mut near) = acceptor.accept(near).await else {
                        refused.fetch_add(1, Ordering::SeqCst);
                        return;
                    };
                    let Ok(mut far) = TcpStream::connect(target).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await; // either end may close the connection
                });
            }
        });
        address
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Path::new(&self.folder)); // leftover files do no harm
    }
}
