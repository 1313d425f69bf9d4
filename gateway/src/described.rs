//! The help texts of the gateway's metrics.

use process::metric_help::Metric;
use process::metrics_list;

/// The metrics that only the gateway has.
pub const METRICS: &[Metric] = metrics_list! {
    Histogram "gateway_accepted_seconds" [""] "Time from an order's arrival to its 202. Refusals are excluded: they are fast.";
    Counter "gateway_faults_total" [""] "Responses 500 `internal_error`.";
    Counter "gateway_handoff_failures_total" ["kind"] "Batches that were reserved in Redis but not acknowledged by the log under a valid lease, by kind of failure.";
    Histogram "gateway_handoff_seconds" [""] "Time from a batch's reservation to the log's acknowledgement.";
    Gauge "gateway_lease_seconds_left" [""] "How long the gateway's lease on its view of the sales is still valid, in seconds.";
    Gauge "gateway_queue_depth" ["sale"] "Orders that wait for the reserve script.";
    Counter "gateway_requests_total" ["route,outcome"] "Responses. The outcome is `ok`, `accepted`, `replayed` or a problem's code.";
    Histogram "gateway_request_seconds" ["route"] "Time from a request's arrival to its response.";
    Histogram "gateway_reserve_batch_size" [""] "Orders in one call of the reserve script.";
    Histogram "gateway_reserve_seconds" [""] "Duration of one call of the reserve script.";
    Counter "gateway_shed_total" ["reason"] "Orders that were shed before they reached the reserve script.";
    Counter "live_update_events_total" [""] "Order changes that were delivered to open streams.";
    Gauge "live_update_streams" [""] "Open streams of live updates.";
    Counter "live_update_streams_ended_total" ["reason"] "Streams of live updates that have ended, by reason.";
};
