//! Every refusal, from the table that the programs answer by.

use std::fmt::Write as _;

use contract::lifecycle::Language;
use contract::problem::Code;

use super::{cell, head};

const INTRODUCTION: &str = "\
A refusal is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), `application/problem+json`, with
`code`, `title`, `status` and `detail`. Programs look at `code`, which never changes; people at `title` and `detail`,
which come in English or Korean by `Accept-Language`. Every 503 has a `Retry-After` in whole seconds. What a client
should do with each answer is told in [Guarantees](../guarantees.md#what-a-client-should-do).

Some say more:

| code | member | |
|---|---|---|
| `sold_out` | `sku`, `remaining` | which item, and how many there are |
| `duplicate_order` | `order_id` | the customer's newest order that is not cancelled |
| `total_mismatch` | `total` | what the order would cost |
| `sale_not_open` | `opens_at` | when it opens |
| `illegal_move` | `order_status` | where the order stands |

";

pub(super) fn page() -> String {
    let mut page = head("Errors", "contract/src/problem.rs") + INTRODUCTION;
    page.push_str("## Codes\n\n| code | status | when | title |\n|---|---|---|---|\n");
    for code in Code::ALL {
        let (english, korean) = (code.title(Language::English), code.title(Language::Korean));
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} / {} |",
            code.as_str(),
            code.status(),
            cell(code.meaning()),
            cell(english),
            cell(korean)
        );
    }
    page
}
