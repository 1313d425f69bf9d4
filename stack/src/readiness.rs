//! Whether a server responds on its port with its protocol. An open port proves little: a server may accept connections
//! before it serves them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest time for a connection, and for each read of a response.
const TIMEOUT: Duration = Duration::from_secs(2);
/// More bytes of a response are never needed.
const RESPONSE_BYTES_MAX: usize = 1024;

/// The protocol of a server, with the request that shows whether it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Returns status 200 for this path.
    Http(&'static str),
    /// Replies to PING.
    Redis,
    /// Is a node of a Redis Cluster that serves all slots.
    RedisCluster,
    /// Accepts a session of the user `postgres`.
    Postgres,
    /// Responds to ApiVersions, which a broker does once it serves clients.
    Kafka,
    /// Sends the greeting of an SMTP server.
    Smtp,
    /// Accepts a connection, with any protocol.
    Tcp,
}

/// The request ApiVersions, version 0, from a client without a name, with its length in front.
const API_VERSIONS: &[u8] = b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff";
/// The startup message of protocol 3.0, with its length in front.
const POSTGRES_STARTUP: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";

impl Protocol {
    /// The readiness probe of our own programs.
    pub const HEALTH: Self = Self::Http("/health/ready");

    /// Returns whether the server at an address is ready. Blocks for at most a few seconds.
    pub fn is_ready(self, address: SocketAddr) -> bool {
        self.probe(address).unwrap_or(false)
    }

    fn probe(self, address: SocketAddr) -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(&self.request(address))?;
        let mut response = Vec::new();
        let mut chunk = [0; RESPONSE_BYTES_MAX];
        while !self.accepts(&response) && response.len() < RESPONSE_BYTES_MAX {
            match stream.read(&mut chunk)? {
                0 => return Ok(false),
                bytes => response.extend_from_slice(&chunk[..bytes]),
            }
        }
        Ok(self.accepts(&response))
    }

    fn request(self, address: SocketAddr) -> Vec<u8> {
        match self {
            Self::Http(path) => {
                format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").into_bytes()
            }
            Self::Redis => b"PING\r\n".to_vec(),
            Self::RedisCluster => b"CLUSTER INFO\r\n".to_vec(),
            Self::Postgres => POSTGRES_STARTUP.to_vec(),
            Self::Kafka => API_VERSIONS.to_vec(),
            Self::Smtp | Self::Tcp => vec![],
        }
    }

    fn accepts(self, response: &[u8]) -> bool {
        match self {
            Self::Http(_) => response.starts_with(b"HTTP/1.1 200") || response.starts_with(b"HTTP/1.0 200"),
            Self::Redis => response.starts_with(b"+PONG"),
            Self::RedisCluster => response.windows(16).any(|part| part == b"cluster_state:ok"),
            Self::Postgres => response.first() == Some(&b'R'),
            Self::Kafka => !response.is_empty(),
            Self::Smtp => response.starts_with(b"220"),
            Self::Tcp => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Serves one connection with a fixed response, and closes it.
    fn responds(protocol: Protocol, response: &'static [u8]) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            if protocol != Protocol::Smtp {
                assert!(stream.read(&mut [0; 256]).unwrap() > 0, "the request");
            }
            stream.write_all(response).unwrap();
        });
        let ready = protocol.is_ready(address);
        serving.join().unwrap();
        ready
    }

    #[test]
    fn a_server_is_ready_when_it_responds_with_its_protocol() {
        assert!(responds(Protocol::HEALTH, b"HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!responds(Protocol::HEALTH, b"HTTP/1.1 503 Service Unavailable\r\n\r\n"));
        assert!(responds(Protocol::Redis, b"+PONG\r\n"));
        assert!(!responds(Protocol::Redis, b"-LOADING Redis is loading the dataset in memory\r\n"));
        assert!(responds(Protocol::RedisCluster, b"$20\r\ncluster_state:ok\r\n"));
        assert!(!responds(Protocol::RedisCluster, b"$20\r\ncluster_state:fail\r\n"));
        assert!(responds(Protocol::Postgres, b"R\0\0\0\x08\0\0\0\0"));
        assert!(!responds(Protocol::Postgres, b"E\0\0\0\x10SFATAL\0"));
        assert!(responds(Protocol::Kafka, b"\0\0\0\x10"));
        assert!(!responds(Protocol::Kafka, b""));
        assert!(responds(Protocol::Smtp, b"220 ready\r\n"));
        assert!(!responds(Protocol::Smtp, b"421 busy\r\n"));
        assert!(!Protocol::Kafka.is_ready(crate::ports::claim().unwrap()), "no server");
        let length = u32::from_be_bytes(POSTGRES_STARTUP[..4].try_into().unwrap());
        assert_eq!(length as usize, POSTGRES_STARTUP.len());
    }
}
