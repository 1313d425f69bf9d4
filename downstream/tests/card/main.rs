//! Card payments, from an order to the provider's ledger and back: the real provider, the real group, the
//! real services.

mod callbacks;
mod failures;
mod provider;
mod support;
mod test_cards;
mod tls;
