//! The first answer to a request that the sale's present terms would refuse. The terms may have changed since the order
//! was accepted: a refusal would make the customer order again.

use contract::ids::{CustomerId, IdempotencyKey, RequestDigest, RequestFingerprint};
use contract::keys::buyer_field;
use contract::order_receipt::OrderReceipt;
use contract::problem::Code;

use crate::http::problem::Problem;
use crate::read::order_lookup::OrderLookup;
use crate::sales::sale_view::SaleView;

/// The number of requests at once whose first answers are searched. Requests that no sale accepts must not take
/// Redis from the others.
pub(crate) const LOOKUPS_MAX: usize = 64;

/// What identifies a request, whatever the terms under which it is judged.
#[derive(Clone, Copy)]
pub(crate) struct RequestIdentity<'a> {
    /// The customer who sends the request.
    pub(crate) customer: &'a CustomerId,
    /// The key that the client chose.
    pub(crate) key: &'a IdempotencyKey,
    /// The digest of the decoded body.
    pub(crate) digest: RequestDigest,
}

/// Returns the receipt of the order that the request has created before, or `refusal` if there is none. Fails if that
/// cannot be determined: the refusal would be definite.
pub(crate) async fn find(
    orders: OrderLookup<'_>,
    view: &SaleView,
    request: RequestIdentity<'_>,
    refusal: Problem,
) -> Result<OrderReceipt, Problem> {
    let fingerprint = RequestFingerprint::compute(&view.publication.sale_id, request.customer, request.key);
    let field = buyer_field(request.customer, fingerprint, view.is_limited());
    let found = orders.remembered(view, field).await?;
    match found.into_iter().find(|found| found.order.id.request() == fingerprint) {
        None => Err(refusal),
        Some(found) if found.order.digest != request.digest => Err(Code::IdempotencyKeyReused.into()),
        // The log may not have it yet. The relay hands it off.
        Some(found) if found.in_outbox => Err(Code::OutcomeUnknown.into()),
        Some(found) => Ok(found.order),
    }
}
