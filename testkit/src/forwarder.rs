//! A TCP proxy to a service, which can disconnect all clients, or hang: connections stay open, but nothing passes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const CHUNK_BYTES: usize = 16 * 1024;

/// The state of the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ForwarderState {
    Open,
    /// Requests pass, responses do not.
    ResponsesHeld,
    Hanging,
    Cut,
}

/// The states in which responses do not pass.
const RESPONSE_HOLDS: &[ForwarderState] = &[ForwarderState::Hanging, ForwarderState::ResponsesHeld];

/// Forwards connections to one address until it is dropped.
pub struct Forwarder {
    address: SocketAddr,
    state: Arc<watch::Sender<ForwarderState>>,
    counts: Arc<Counts>,
    accepting: tokio::task::JoinHandle<()>,
}

/// What the proxy has kept from passing since its start.
#[derive(Debug, Default)]
struct Counts {
    refused: AtomicUsize,
    held: AtomicUsize,
}

impl Forwarder {
    /// Starts a proxy to `host:port`.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (state, target) = (Arc::new(watch::channel(ForwarderState::Open).0), target.to_string());
        let counts = Arc::new(Counts::default());
        let accepting = tokio::spawn(accept(listener, target, state.clone(), counts.clone()));
        Self { address, state, counts, accepting }
    }

    /// Starts a proxy to the host of a URL. Also returns the URL through the proxy.
    pub async fn start_for_url(url: &str) -> (Self, String) {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (authority, path) = rest.split_once('/').expect("a URL with a path");
        let (user, target) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
        let this = Self::start(target).await;
        let at = if user.is_empty() { "" } else { "@" };
        let through = format!("{scheme}://{user}{at}{}/{path}", this.address);
        (this, through)
    }

    /// Closes all connections, and every new one immediately.
    pub fn cut(&self) {
        self.state.send_replace(ForwarderState::Cut);
    }

    /// Forwards nothing; connections stay open.
    pub fn hang(&self) {
        self.state.send_replace(ForwarderState::Hanging);
    }

    /// Forwards requests, and holds responses back.
    pub fn hold_responses(&self) {
        self.state.send_replace(ForwarderState::ResponsesHeld);
    }

    /// Returns how many connections have been closed immediately so far.
    pub fn refused_connections(&self) -> usize {
        self.counts.refused.load(Ordering::Relaxed)
    }

    /// Returns how many chunks of data have been held back so far.
    pub fn held_chunks(&self) -> usize {
        self.counts.held.load(Ordering::Relaxed)
    }

    /// Restores normal forwarding. Held data is delivered.
    pub fn mend(&self) {
        self.state.send_replace(ForwarderState::Open);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(
    listener: TcpListener,
    target: String,
    state: Arc<watch::Sender<ForwarderState>>,
    counts: Arc<Counts>,
) {
    while let Ok((near, _)) = listener.accept().await {
        if *state.borrow() == ForwarderState::Cut {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            continue; // dropping `near` closes it
        }
        let (target, states, counts) = (target.clone(), state.subscribe(), counts.clone());
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect(target).await else { return };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            let mut cut = states.clone();
            tokio::select! {
                () = forward(near_in, far_out, states.clone(), &[ForwarderState::Hanging], &counts.held) => {}
                () = forward(far_in, near_out, states, RESPONSE_HOLDS, &counts.held) => {}
                _ = cut.wait_for(|state| *state == ForwarderState::Cut) => {}
            }
        });
    }
}

/// Forwards one direction, except in the states in `holds`.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<ForwarderState>,
    holds: &[ForwarderState],
    held: &AtomicUsize,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(bytes @ 1..) = from.read(&mut chunk).await {
        if holds.contains(&state.borrow()) {
            held.fetch_add(1, Ordering::Relaxed);
        }
        let open = state.wait_for(|state| !holds.contains(state)).await.is_ok();
        if !open || to.write_all(&chunk[..bytes]).await.is_err() {
            return;
        }
    }
}
