//! Money is an integer in the currency's minor unit (won, cents) beside its ISO 4217 code.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The largest amount: JSON numbers are exact up to 2^53 - 1, which also fits into seven bytes.
pub const AMOUNT_MAX: u64 = (1 << 53) - 1;

/// An ISO 4217 code: three upper-case letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// South Korean won, whose minor unit is the won itself.
    pub const KRW: Self = Self(*b"KRW");

    /// Parses a code. It checks the format, not whether ISO 4217 lists the code.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 3] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(u8::is_ascii_uppercase).then_some(Self(bytes))
    }
    /// Returns the code as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}
impl std::fmt::Display for Currency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("a currency is an ISO 4217 code such as KRW"))
    }
}
