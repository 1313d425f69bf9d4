//! Time limits that hold on a busy machine, too: a control runs beside what is timed.

use std::time::{Duration, Instant};

use reqwest::Method;

use crate::Client;

/// The pause between two requests of the control.
const PAUSE: Duration = Duration::from_millis(5);
/// How many requests of the control an operation may take longer than its limit, but at most half of the limit: on no
/// machine may the slow way pass for the fast one.
const CONTROLS: u32 = 10;

/// How long an operation took, and how long the control beside it.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The duration of the operation.
    pub took: Duration,
    /// The slowest request of the control: a liveness probe of the same gateway, which waits for nothing but the
    /// machine.
    pub control: Duration,
}

impl Timing {
    /// Asserts that the operation took at most `limit`, and what the machine itself costs at the moment.
    #[track_caller]
    pub fn assert_within(&self, limit: Duration, what: &str) {
        let allowance = (self.control * CONTROLS).min(limit / 2);
        assert!(self.took < limit + allowance, "{what}: {self:?}, the limit is {limit:?}");
    }
}

/// Runs an operation with the control beside it.
pub async fn timed<T>(client: &Client, operation: impl Future<Output = T>) -> (T, Timing) {
    let mut control = Duration::ZERO;
    let probe = async {
        loop {
            let begun = Instant::now();
            client.admin(Method::GET, "/health/live", None).await;
            control = control.max(begun.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
    };
    let begun = Instant::now();
    tokio::select! {
        biased;
        result = async { let result = operation.await; (result, begun.elapsed()) } => {
            let (result, took) = result;
            (result, Timing { took, control })
        }
        () = probe => unreachable!("the control never ends"),
    }
}
