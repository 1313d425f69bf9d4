//! The reference of errors, generated from the table of codes.

use std::fmt::Write as _;

use contract::lifecycle::Language;
use contract::problem::Code;

use super::{cell, head};

const INTRODUCTION: &str = "\
A refusal is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), `application/problem+json`, with
`code`, `title`, `status` and `detail`. Programs evaluate `code`, which never changes; `title` and `detail` are for people,
in English or Korean by `Accept-Language`. Every 503 has a `Retry-After` in whole seconds. How a client should handle each
response is described in [Guarantees](../guarantees.md#what-a-client-should-do).

Some codes have further members:

| code | member | |
|---|---|---|
| `sold_out` | `sku`, `remaining` | the item, and its remaining units |
| `duplicate_order` | `order_id` | the customer's newest order that is not cancelled |
| `total_mismatch` | `total` | the actual total of the order |
| `sale_not_open` | `opens_at` | the opening time |
| `illegal_move` | `order_status` | the present status of the order |

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
