//! The TLS provider of the tests' HTTP client. The client is built with TLS because programs under test use it, and has
//! no provider of its own.

use rustls::crypto::ring;

/// Installs the provider. It must run before a test creates its first HTTP client, and is idempotent.
pub fn install_crypto_provider() {
    let _ = ring::default_provider().install_default(); // another test may have installed it
}
