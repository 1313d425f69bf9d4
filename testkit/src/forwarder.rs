//! A way to a service that can be cut, and that can hang: connections stay, nothing comes through.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const PIECE_BYTES: usize = 16 * 1024;

/// What the way is like now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Questions go through, answers do not.
    Unanswered,
    Hanging,
    Cut,
}

/// Forwards connections to one address; ends with the value.
pub struct Forwarder {
    address: SocketAddr,
    way: Arc<watch::Sender<Way>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Forwarder {
    /// To a `host:port`.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (way, target) = (Arc::new(watch::channel(Way::Open).0), target.to_string());
        let accepting = tokio::spawn(accept(listener, target, way.clone()));
        Self { address, way, accepting }
    }

    /// To the host of a URL; returns the URL through the forwarder, too.
    pub async fn start_for_url(url: &str) -> (Self, String) {
        let (scheme, rest) = url.split_once("://").expect("a URL");
        let (authority, path) = rest.split_once('/').expect("a URL with a path");
        let (user, target) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
        let this = Self::start(target).await;
        let at = if user.is_empty() { "" } else { "@" };
        let through = format!("{scheme}://{user}{at}{}/{path}", this.address);
        (this, through)
    }

    /// Ends all connections, and every new one at once.
    pub fn cut(&self) {
        self.way.send_replace(Way::Cut);
    }

    /// Lets nothing through; connections stay.
    pub fn hang(&self) {
        self.way.send_replace(Way::Hanging);
    }

    /// Lets questions through, and holds up what comes back.
    pub fn hold_responses(&self) {
        self.way.send_replace(Way::Unanswered);
    }

    /// As at first. What was held up comes through.
    pub fn mend(&self) {
        self.way.send_replace(Way::Open);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, target: String, way: Arc<watch::Sender<Way>>) {
    while let Ok((near, _)) = listener.accept().await {
        if *way.borrow() == Way::Cut {
            continue; // closed at once
        }
        let (target, ways) = (target.clone(), way.subscribe());
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect(target).await else { return };
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            let mut cut = ways.clone();
            tokio::select! {
                () = forward(near_in, far_out, ways.clone(), &[Way::Hanging]) => {}
                () = forward(far_in, near_out, ways, &[Way::Hanging, Way::Unanswered]) => {}
                _ = cut.wait_for(|way| *way == Way::Cut) => {}
            }
        });
    }
}

/// Forwards one direction, except while the way is one that holds it up.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    holds: &[Way],
) {
    let mut piece = vec![0; PIECE_BYTES];
    while let Ok(bytes @ 1..) = from.read(&mut piece).await {
        let open = way.wait_for(|way| !holds.contains(way)).await.is_ok();
        if !open || to.write_all(&piece[..bytes]).await.is_err() {
            return;
        }
    }
}
