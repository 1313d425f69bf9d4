//! Decodes a value and ignores members that its type does not have, although the type refuses them in requests.

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// Decodes a value without the members of objects that its types do not have.
pub(super) fn decode<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    decode_value(serde_json::from_slice(json)?)
}

/// Decodes a parsed value in the same way.
pub(super) fn decode_value<T: DeserializeOwned>(json: Value) -> Result<T, Error> {
    T::deserialize(Tolerant(json))
}

/// JSON from which each type takes only its own members.
struct Tolerant(Value);

impl IntoDeserializer<'_, Error> for Tolerant {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Tolerant {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(elements) => {
                let mut sequence = SeqDeserializer::new(elements.into_iter().map(Tolerant));
                let value = visitor.visit_seq(&mut sequence)?;
                sequence.end().map(|()| value)
            }
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, value)| (name, Self(value)));
                visitor.visit_map(MapDeserializer::new(members))
            }
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Value::Object(members) = &mut self.0 {
            members.retain(|name, _| fields.contains(&name.as_str()));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Object(members) => {
                let members = members.into_iter().map(|(name, value)| (name, Self(value)));
                visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(members)))
            }
            variant => variant.deserialize_enum(name, variants, visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        name: String,
        inner: Option<Inner>,
        list: Vec<Inner>,
        action: Action,
        plain: Action,
        pair: (Identifier, bool),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        number: u64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Action {
        Plain,
        With(Inner),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Identifier(String);

    #[test]
    fn unknown_members_are_ignored_at_every_depth_and_known_ones_stay_strict() {
        let mut json = json!({
            "name": "n", "new": 1, "inner": { "number": 1, "new": 1 },
            "list": [{ "number": 2, "new": { "number": 3 } }, { "number": 4 }],
            "action": { "with": { "number": 5, "new": [] } }, "plain": "plain", "pair": ["id", true],
        });
        let expected = Outer {
            name: "n".into(),
            inner: Some(Inner { number: 1 }),
            list: vec![Inner { number: 2 }, Inner { number: 4 }],
            action: Action::With(Inner { number: 5 }),
            plain: Action::Plain,
            pair: (Identifier("id".into()), true),
        };
        let decode = |json: &Value| decode::<Outer>(json.to_string().as_bytes());
        assert_eq!(decode(&json).unwrap(), expected);
        json["inner"] = Value::Null;
        assert_eq!(decode(&json).unwrap().inner, None);
        for wrong in [json!("text"), json!({ "new": 1 }), json!({ "number": -1 })] {
            json["inner"] = wrong.clone();
            assert!(decode(&json).is_err(), "{wrong}");
        }
    }
}
