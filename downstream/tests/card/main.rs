//! Card payments, from an order to the provider's ledger and back, with the real provider, the real group and the real
//! services.

mod callbacks;
mod failures;
mod provider;
mod support;
mod test_cards;
mod tls;
