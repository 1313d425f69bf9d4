//! What the metrics of the parts mean.

use process::metric_help::Metric;
use process::metrics_list;

/// Those of all parts; each part has the ones that it needs.
pub const METRICS: &[Metric] = metrics_list! {
    Counter "consumer_dead_letters_total" ["group"] "Events that the group gave up after three tries.";
    Gauge "consumer_lag_records" ["group,topic,partition"] "Events that the group has before it.";
    Counter "consumer_retries_total" ["group"] "Second and third tries.";
    Counter "notifications_total" ["channel,kind,result"] "Messages, by e-mail or webhook.";
    Counter "payments_total" ["method,result"] "Charges and refunds by card that the provider has answered, or not.";
    Gauge "payments_open" ["method"] "Payments and refunds without a result, at the last sweep.";
    Histogram "payment_seconds" ["method"] "What a charge takes, with the provider's answer.";
    Counter "provider_callbacks_total" ["result"] "Callbacks of the simulated provider.";
};
