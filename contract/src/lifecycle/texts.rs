//! The customer texts, progress and expected duration of each status.

use super::{Language, OrderStatus};

impl OrderStatus {
    /// Returns one sentence for the customer.
    pub fn description(self, language: Language) -> &'static str {
        let (english, korean) = match self {
            Self::Processing => {
                ("Your order was accepted and is being recorded.", "주문이 접수되어 처리 중입니다.")
            }
            Self::Created => {
                ("Your order is confirmed and held for payment.", "주문이 확정되어 결제를 기다리고 있습니다.")
            }
            Self::PaymentRequested => ("Your payment is being processed.", "결제를 처리하고 있습니다."),
            Self::PaymentCompleted => ("Your payment was received.", "결제가 완료되었습니다."),
            Self::PaymentFailed => ("Your payment failed.", "결제에 실패했습니다."),
            Self::Preparing => ("Your order is being prepared.", "상품을 준비하고 있습니다."),
            Self::InWarehouse => {
                ("Your order is stored in our warehouse for you.", "상품을 창고에 보관하고 있습니다.")
            }
            Self::Shipped => ("Your order was handed over to the courier.", "상품이 출고되었습니다."),
            Self::InTransit => ("Your order is on its way.", "상품이 배송 중입니다."),
            Self::Delivered => ("Your order was delivered.", "배송이 완료되었습니다."),
            Self::RefundRequested => ("Your refund is being processed.", "환불을 처리하고 있습니다."),
            Self::Refunded => ("Your refund is complete.", "환불이 완료되었습니다."),
            Self::Cancelled => ("Your order was cancelled.", "주문이 취소되었습니다."),
        };
        match language {
            Language::English => english,
            Language::Korean => korean,
        }
    }

    /// Returns the order's progress to delivery, in percent.
    pub fn progress_percentage(self) -> u8 {
        match self {
            Self::Processing => 5,
            Self::Created => 15,
            Self::PaymentRequested => 25,
            Self::PaymentCompleted => 40,
            Self::PaymentFailed => 0,
            Self::Preparing => 50,
            Self::InWarehouse => 70,
            Self::Shipped => 70,
            Self::InTransit => 85,
            Self::Delivered => 100,
            Self::RefundRequested => 50,
            Self::Refunded => 100,
            Self::Cancelled => 0,
        }
    }

    /// Returns the usual time until the next status, in seconds. `None`: the next step is the customer's (limited by
    /// the hold), or nothing follows. Deliveries have expected times of their own.
    pub fn expected_seconds(self) -> Option<u64> {
        match self {
            Self::Processing | Self::PaymentCompleted | Self::PaymentFailed => Some(1),
            Self::PaymentRequested => Some(10),
            Self::Preparing => Some(30 * 60),
            Self::InWarehouse => Some(7 * 24 * 3600),
            Self::Shipped => Some(10 * 60),
            Self::InTransit => Some(110 * 60),
            Self::RefundRequested => Some(60),
            Self::Created | Self::Delivered | Self::Refunded | Self::Cancelled => None,
        }
    }
}
