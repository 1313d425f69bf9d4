//! Decoding of the scripts' packed replies, in which big-endian numbers take as few bytes as they need.

use crate::redis::{Redis, RedisError};

/// A reader that decodes a reply from its beginning.
pub struct ReplyReader<'a> {
    bytes: &'a [u8],
    script: &'static str,
}

/// The reason why a script of an epoch did not do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// This Redis does not have the state that the script was loaded for. Nothing was written.
    Lost,
    /// The deadline had passed. Nothing was written.
    Late,
}

impl<'a> ReplyReader<'a> {
    /// Creates a reader of a reply of the named script.
    pub fn new(bytes: &'a [u8], script: &'static str) -> Self {
        Self { bytes, script }
    }
    /// Reads the beginning of all replies: a code and Redis TIME in milliseconds, which the connection records.
    pub fn begin(&mut self, redis: &Redis) -> Result<Result<(u8, u64), Rejection>, RedisError> {
        let (code, now) = (self.code()?, self.number(6)?);
        redis.observe_time(now);
        Ok(match code {
            b'L' => Err(Rejection::Lost),
            b'T' => Err(Rejection::Late),
            code => Ok((code, now)),
        })
    }
    /// Returns the remaining bytes.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }
    /// Reads the next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], RedisError> {
        let (bytes, rest) = self.bytes.split_at_checked(n).ok_or(RedisError::UnexpectedReply(self.script))?;
        self.bytes = rest;
        Ok(bytes)
    }
    /// Reads the next number, which has `n` bytes.
    pub fn number(&mut self, n: usize) -> Result<u64, RedisError> {
        Ok(self.bytes(n)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
    /// Reads the next byte.
    pub fn code(&mut self) -> Result<u8, RedisError> {
        Ok(self.bytes(1)?[0])
    }
    /// Returns the error for a reply that violates its contract.
    pub fn unexpected(&self) -> RedisError {
        RedisError::UnexpectedReply(self.script)
    }
}
