//! Reading the packed replies of the scripts: big-endian numbers in as few bytes as they need.

use crate::redis::{Redis, RedisError};

/// A reply being read from its beginning.
pub struct ReplyReader<'a> {
    bytes: &'a [u8],
    script: &'static str,
}

/// What every script of an epoch may answer instead of doing its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// This Redis does not hold the state that the script was loaded for. Nothing was written.
    Lost,
    /// The deadline had passed. Nothing was written.
    Late,
}

impl<'a> ReplyReader<'a> {
    /// Of a reply of the named script.
    pub fn new(bytes: &'a [u8], script: &'static str) -> Self {
        Self { bytes, script }
    }
    /// What all replies begin with: a code, and Redis TIME in milliseconds, which the connection remembers.
    pub fn begin(&mut self, redis: &Redis) -> Result<Result<(u8, u64), Rejection>, RedisError> {
        let (code, now) = (self.code()?, self.number(6)?);
        redis.observe_time(now);
        Ok(match code {
            b'L' => Err(Rejection::Lost),
            b'T' => Err(Rejection::Late),
            code => Ok((code, now)),
        })
    }
    /// Bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }
    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], RedisError> {
        let (taken, rest) = self.bytes.split_at_checked(n).ok_or(RedisError::UnexpectedReply(self.script))?;
        self.bytes = rest;
        Ok(taken)
    }
    /// The next number, of `n` bytes.
    pub fn number(&mut self, n: usize) -> Result<u64, RedisError> {
        Ok(self.take(n)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
    /// The next byte.
    pub fn code(&mut self) -> Result<u8, RedisError> {
        Ok(self.take(1)?[0])
    }
    /// The reply is not what its contract says.
    pub fn unexpected(&self) -> RedisError {
        RedisError::UnexpectedReply(self.script)
    }
}
