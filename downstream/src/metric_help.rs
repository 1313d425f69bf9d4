//! The `# HELP` texts of the components' metrics. Each component records those that it needs.

use process::metric_help::Metric;
use process::metrics_list;

/// The metrics of all components.
pub const METRICS: &[Metric] = metrics_list! {
    Counter "consumer_dead_letters_total" ["group"] "Events that the group moved to its dead-letter topic.";
    Gauge "consumer_lag_records" ["group,topic,partition"] "Records of the topic that the group has not processed yet.";
    Counter "consumer_retries_total" ["group"] "Events that failed and were scheduled for another try.";
    Counter "notifications_total" ["channel,kind,result"] "E-mails and webhooks, by result (sent, failed).";
    Counter "payments_total" ["method,result"] "Charges and refunds at the card provider, by result (unknown: no final response).";
    Gauge "payments_open" ["method"] "Payments and refunds without a final result at the last sweep.";
    Histogram "payment_seconds" ["method"] "Duration of a charge or refund until its result is in the log, in seconds.";
    Counter "provider_callbacks_total" ["result"] "Callback attempts of the simulated provider, by result (taken, refused, given_up).";
};
