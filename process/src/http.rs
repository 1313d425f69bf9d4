//! Accepting connections within limits, and draining them at shutdown.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A request's head must have arrived by then.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A request's head in bytes, at most; hyper has no limit on the number of headers.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Requests at once on one h2c connection.
const STREAMS_MAX: u32 = 256;
/// After an error of accept (no file descriptors left), a pause instead of a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// At shutdown, connections have this long to finish.
const DRAIN: Duration = Duration::from_secs(6);

/// Serves HTTP/1.1 and h2c until `stop`, then lets open connections finish. `connections_max`: further
/// ones wait in the kernel's queue.
pub async fn serve<H, F>(listener: TcpListener, connections_max: usize, handler: H, stop: CancellationToken)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
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
        let _ = stream.set_nodelay(true); // slower without it, not wrong
        let handler = handler.clone();
        let service = service_fn(move |request| {
            let answer = handler(request);
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            let _ = watched.await; // a client that hung up or spoke nonsense is not our error
            drop(place);
        });
    }
    drop(listener);
    crate::shutdown::finish("open connections", DRAIN, graceful.shutdown()).await;
}
