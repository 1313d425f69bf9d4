//! How identifiers, numbers and states are stored in Postgres. A stored value that is not valid is an error of the
//! query that reads it: nothing is guessed.

use std::error::Error;

use bytes::BytesMut;
use postgres_types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};
use uuid::Uuid;

use crate::ids::{CustomerId, Epoch, IdempotencyKey, OrderId, PolicyId, SaleId, Sequence, Sku};
use crate::lifecycle::{CancelReason, OrderStatus};
use crate::money::Currency;
use crate::order::{Fulfilment, PaymentMethod};
use crate::payment::PaymentStatus;
use crate::sale::SaleState;

type BoxError = Box<dyn Error + Sync + Send>;

/// A text that no value of the type has.
#[derive(Debug, thiserror::Error)]
#[error("the stored text {0:?} is not a valid {1}")]
struct InvalidText(String, &'static str);

/// A number that is negative where none may be, or too large to be stored.
#[derive(Debug, thiserror::Error)]
#[error("the number {0} is out of range")]
struct OutOfRange(i128);

/// Types that are stored as text: how to read and write them.
macro_rules! text {
    ($($type:ident, $parse:expr;)*) => {$(
        impl ToSql for $type {
            fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
                self.as_str().to_sql(ty, out)
            }
            accepts!(TEXT, VARCHAR);
            to_sql_checked!();
        }
        impl<'a> FromSql<'a> for $type {
            fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
                let text = <&str>::from_sql(ty, raw)?;
                $parse(text).ok_or_else(|| InvalidText(text.into(), stringify!($type)).into())
            }
            accepts!(TEXT, VARCHAR);
        }
    )*};
}

text! {
    SaleId, |text| Self::parse(text).ok();
    Sku, |text| Self::parse(text).ok();
    CustomerId, |text| Self::parse(text).ok();
    PolicyId, |text| Self::parse(text).ok();
    IdempotencyKey, |text| Self::parse(text).ok();
    Currency, Self::parse;
    Fulfilment, Self::parse;
    OrderStatus, Self::parse;
    CancelReason, Self::parse;
    PaymentStatus, Self::parse;
    PaymentMethod, Self::parse;
    SaleState, Self::parse;
}

/// Numbers that are never negative, stored as `bigint`.
macro_rules! number {
    ($($type:ident),*) => {$(
        impl ToSql for $type {
            fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
                i64::try_from(self.0).map_err(|_| OutOfRange(self.0.into()))?.to_sql(ty, out)
            }
            accepts!(INT8);
            to_sql_checked!();
        }
        impl<'a> FromSql<'a> for $type {
            fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
                let number = i64::from_sql(ty, raw)?;
                Ok(Self(u64::try_from(number).map_err(|_| OutOfRange(number.into()))?))
            }
            accepts!(INT8);
        }
    )*};
}

number!(Sequence, Epoch);

impl ToSql for OrderId {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        self.0.to_sql(ty, out)
    }
    accepts!(UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for OrderId {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, BoxError> {
        Uuid::from_sql(ty, raw).map(Self)
    }
    accepts!(UUID);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_stored_value_is_an_error() {
        assert!(OrderStatus::from_sql(&Type::TEXT, b"nonsense").is_err());
        assert!(Fulfilment::from_sql(&Type::TEXT, b"teleport").is_err());
        assert!(Sequence::from_sql(&Type::INT8, &(-1i64).to_be_bytes()).is_err());
        assert!(Sequence(u64::MAX).to_sql(&Type::INT8, &mut BytesMut::new()).is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut out = BytesMut::new();
        Sequence(7).to_sql(&Type::INT8, &mut out).unwrap();
        assert_eq!(Sequence::from_sql(&Type::INT8, &out).unwrap(), Sequence(7));
        let mut out = BytesMut::new();
        Fulfilment::Store.to_sql(&Type::TEXT, &mut out).unwrap();
        assert_eq!(Fulfilment::from_sql(&Type::TEXT, &out).unwrap(), Fulfilment::Store);
    }
}
