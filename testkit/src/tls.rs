//! What the HTTP client of the tests needs since programs under test speak TLS: the client is built with it as
//! well, and without a provider of cryptography of its own.

use rustls::crypto::ring;

/// Names the provider. Before the first HTTP client of a test; a repetition changes nothing.
pub fn install_crypto_provider() {
    let _ = ring::default_provider().install_default(); // another test may have been first
}
