//! Every refusal, as an RFC 9457 problem: a code that never changes, a status, and words in the
//! customer's language. Programs look at the code, people at the title and detail.

use crate::lifecycle::Language;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident $code:literal $status:literal $english:literal $korean:literal;)*) => {
        /// A refusal's stable code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[doc = $doc])* $variant,)* }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
            /// The code on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
            /// When it is given, for the documentation.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*).trim_ascii(),)* }
            }
            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
            /// A sentence for a person.
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
    /// No identity, or a bad one.
    Unauthenticated "unauthenticated" 401 "Please sign in." "로그인이 필요합니다.";
    /// An identity without the right.
    Forbidden "forbidden" 403 "You may not do this." "권한이 없습니다.";
    /// No such sale, or a draft.
    UnknownSale "unknown_sale" 404 "There is no such sale." "존재하지 않는 판매입니다.";
    /// No such thing.
    NotFound "not_found" 404 "There is nothing here." "찾을 수 없습니다.";
    /// The path exists, the method does not.
    MethodNotAllowed "method_not_allowed" 405 "This method is not allowed here." "허용되지 않는 메서드입니다.";
    /// The body is longer than allowed.
    TooLarge "too_large" 413 "The request is too large." "요청이 너무 큽니다.";
    /// Not JSON.
    UnsupportedMediaType "unsupported_media_type" 415 "Send the body as application/json." "본문은 application/json 형식이어야 합니다.";
    /// Bad JSON, a wrong type, an unknown field, a missing or bad header or parameter.
    MalformedRequest "malformed_request" 400 "The request cannot be understood." "요청 형식이 올바르지 않습니다.";
    /// A value out of its bounds.
    InvalidOrder "invalid_order" 422 "The order is not valid." "주문 내용이 올바르지 않습니다.";
    /// A SKU that the sale does not offer.
    UnknownSku "unknown_sku" 422 "The sale does not offer this item." "판매하지 않는 상품입니다.";
    /// The customer expected another total.
    TotalMismatch "total_mismatch" 422 "The total is not what you expected." "결제 예정 금액이 다릅니다.";
    /// The same key with another body.
    IdempotencyKeyReused "idempotency_key_reused" 422 "This Idempotency-Key belongs to another request." "이미 다른 요청에 사용된 Idempotency-Key입니다.";
    /// Outside its window.
    SaleNotOpen "sale_not_open" 409 "The sale has not opened yet." "아직 판매가 시작되지 않았습니다.";
    /// Paused by an operator.
    SalePaused "sale_paused" 409 "The sale is paused." "판매가 일시 중지되었습니다.";
    /// After its window, or closed by an operator.
    SaleClosed "sale_closed" 409 "The sale is closed." "판매가 종료되었습니다.";
    /// The customer's limit is reached.
    DuplicateOrder "duplicate_order" 409 "You have already ordered in this sale." "이미 주문하셨습니다.";
    /// Too few units.
    SoldOut "sold_out" 409 "Sold out." "품절되었습니다.";
    /// Redis lost its state, or has not been loaded yet.
    SaleRebuilding "sale_rebuilding" 503 "The sale is getting ready. Please try again." "판매를 준비하고 있습니다. 잠시 후 다시 시도해 주세요.";
    /// Too much waiting already.
    Overloaded "overloaded" 503 "Too busy. Please try again." "요청이 많습니다. 잠시 후 다시 시도해 주세요.";
    /// The order may exist; the same key tells.
    OutcomeUnknown "outcome_unknown" 503 "The outcome is not known yet. Repeat the request with the same Idempotency-Key." "결과를 아직 확인할 수 없습니다. 같은 Idempotency-Key로 다시 시도해 주세요.";
    /// Redis away, loading, read-only or full: nothing was taken.
    StockUnavailable "stock_unavailable" 503 "Stock cannot be checked right now. Nothing was taken." "재고를 확인할 수 없습니다. 차감된 재고는 없습니다.";
    /// No lease: no answer that rests on Redis is given.
    LogUnavailable "log_unavailable" 503 "Orders cannot be recorded right now. Please try again." "주문을 기록할 수 없습니다. 잠시 후 다시 시도해 주세요.";
    /// A payment whose values are out of their bounds.
    InvalidPayment "invalid_payment" 422 "The payment is not valid." "결제 정보가 올바르지 않습니다.";
    /// A message that was not signed by whom it should be, or too long ago.
    InvalidSignature "invalid_signature" 401 "The message's signature is not valid." "메시지 서명이 올바르지 않습니다.";
    /// Admin: an amount out of its bounds.
    InvalidAmount "invalid_amount" 422 "The amount is not valid." "금액이 올바르지 않습니다.";
    /// Postgres is away.
    DatabaseUnavailable "database_unavailable" 503 "This cannot be looked up right now. Please try again." "지금은 조회할 수 없습니다. 잠시 후 다시 시도해 주세요.";
    /// Admin: the definition is not valid.
    InvalidSale "invalid_sale" 422 "The sale's definition is not valid." "판매 정의가 올바르지 않습니다.";
    /// Admin: too few units are free, or an earlier change is not settled.
    StockInUse "stock_in_use" 409 "Too few units are free for this change." "변경에 필요한 여유 재고가 부족합니다.";
    /// Admin: the state does not allow it.
    IllegalMove "illegal_move" 409 "This is not possible in the present state." "현재 상태에서는 불가능합니다.";
    /// A fault of ours.
    Internal "internal_error" 500 "Something went wrong on our side." "서버 오류가 발생했습니다.";
}

impl Code {
    /// Seconds after which the client should try again, for the answers that say so.
    pub fn retry_after_seconds(self) -> Option<u32> {
        (self.status() == 503).then_some(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_unique_and_503_tells_when_to_return() {
        let codes: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(code.status() == 503, code.retry_after_seconds().is_some());
            assert!(!code.title(Language::Korean).is_empty());
        }
    }
}
