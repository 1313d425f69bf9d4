//! A lean HTTP/1.1 client: one connection, one request at a time, no allocation per response.
//!
//! The load shares the machine with the servers that it measures, so every microsecond spent here is taken
//! from them. Requests are already rendered as bytes, and only the headers that our clients act on are
//! parsed. The client requires a `Content-Length` in responses, which our servers send.

use std::io;
use std::net::SocketAddr;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest head and body accepted: a metrics page is shorter, a runaway response is not.
pub const RESPONSE_BYTES_MAX: usize = 16 * 1024 * 1024;
const BUFFER_BYTES: usize = 8 * 1024;

/// An `http://host:port` address, resolved once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The value of the `Host` header.
    pub host: String,
    /// The address to connect to.
    pub address: SocketAddr,
}

impl Authority {
    /// Resolves the host name of a URL that has no path.
    pub fn resolve(url: &str) -> io::Result<Self> {
        let bad = || io::Error::new(io::ErrorKind::InvalidInput, format!("{url}: expected http://host:port"));
        let host = url.strip_prefix("http://").ok_or_else(bad)?.trim_end_matches('/');
        if host.is_empty() || host.contains('/') {
            return Err(bad());
        }
        let target = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let address = std::net::ToSocketAddrs::to_socket_addrs(&target)?.next().ok_or_else(bad)?;
        Ok(Self { host: host.to_owned(), address })
    }

    /// Resolves the URLs of all gateways.
    pub fn resolve_all(urls: &[String]) -> anyhow::Result<Vec<Self>> {
        urls.iter().map(|url| Self::resolve(url).with_context(|| format!("gateway {url}"))).collect()
    }
}

/// The head of a response; [`Connection::body`] returns the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// `Retry-After` in whole seconds.
    pub retry_after_seconds: Option<u32>,
    /// Whether the response has `Idempotency-Replayed: true`.
    pub replayed: bool,
    /// Whether the server closes the connection after this response.
    pub close: bool,
    length: usize,
}

/// A keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    body: std::ops::Range<usize>,
}

impl Connection {
    /// Connects, with Nagle's algorithm disabled.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(BUFFER_BYTES), body: 0..0 })
    }

    /// Sends a request without waiting for the response, as a client does that hangs up afterwards.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await
    }

    /// Sends a request and reads the response. After an error the connection must not be used again.
    pub async fn call(&mut self, request: &[u8]) -> io::Result<Head> {
        self.send(request).await?;
        self.receive().await
    }

    /// Reads one response.
    pub async fn receive(&mut self) -> io::Result<Head> {
        self.buffer.clear();
        self.body = 0..0;
        let mut searched = 0usize;
        let head_end = loop {
            self.fill().await?;
            let from = searched.saturating_sub(3);
            match self.buffer[from..].windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break from + at + 4,
                None => searched = self.buffer.len(),
            }
        };
        let head = parse_head(&self.buffer[..head_end])?;
        let end = head_end + head.length;
        if end > RESPONSE_BYTES_MAX {
            return Err(malformed("the response is too long"));
        }
        while self.buffer.len() < end {
            self.fill().await?;
        }
        if self.buffer.len() > end {
            return Err(malformed("more bytes than Content-Length"));
        }
        self.body = head_end..end;
        Ok(head)
    }

    /// Returns the body of the last response.
    pub fn body(&self) -> &[u8] {
        &self.buffer[self.body.clone()]
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.buffer.len() > RESPONSE_BYTES_MAX {
            return Err(malformed("the response is too long"));
        }
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        Ok(())
    }
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Parses the status line and the headers that our clients act on.
pub fn parse_head(bytes: &[u8]) -> io::Result<Head> {
    let rest = bytes.strip_prefix(b"HTTP/1.").ok_or_else(|| malformed("not an HTTP/1 response"))?;
    let digits = rest.get(2..5).ok_or_else(|| malformed("no status"))?;
    let status = number(digits).ok_or_else(|| malformed("the status is not a number"))?;
    let mut head = Head { status: status as u16, ..Head::default() };
    let mut length = None;
    for line in bytes.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        // The length of the name alone rules out most headers.
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                length = Some(number(value).ok_or_else(|| malformed("bad Content-Length"))? as usize);
            }
            11 if name.eq_ignore_ascii_case(b"retry-after") => {
                head.retry_after_seconds = number(value).map(|seconds| seconds as u32);
            }
            20 if name.eq_ignore_ascii_case(b"idempotency-replayed") => head.replayed = value == b"true",
            10 if name.eq_ignore_ascii_case(b"connection") => {
                head.close = value.eq_ignore_ascii_case(b"close");
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                return Err(malformed("Transfer-Encoding is not supported"));
            }
            _ => {}
        }
    }
    let bodyless = matches!(head.status, 204 | 304);
    head.length = match length {
        Some(length) => length,
        None if bodyless => 0,
        None => return Err(malformed("no Content-Length")),
    };
    if bodyless {
        head.length = 0;
    }
    Ok(head)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |n, byte| byte.is_ascii_digit().then(|| n * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn the_headers_that_a_client_acts_on_are_parsed() {
        let head = parse_head(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n\
              retry-after: 2\r\nCONTENT-LENGTH: 17\r\nIdempotency-Replayed: true\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
        assert_eq!(
            head,
            Head { status: 503, retry_after_seconds: Some(2), replayed: true, close: true, length: 17 }
        );
        for bad in
            [&b"HTTP/2 200\r\n\r\n"[..], b"HTTP/1.1 2x0 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1"]
        {
            assert!(parse_head(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(parse_head(b"HTTP/1.1 304 Not Modified\r\n\r\n").unwrap().length, 0);
    }

    #[tokio::test]
    async fn a_response_that_arrives_byte_by_byte_is_read_completely() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 64];
            for body in ["hello", "a second response"] {
                let read = stream.read(&mut buffer).await.unwrap();
                assert_eq!(&buffer[..read], b"PING");
                let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                for byte in response.as_bytes() {
                    stream.write_all(&[*byte]).await.unwrap();
                    stream.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut connection = Connection::open(address).await.unwrap();
        for body in ["hello", "a second response"] {
            assert_eq!(connection.call(b"PING").await.unwrap().status, 200);
            assert_eq!(connection.body(), body.as_bytes());
        }
        server.await.unwrap();
        let error = connection.call(b"PING").await.unwrap_err();
        assert!(
            matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
            ),
            "{error}"
        );
    }

    #[test]
    fn only_plain_http_addresses_resolve() {
        assert_eq!(Authority::resolve("http://127.0.0.1:8080/").unwrap().host, "127.0.0.1:8080");
        for bad in ["https://127.0.0.1:1", "127.0.0.1:8080", "http://", "http://127.0.0.1:1/x"] {
            assert!(Authority::resolve(bad).is_err(), "{bad}");
        }
    }
}
