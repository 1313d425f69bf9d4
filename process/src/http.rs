//! The HTTP server: it accepts connections within limits and drains them at shutdown.
//!
//! A response of unknown length is a stream, which may last for hours. Its connection serves no other request
//! (HTTP/1.1) and releases its permit, like an upgraded connection: streams have limits of their own, and do not
//! reduce the number of ordinary connections.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The timeout for receiving a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of a request's head, in bytes. hyper does not limit the number of headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The maximum number of concurrent requests on one h2c connection.
const STREAMS_MAX: u32 = 256;
/// The pause after an error of `accept` (for example no file descriptors left), which avoids a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long sent data may remain unacknowledged. A client that acknowledges nothing for this long is considered gone.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);
/// How long open connections may take to finish at shutdown.
const DRAIN: Duration = Duration::from_secs(6);

/// Serves HTTP/1.1 and h2c until `stop` is cancelled, then lets open connections finish. Connections beyond
/// `connections_max` wait in the kernel's backlog.
pub async fn serve<H, F, B>(
    listener: TcpListener,
    connections_max: usize,
    handler: H,
    stop: CancellationToken,
) where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .pipeline_flush(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(Some(Duration::from_secs(20)));
    let builder = Arc::new(builder);
    let permits = Arc::new(Semaphore::new(connections_max));
    let graceful = GracefulShutdown::new();

    while let Some(Ok(permit)) = stop.run_until_cancelled(permits.clone().acquire_owned()).await {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        tune(&stream);
        let handler = handler.clone();
        let permit = Arc::new(ConnectionPermit(Mutex::new(Some(permit))));
        let service = service_fn(move |request| {
            let (version, permit) = (request.version(), permit.clone());
            // Not an async block, which would store the handler's future twice in each connection's memory.
            handler(request).map(move |response| {
                Ok::<_, std::convert::Infallible>(permit.release_if_stream(version, response))
            })
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        // A client that disconnects or sends invalid HTTP is not an error of the server.
        tokio::spawn(async move { drop(watched.await) });
    }
    drop(listener);
    crate::shutdown::finish("open connections", DRAIN, graceful.shutdown()).await;
}

/// Sets socket options. Without them the connection is slower, or a dead client is detected later, so errors are
/// ignored.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MAX.as_millis() as u32);
}

/// A connection's permit out of `connections_max`, which is released when the connection ends.
struct ConnectionPermit(Mutex<Option<OwnedSemaphorePermit>>);

impl ConnectionPermit {
    /// Releases the permit early if the response is a stream.
    fn release_if_stream<B: Body>(&self, version: Version, mut response: Response<B>) -> Response<B> {
        // An HTTP/2 connection serves other requests concurrently.
        if response.body().size_hint().exact().is_none() && version <= Version::HTTP_11 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            drop(self.0.lock().take());
        }
        response
    }
}
