//! The endpoints of sales, for customers.

use contract::problem::Code;
use contract::sale::TOTAL_MAX;
use serde_json::json;

use super::endpoint::{Endpoint, endpoint};
use crate::read::sale::{self, AvailabilityBody, SaleBody, SalesBody};

const SALES: &str = "Sales";

pub(super) static ENDPOINTS: &[Endpoint] = &[
    endpoint!(
        Get("/v1/sales"),
        sales(SALES, Anyone, Query),
        |gateway, request| sale::list(gateway.sale_reads(), request.context.head),
        |operation| operation
            .does("List sales", "All sales that are not drafts, by name.")
            .answers::<SalesBody>(200, "The sales.")
            .conditional()
            .refuses(&[Code::DatabaseUnavailable]),
    ),
    endpoint!(
        Get("/v1/sales/{sale}"),
        sale(SALES, Anyone, Query),
        |gateway, request, sale| sale::show(gateway.sale_reads(), sale, request.context.head),
        |operation| operation
            .does(
                "Get a sale",
                "The items, their prices, the window and the remaining units, which are at most 1 s old.",
            )
            .answers::<SaleBody>(200, "The sale.")
            .conditional()
            .refuses(&[Code::UnknownSale, Code::DatabaseUnavailable, Code::LogUnavailable]),
    ),
    endpoint!(
        Get("/v1/sales/{sale}/items/{sku}/availability"),
        availability(SALES, Anyone, Query),
        |gateway, request, sale, sku| {
            sale::availability(gateway.sale_reads(), sale, sku, request.context.head)
        },
        |operation| {
            operation
            .does(
                "Check availability",
                "Checks whether the requested quantity is available. The result is an estimate that is at most 1 s old: \
                 only an order reserves units.",
            )
            .query(
                "quantity",
                json!({ "type": "integer", "minimum": 1, "maximum": TOTAL_MAX, "default": 1 }),
                "The number of units.",
            )
            .answers::<AvailabilityBody>(200, "The availability.")
            .refuses(&[
                Code::MalformedRequest,
                Code::UnknownSale,
                Code::NotFound,
                Code::DatabaseUnavailable,
                Code::LogUnavailable,
            ])
        },
    ),
];
