//! The price of an order, from the sale's terms in memory.

use contract::order::{OrderRefusal, OrderRequest, PricedRequest};
use contract::problem::Code;
use contract::sale::SaleTerms;
use invariants::money;
use process::invariant;

use crate::http::problem::Problem;

/// Checks the values of a request and prices it.
pub fn price(request: &OrderRequest, terms: &SaleTerms) -> Result<PricedRequest, Problem> {
    let priced = request.price(terms).map_err(|refused| {
        let detail = refused.to_string();
        match refused {
            OrderRefusal::Invalid(_) => Problem::because(Code::InvalidOrder, detail),
            OrderRefusal::UnknownSku(sku) => {
                Problem::because(Code::UnknownSku, detail).with("sku", sku.as_str())
            }
            OrderRefusal::TotalMismatch { total } => {
                Problem::because(Code::TotalMismatch, detail).with("total", total)
            }
        }
    })?;
    let contract::order::Amounts { subtotal, discount, delivery_fee } = priced.amounts;
    let total = priced.amounts.total();
    invariant::check(
        "price",
        money::amounts_add_up(&money::Amounts { subtotal, discount, delivery_fee, total }),
    );
    Ok(priced)
}
