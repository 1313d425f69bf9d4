//! `load baseline`: the cost of HTTP alone. The server uses the same crates, allocator and runtime as the
//! gateway and sends a constant response of the same shape to the same request: no gateway can be faster on
//! this machine.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;

/// The text that the program prints before its address when it listens.
pub const LISTENING: &str = "listening on ";

/// A 202 of the gateway.
const ACCEPTED: &str = r#"{"order_id":"01890a5d-ac96-774b-bcce-b302099a8057","sale_id":"bench-19aa-7d0","status":"processing","sequence":123456,"message":"Your order was accepted and is being recorded.","subtotal":10000,"discount":0,"delivery_fee":3000,"total":13000,"currency":"KRW","hold_expires_at":"2026-01-31T09:00:00.000Z","estimated_processing_ms":200,"status_url":"/v1/sales/bench-19aa-7d0/orders/01890a5d-ac96-774b-bcce-b302099a8057/status","events_url":"/v1/sales/bench-19aa-7d0/orders/01890a5d-ac96-774b-bcce-b302099a8057/events","websocket_url":"/v1/sales/bench-19aa-7d0/orders/01890a5d-ac96-774b-bcce-b302099a8057/ws"}"#;

/// The address of the server.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Address to listen on; port 0 selects a free port, which is printed.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Exit when standard input is closed, which is when the parent process exits.
    #[arg(long)]
    pub until_stdin_ends: bool,
}

/// Serves until Ctrl-C, or until standard input is closed if requested.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind(arguments.listen).await.context("listening")?;
    println!("{LISTENING}{}", listener.local_addr()?);
    tokio::select! {
        result = serve(listener) => result?,
        () = stdin_closed(), if arguments.until_stdin_ends => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn stdin_closed() {
    let (sender, closed) = tokio::sync::oneshot::channel();
    // A detached thread, because a read of standard input cannot be cancelled.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = sender.send(());
    });
    let _ = closed.await;
}

/// Serves until the listener fails.
pub async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            // A client that disconnects is not an error of the server.
            let _ = builder.serve_connection(TokioIo::new(stream), service_fn(respond)).await;
        });
    }
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // The complete body is read, as every gateway must.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(Bytes::from_static(ACCEPTED.as_bytes())));
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use customers::http::Connection;
    use customers::request;
    use customers::response::Response as OrderResponse;

    #[tokio::test]
    async fn the_baseline_responds_like_a_gateway() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener));
        let mut connection = Connection::open(address).await.unwrap();
        for _ in 0..2 {
            let head = connection.call(&request::order("h", "s", "c", "k", "{}")).await.unwrap();
            let response = OrderResponse::parse(head.status, head.replayed, None, connection.body());
            assert!(response.is_accepted() && response.total == Some(13_000), "{response:?}");
        }
        server.abort();
    }
}
