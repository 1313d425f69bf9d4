//! JSON encoding and decoding of every wire format: records and messages in Kafka, outbox entries in Redis, events,
//! and HTTP bodies.

mod tolerant;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes a value as JSON.
///
/// # Panics
///
/// If the value cannot be serialized, which is a bug: types of wire formats consist of texts, numbers, lists and maps
/// with text keys. The panic ends one request or task. An error value would invite callers to replace it by an empty
/// payload, which would make a whole batch undecodable.
#[expect(clippy::disallowed_methods, reason = "this is the module that the lint refers to")]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Bytes {
    match serde_json::to_vec(value) {
        Ok(json) => json.into(),
        Err(error) => panic!("cannot encode {}: {error}", std::any::type_name::<T>()),
    }
}

/// Encodes a value as JSON text.
///
/// # Panics
///
/// Under the same condition as [`encode`].
#[expect(clippy::disallowed_methods, reason = "this is the module that the lint refers to")]
pub fn encode_text<T: Serialize + ?Sized>(value: &T) -> String {
    match serde_json::to_string(value) {
        Ok(json) => json,
        Err(error) => panic!("cannot encode {}: {error}", std::any::type_name::<T>()),
    }
}

/// Encodes a value as parsed JSON.
///
/// # Panics
///
/// Under the same condition as [`encode`].
pub fn encode_value<T: Serialize + ?Sized>(value: &T) -> serde_json::Value {
    match serde_json::to_value(value) {
        Ok(json) => json,
        Err(error) => panic!("cannot encode {}: {error}", std::any::type_name::<T>()),
    }
}

/// Decodes a value from JSON. Members that this version does not know are ignored, at every depth: a newer version beside
/// this one may write them. A change that an older version must not ignore raises the format's version instead.
pub fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    // Some types refuse unknown members, because they are also the bodies of requests.
    serde_json::from_slice(json)
        .or_else(|error| if error.is_data() { tolerant::decode(json).map_err(|_| error) } else { Err(error) })
}

/// Decodes a value from JSON that is already parsed. Unknown members are ignored as in [`decode`].
pub fn decode_value<T: DeserializeOwned>(json: serde_json::Value) -> Result<T, serde_json::Error> {
    tolerant::decode_value(json)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_value_is_encoded_the_same_as_bytes_and_as_text_and_decoded_again() {
        let value = BTreeMap::from([("a".to_string(), 1)]);
        assert_eq!(encode(&value), r#"{"a":1}"#);
        assert_eq!(encode(&value), encode_text(&value));
        assert_eq!(decode::<BTreeMap<String, i32>>(&encode(&value)).unwrap(), value);
    }

    #[test]
    #[should_panic = "cannot encode alloc::collections::btree::map::BTreeMap<[i32; 1], i32>: key must be a string"]
    fn a_value_that_cannot_be_encoded_panics_with_the_name_of_its_type() {
        encode(&BTreeMap::from([([1], 1)]));
    }
}
