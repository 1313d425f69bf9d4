//! What the gateway's metrics mean.

use process::metric_help::Metric;
use process::metrics_list;

/// The gateway's own.
pub const METRICS: &[Metric] = metrics_list! {
    Histogram "gateway_accepted_seconds" [""] "From an order's arrival to its 202. Refusals are not in it: they are quick.";
    Counter "gateway_faults_total" [""] "Answers 500 `internal_error`.";
    Counter "gateway_handoff_failures_total" ["kind"] "Batches that were reserved in Redis and not acknowledged by the log under a valid lease.";
    Histogram "gateway_handoff_seconds" [""] "From a batch's reservation to the log's acknowledgement.";
    Gauge "gateway_lease_seconds_left" [""] "For how long the gateway may act on what it has read of the sales.";
    Gauge "gateway_queue_depth" ["sale"] "Orders that wait for the script.";
    Counter "gateway_requests_total" ["route,outcome"] "Answers: the outcome is `ok`, `accepted`, `replayed`, or a problem's code.";
    Histogram "gateway_request_seconds" ["route"] "From a request's arrival to its answer.";
    Histogram "gateway_reserve_batch_size" [""] "Orders in a script call.";
    Histogram "gateway_reserve_seconds" [""] "What a script call takes.";
    Counter "gateway_shed_total" ["reason"] "Orders that were refused before anything was tried.";
    Counter "live_update_events_total" [""] "Changes that were read for those who follow orders.";
    Gauge "live_update_streams" [""] "Streams of live updates that are open.";
    Counter "live_update_streams_ended_total" ["reason"] "Streams of live updates that have ended.";
};
