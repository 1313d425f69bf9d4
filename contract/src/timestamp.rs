//! Timestamps in UTC with a precision of milliseconds: RFC 3339 in JSON, milliseconds since 1970 in Redis.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub u64);

/// 9999-12-31T23:59:59.999Z, the latest timestamp that RFC 3339 can express.
const LAST_MS: u64 = 253_402_300_799_999;

impl Timestamp {
    /// Converts a date. Dates outside 1970 to 9999 are clamped.
    pub fn from_datetime(at: OffsetDateTime) -> Self {
        let ms = at.unix_timestamp_nanos() / 1_000_000;
        Self(u64::try_from(ms).unwrap_or(0).min(LAST_MS))
    }
    /// Returns the timestamp as a date in UTC.
    pub fn to_datetime(self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0.min(LAST_MS)) * 1_000_000)
            .unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
    /// Returns the timestamp plus a number of seconds.
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)).min(LAST_MS))
    }
    /// Parses an RFC 3339 date with any offset.
    pub fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().map(Self::from_datetime)
    }
}

// Formatted by hand: it runs several times per order, and the general formatter takes ten times as long.
impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.to_datetime();
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let fields: [(usize, usize, u32); 7] = [
            (0, 4, at.year().unsigned_abs()),
            (5, 2, u8::from(at.month()).into()),
            (8, 2, at.day().into()),
            (11, 2, at.hour().into()),
            (14, 2, at.minute().into()),
            (17, 2, at.second().into()),
            (20, 3, at.millisecond().into()),
        ];
        for (begin, digits, mut number) in fields {
            for digit in text[begin..begin + digits].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| std::fmt::Error)?)
    }
}
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("a time must be written like 2026-01-31T09:00:00Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn a_timestamp_is_formatted_in_utc_with_milliseconds() {
        let at = Timestamp::parse("2026-01-31T18:00:00.5+09:00").unwrap();
        assert_eq!(at.to_string(), "2026-01-31T09:00:00.500Z");
        assert_eq!(Timestamp::parse(&at.to_string()), Some(at));
        assert_eq!(Timestamp::parse("yesterday"), None);
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_001, "2000-02-29T00:00:00.001Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp(ms).to_string(), text);
        }
    }
}
