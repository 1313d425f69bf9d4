//! Card payments beside a system: the simulated provider, and the part that calls it, each a process of its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::system::free_address;
use crate::{Program, System, fresh};

/// What provider and gateways sign and check callbacks with here.
pub const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1wYXltZW50LXByb3ZpZGVy";

/// Running; ended with the value, which must not outlive its system.
pub struct CardPayments {
    _payments: Program,
    _provider: Program,
    journal: PathBuf,
}

impl CardPayments {
    /// What gateways of the system must be told: [`SECRET`].
    pub fn gateway_args() -> [String; 2] {
        ["--payment-webhook-secret", SECRET].map(str::to_owned)
    }

    /// Starts both and waits until they are ready.
    pub async fn start(system: &System) -> Self {
        let (provider, payments) = (free_address(), free_address());
        let journal = std::env::temp_dir().join(fresh("provider")).join("payments.jsonl");
        let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let told = words(format!(
            "--log-filter warn provider --provider-listen {provider} --provider-journal {} --payment-webhook-secret {SECRET}",
            journal.display()
        ));
        let _provider = Program::start("downstream", told);
        until_ready("the provider", provider).await;
        let own = words(format!(
            "--log-filter warn payments --payments-listen {payments} --provider-url http://{provider} \
             --payment-callback-url {}/v1/payments/callback",
            system.gateways[0].0
        ));
        let _payments = Program::start("downstream", system.service_args().into_iter().chain(own));
        until_ready("payments", payments).await;
        Self { _payments, _provider, journal }
    }
}

async fn until_ready(what: &str, listen: SocketAddr) {
    let url = format!("http://{listen}/health/ready");
    crate::until(&format!("{what} is ready"), async || {
        reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
}

impl Drop for CardPayments {
    fn drop(&mut self) {
        if let Some(folder) = self.journal.parent() {
            let _ = std::fs::remove_dir_all(folder); // left-overs in the temporary folder do no harm
        }
    }
}
