//! Whole numbers of requests. JSON, and so a JSON Schema, does not tell 3.0 from 3, and some clients write the one
//! where they mean the other.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Up to here a number with a decimal point is exact.
const EXACT_MAX: f64 = crate::money::AMOUNT_MAX as f64;

/// Reads a whole number that fits.
pub fn whole<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Whole(PhantomData)).map(|Read(number)| number)
}

/// The same, or nothing.
pub fn whole_or_null<'de, D: Deserializer<'de>, T: TryFrom<i128>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Read<T>>::deserialize(deserializer)?.map(|Read(number)| number))
}

struct Read<T>(T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Read<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Whole(PhantomData))
    }
}

struct Whole<T>(PhantomData<T>);

impl<T: TryFrom<i128>> Visitor<'_> for Whole<T> {
    type Value = Read<T>;

    fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str("a whole number within its bounds")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Read<T>, E> {
        let fits = T::try_from(number.into()).map(Read);
        fits.map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Read<T>, E> {
        let fits = T::try_from(number.into()).map(Read);
        fits.map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Read<T>, E> {
        let whole = number.fract() == 0.0 && number.abs() <= EXACT_MAX;
        let fits = whole.then(|| T::try_from(number as i128).ok().map(Read)).flatten();
        fits.ok_or_else(|| E::invalid_value(Unexpected::Float(number), &self))
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
    fn a_whole_number_may_have_a_decimal_point_and_must_fit() {
        let read = |text: &str| serde_json::from_str::<Numbers>(text).ok();
        assert_eq!(read(r#"{"some": 3.0}"#), Some(Numbers { some: 3, perhaps: None }));
        assert_eq!(read(r#"{"some": 3, "perhaps": -2.0}"#), Some(Numbers { some: 3, perhaps: Some(-2) }));
        assert_eq!(read(r#"{"some": 3, "perhaps": null}"#), Some(Numbers { some: 3, perhaps: None }));
        for bad in ["3.5", "-1", "4294967296", "4294967296.0", "1e300", "\"3\"", "null", "true", "[3]"] {
            assert_eq!(read(&format!(r#"{{"some": {bad}}}"#)), None, "{bad}");
        }
    }
}
