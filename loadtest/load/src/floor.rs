//! `loadtest floor`: what HTTP alone costs. The same crates, allocator and runtime as the gateway's, the
//! same request, and a constant answer of the same shape: no gateway can be faster on this machine.

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

/// What the program prints, before its address, once it listens.
pub const LISTENING: &str = "listening on ";

/// A 202 as the gateway gives it.
const ACCEPTED: &str = r#"{"order_id":"01890a5d-ac96-774b-bcce-b302099a8057","sale_id":"bench-19aa-7d0","status":"processing","sequence":123456,"message":"Your order was accepted and is being recorded.","subtotal":10000,"discount":0,"delivery_fee":3000,"total":13000,"currency":"KRW","hold_expires_at":"2026-01-31T09:00:00.000Z","estimated_processing_ms":200,"status_url":"/v1/sales/bench-19aa-7d0/orders/01890a5d-ac96-774b-bcce-b302099a8057/status","events_url":"/v1/sales/bench-19aa-7d0/orders/01890a5d-ac96-774b-bcce-b302099a8057/events","websocket_url":"/v1/sales/bench-19aa-7d0/orders/01890a5d-ac96-774b-bcce-b302099a8057/ws"}"#;

/// Where it listens.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Address to listen on; port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// End when standard input ends, that is, with the process that started this one.
    #[arg(long)]
    pub until_stdin_ends: bool,
}

/// Serves until it is told to end.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind(arguments.listen).await.context("listening")?;
    println!("{LISTENING}{}", listener.local_addr()?);
    tokio::select! {
        result = serve(listener) => result?,
        () = stdin_ends(), if arguments.until_stdin_ends => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn stdin_ends() {
    let (ended, end) = tokio::sync::oneshot::channel();
    // A thread that nobody waits for: a read of standard input cannot be given up.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    let _ = end.await;
}

/// Serves until the listener fails.
pub async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            // A client that leaves is no fault of a floor.
            let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    // The body is read whole, as any gateway must.
    let _ = request.into_body().collect().await;
    let mut response = Response::new(Full::new(Bytes::from_static(ACCEPTED.as_bytes())));
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use customers::answer::Answer;
    use customers::http::Connection;
    use customers::request;

    #[tokio::test]
    async fn the_floor_answers_like_a_gateway() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener));
        let mut connection = Connection::open(address).await.unwrap();
        for _ in 0..2 {
            let head = connection.call(&request::order("h", "s", "c", "k", "{}")).await.unwrap();
            let answer = Answer::parse(head.status, head.replayed, None, connection.body());
            assert!(answer.is_accepted() && answer.total == Some(13_000), "{answer:?}");
        }
        server.abort();
    }
}
