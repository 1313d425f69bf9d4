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
    /// Formats an amount for people, with thousands separators and the code: `1,234.56 EUR`. The minor unit is a
    /// hundredth, except in currencies that have none.
    pub fn format_amount(&self, amount: u64) -> String {
        const WITHOUT_MINOR_UNIT: [&str; 5] = ["KRW", "JPY", "VND", "CLP", "ISK"];
        if WITHOUT_MINOR_UNIT.contains(&self.as_str()) {
            format!("{} {self}", thousands(amount))
        } else {
            format!("{}.{:02} {self}", thousands(amount / 100), amount % 100)
        }
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

/// Returns the number with thousands separators, such as `1,234,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn amounts_are_formatted_for_people() {
        let format = |code, amount| Currency::parse(code).map(|currency| currency.format_amount(amount));
        assert_eq!(format("KRW", 1_234_567).as_deref(), Some("1,234,567 KRW"));
        assert_eq!(format("USD", 5).as_deref(), Some("0.05 USD"));
        assert_eq!(format("EUR", 123_456).as_deref(), Some("1,234.56 EUR"));
    }
}
