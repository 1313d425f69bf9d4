//! A lean reader of one stream: it searches the bytes for a status, with either protocol, and keeps nothing.
//! Ten thousand readers fit on one machine beside the gateway.

use std::net::SocketAddr;

use contract::ids::OrderId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Enough for a few events; bytes that were searched are dropped.
const READ_BYTES: usize = 2048;
/// An empty ping of a server, which arrives alone, and the client's pong (RFC 6455, 5.5).
const PING: [u8; 2] = [0x89, 0];
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];

/// Renders the request for an event stream.
pub(super) fn events(host: &str, sale: &str, customer: &str, order: OrderId) -> String {
    format!(
        "GET /v1/sales/{sale}/orders/{order}/events HTTP/1.1\r\nHost: {host}\r\n\
         Authorization: Bearer dev:{customer}\r\nAccept: text/event-stream\r\n\r\n"
    )
}

/// Renders the request for a WebSocket. The key may be any sixteen bytes; the reader does not verify the
/// response.
pub(super) fn websocket(host: &str, sale: &str, customer: &str, order: OrderId) -> String {
    format!(
        "GET /v1/sales/{sale}/orders/{order}/ws HTTP/1.1\r\nHost: {host}\r\n\
         Authorization: Bearer dev:{customer}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// An open stream.
#[derive(Debug)]
pub(super) struct Reader {
    /// The number of the stream's customer.
    pub(super) customer: usize,
    connection: TcpStream,
}

impl Reader {
    /// Connects and sends the request.
    pub(super) async fn open(customer: usize, gateway: SocketAddr, request: &str) -> anyhow::Result<Self> {
        let mut connection = TcpStream::connect(gateway).await?;
        connection.write_all(request.as_bytes()).await?;
        Ok(Self { customer, connection })
    }

    /// Reads until the order has a status.
    pub(super) async fn wait_for_status(&mut self, status: &str) -> anyhow::Result<()> {
        let wanted = format!("\"status\":\"{status}\"");
        let mut kept = 0;
        let mut buffer = [0; READ_BYTES];
        loop {
            let read = self.connection.read(&mut buffer[kept..]).await?;
            anyhow::ensure!(read > 0, "the stream ended before the order was {status}");
            let text = &buffer[..kept + read];
            if text.windows(wanted.len()).any(|window| window == wanted.as_bytes()) {
                return Ok(());
            }
            let refused = text
                .strip_prefix(b"HTTP/1.1 ")
                .is_some_and(|rest| rest.starts_with(b"4") || rest.starts_with(b"5"));
            anyhow::ensure!(!refused, "{}", String::from_utf8_lossy(text));
            if text[kept..] == PING {
                self.connection.write_all(&PONG).await?;
                continue;
            }
            // A status may be split between two reads.
            let (end, keep) = (text.len(), text.len().min(wanted.len()));
            buffer.copy_within(end - keep..end, 0);
            kept = keep;
        }
    }
}
