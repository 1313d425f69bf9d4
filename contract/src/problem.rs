//! Errors of the API as RFC 9457 problems: a code that never changes, an HTTP status, and texts in the customer's
//! language. Programs evaluate the code, people read the title and detail.

use crate::lifecycle::Language;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident $code:literal $status:literal $english:literal $korean:literal;)*) => {
        /// The stable code of a problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])* $variant,)* }

        impl Code {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// Returns the code on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
            /// Returns when the problem occurs, for the documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii(),)* }
            }
            /// Returns the HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
            /// Returns a sentence for people.
            pub fn title(self, language: Language) -> &'static str {
                match language {
                    Language::English => match self { $(Self::$variant => $english,)* },
                    Language::Korean => match self { $(Self::$variant => $korean,)* },
                }
            }
        }
    };
}

codes! {
    /// The credentials are missing or invalid.
    Unauthenticated "unauthenticated" 401 "Please sign in." "로그인이 필요합니다.";
    /// The identity does not have the permission.
    Forbidden "forbidden" 403 "You do not have permission to do this." "권한이 없습니다.";
    /// The sale does not exist or is a draft.
    UnknownSale "unknown_sale" 404 "The sale does not exist." "존재하지 않는 판매입니다.";
    /// The resource does not exist.
    NotFound "not_found" 404 "Not found." "찾을 수 없습니다.";
    /// The path does not support the method.
    MethodNotAllowed "method_not_allowed" 405 "This method is not allowed for this path." "허용되지 않는 메서드입니다.";
    /// The body exceeds the size limit.
    TooLarge "too_large" 413 "The request is too large." "요청이 너무 큽니다.";
    /// The body is not JSON.
    UnsupportedMediaType "unsupported_media_type" 415 "Send the body as application/json." "요청 본문은 application/json 형식이어야 합니다.";
    /// Invalid JSON, a wrong type, an unknown field, or a missing or invalid header or parameter.
    MalformedRequest "malformed_request" 400 "The request is malformed." "요청 형식이 올바르지 않습니다.";
    /// A value of the order is out of range.
    InvalidOrder "invalid_order" 422 "The order is not valid." "주문 내용이 올바르지 않습니다.";
    /// The sale does not offer the SKU.
    UnknownSku "unknown_sku" 422 "The sale does not offer this item." "판매하지 않는 상품입니다.";
    /// The total differs from `expected_total`.
    TotalMismatch "total_mismatch" 422 "The total is not what you expected." "결제 예정 금액이 변경되었습니다.";
    /// The same Idempotency-Key was used with another body.
    IdempotencyKeyReused "idempotency_key_reused" 422 "This Idempotency-Key was already used for a different request." "이미 다른 요청에 사용된 Idempotency-Key입니다.";
    /// The sale's window has not begun.
    SaleNotOpen "sale_not_open" 409 "The sale has not opened yet." "아직 판매가 시작되지 않았습니다.";
    /// An operator has paused the sale.
    SalePaused "sale_paused" 409 "The sale is paused." "판매가 일시 중지되었습니다.";
    /// The sale's window has ended, or an operator has closed the sale.
    SaleClosed "sale_closed" 409 "The sale is closed." "판매가 종료되었습니다.";
    /// The customer has reached the limit of orders in the sale.
    DuplicateOrder "duplicate_order" 409 "You have already ordered in this sale." "이미 주문하셨습니다.";
    /// Too few units are left.
    SoldOut "sold_out" 409 "Sold out." "품절되었습니다.";
    /// The gateway has not read the sales yet. It knows neither which sales exist nor which orders were accepted.
    Starting "starting" 503 "The service is starting. Please try again." "서비스를 시작하고 있습니다. 잠시 후 다시 시도해 주세요.";
    /// Redis has lost the sale's state, or the state has not been loaded yet.
    SaleRebuilding "sale_rebuilding" 503 "The sale is being prepared. Please try again." "판매를 준비하고 있습니다. 잠시 후 다시 시도해 주세요.";
    /// The gateway sheds load: too many requests are waiting already.
    Overloaded "overloaded" 503 "The service is busy. Please try again." "이용자가 많아 처리가 지연되고 있습니다. 잠시 후 다시 시도해 주세요.";
    /// The order may exist; a retry with the same Idempotency-Key returns the outcome.
    OutcomeUnknown "outcome_unknown" 503 "The outcome is not known yet. Please repeat the request with the same Idempotency-Key." "결과를 아직 확인할 수 없습니다. 같은 Idempotency-Key로 다시 시도해 주세요.";
    /// Redis is unavailable, loading, read-only or full. Nothing was reserved.
    StockUnavailable "stock_unavailable" 503 "Stock cannot be checked right now. Nothing was reserved." "지금은 재고를 확인할 수 없습니다. 주문은 접수되지 않았습니다.";
    /// The gateway has no lease, and without one it neither returns a response that depends on Redis nor denies a sale.
    LogUnavailable "log_unavailable" 503 "Orders cannot be recorded right now. Please try again." "지금은 주문을 접수할 수 없습니다. 잠시 후 다시 시도해 주세요.";
    /// A value of the payment is out of range.
    InvalidPayment "invalid_payment" 422 "The payment is not valid." "결제 정보가 올바르지 않습니다.";
    /// The webhook's signature is invalid or too old.
    InvalidSignature "invalid_signature" 401 "The message's signature is not valid." "메시지 서명이 올바르지 않습니다.";
    /// Admin: the amount is out of range.
    InvalidAmount "invalid_amount" 422 "The amount is not valid." "금액이 올바르지 않습니다.";
    /// Postgres is unavailable.
    DatabaseUnavailable "database_unavailable" 503 "This information is temporarily unavailable. Please try again." "지금은 조회할 수 없습니다. 잠시 후 다시 시도해 주세요.";
    /// Admin: the sale's definition is invalid.
    InvalidSale "invalid_sale" 422 "The sale's definition is not valid." "판매 설정이 올바르지 않습니다.";
    /// Admin: too few units are available, or an earlier change is not settled yet.
    StockInUse "stock_in_use" 409 "Too few units are available for this change." "변경에 필요한 여유 재고가 부족합니다.";
    /// The current state does not allow the action.
    IllegalMove "illegal_move" 409 "This is not possible in the current state." "현재 상태에서는 처리할 수 없습니다.";
    /// An internal error.
    Internal "internal_error" 500 "Something went wrong on our side." "서버 오류가 발생했습니다.";
}

impl Code {
    /// Returns the number of seconds after which the client should retry (Retry-After), for problems with status 503.
    pub fn retry_after_seconds(self) -> Option<u32> {
        (self.status() == 503).then_some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_every_503_has_retry_after() {
        let codes: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(code.status() == 503, code.retry_after_seconds().is_some());
            assert!(!code.title(Language::Korean).is_empty());
        }
    }
}
