//! Accepting connections within limits, and draining them at shutdown.
//!
//! An answer whose length is not known is a stream, and may last for hours. Its connection serves nothing
//! else (HTTP/1.1) and gives back its place, as one that is upgraded does: streams have limits of their own,
//! and however many there are, as many ordinary connections fit as without them.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// A request's head must have arrived by then.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A request's head in bytes, at most; hyper has no limit on the number of headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Requests at once on one h2c connection.
const STREAMS_MAX: u32 = 256;
/// After an error of accept (no file descriptors left), a pause instead of a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A client that takes nothing of what it was sent for so long is gone, whatever its host says.
const UNTAKEN_MAX: Duration = Duration::from_secs(60);
/// At shutdown, connections have this long to finish.
const DRAIN: Duration = Duration::from_secs(6);

/// Serves HTTP/1.1 and h2c until `stop`, then lets open connections finish. `connections_max`: further
/// ones wait in the kernel's queue.
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
    let places = Arc::new(Semaphore::new(connections_max));
    let graceful = GracefulShutdown::new();

    while let Some(Ok(place)) = stop.run_until_cancelled(places.clone().acquire_owned()).await {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        tune(&stream);
        let handler = handler.clone();
        let place = Arc::new(Place(Mutex::new(Some(place))));
        let service = service_fn(move |request| {
            let (version, place) = (request.version(), place.clone());
            // Not an async block: a connection keeps room for this future, and a block would hold it twice.
            handler(request).map(move |answer| {
                Ok::<_, std::convert::Infallible>(place.kept_unless_stream(version, answer))
            })
        });
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        // A client that hung up or spoke nonsense is not our error.
        tokio::spawn(async move { drop(watched.await) });
    }
    drop(listener);
    crate::shutdown::finish("open connections", DRAIN, graceful.shutdown()).await;
}

/// Slower without it, or longer until a dead client is noticed; not wrong.
fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, UNTAKEN_MAX.as_millis() as u32);
}

/// A connection's place among `connections_max`; free again when the connection ends.
struct Place(Mutex<Option<OwnedSemaphorePermit>>);

impl Place {
    fn kept_unless_stream<B: Body>(&self, version: Version, mut answer: Response<B>) -> Response<B> {
        // A connection of HTTP/2 has other requests beside this one.
        if answer.body().size_hint().exact().is_none() && version <= Version::HTTP_11 {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
        answer
    }
}
