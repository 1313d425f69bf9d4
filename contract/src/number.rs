//! Deserialization of whole numbers in requests. JSON, and thus JSON Schema, does not distinguish 3.0 from 3, and
//! some clients write one for the other, so both are accepted.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// The largest number with a decimal point that is exact.
const EXACT_MAX: f64 = crate::money::AMOUNT_MAX as f64;

/// Deserializes a whole number. Fails if it is outside the range of `T`.
pub fn whole<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(WholeVisitor(PhantomData)).map(|Read(number)| number)
}

/// Deserializes a whole number or `null`. Fails if the number is outside the range of `T`.
pub fn whole_or_null<'de, D: Deserializer<'de>, T: TryFrom<i128>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Read<T>>::deserialize(deserializer)?.map(|Read(number)| number))
}

struct Read<T>(T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor(PhantomData))
    }
}

struct WholeVisitor<T>(PhantomData<T>);

impl<T: TryFrom<i128>> Visitor<'_> for WholeVisitor<T> {
    type Value = Read<T>;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a whole number within its bounds")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Read<T>, E> {
        let converted = T::try_from(number.into()).map(Read);
        converted.map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Read<T>, E> {
        let converted = T::try_from(number.into()).map(Read);
        converted.map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Read<T>, E> {
        let whole = number.fract() == 0.0 && number.abs() <= EXACT_MAX;
        let converted = whole.then(|| T::try_from(number as i128).ok().map(Read)).flatten();
        converted.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Numbers {
        #[serde(deserialize_with = "super::whole")]
        some: u32,
        #[serde(default, deserialize_with = "super::whole_or_null")]
        perhaps: Option<i64>,
    }

    #[test]
    fn a_whole_number_may_have_a_decimal_point_and_must_be_in_range() {
        let read = |text: &str| serde_json::from_str::<Numbers>(text).ok();
        assert_eq!(read(r#"{"some": 3.0}"#), Some(Numbers { some: 3, perhaps: None }));
        assert_eq!(read(r#"{"some": 3, "perhaps": -2.0}"#), Some(Numbers { some: 3, perhaps: Some(-2) }));
        assert_eq!(read(r#"{"some": 3, "perhaps": null}"#), Some(Numbers { some: 3, perhaps: None }));
        for bad in ["3.5", "-1", "4294967296", "4294967296.0", "1e300", "\"3\"", "null", "true", "[3]"] {
            assert_eq!(read(&format!(r#"{{"some": {bad}}}"#)), None, "{bad}");
        }
    }
}
