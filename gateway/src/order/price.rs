//! The price of an order, from the sale's terms in memory.

use contract::order::{OrderRefusal, OrderRequest, PricedRequest};
use contract::sale::SaleTerms;
use invariants::money;
use process::invariant;

/// Checks the values of a request and prices it.
pub fn price(request: &OrderRequest, terms: &SaleTerms) -> Result<PricedRequest, OrderRefusal> {
    let priced = request.price(terms)?;
    let contract::order::Amounts { subtotal, discount, delivery_fee } = priced.amounts;
    let total = priced.amounts.total();
    invariant::check(
        "price",
        money::amounts_add_up(&money::Amounts { subtotal, discount, delivery_fee, total }),
    );
    Ok(priced)
}
