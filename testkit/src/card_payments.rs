//! Card payments for a system: the payment service and the simulated provider, each as a separate process.

use std::path::PathBuf;

use crate::program::claim_address;
use crate::{Program, System, fresh};

/// The secret with which the provider signs callbacks and gateways verify them.
pub const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1wYXltZW50LXByb3ZpZGVy";

/// The running processes, which end when the value is dropped. It must not outlive its system.
pub struct CardPayments {
    _payments: Program,
    _provider: Program,
    journal: PathBuf,
}

impl CardPayments {
    /// Returns the arguments that the system's gateways need: [`SECRET`].
    pub fn gateway_args() -> [String; 2] {
        ["--payment-webhook-secret", SECRET].map(str::to_owned)
    }

    /// Starts both processes and waits until they are ready.
    pub async fn start(system: &System) -> Self {
        let (provider, payments) = (claim_address(), claim_address());
        let journal = std::env::temp_dir().join(fresh("provider")).join("payments.jsonl");
        let split = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let provider_args = split(format!(
            "--log-filter warn provider --provider-listen {provider} --provider-journal {} --payment-webhook-secret {SECRET}",
            journal.display()
        ));
        let mut provider_program = Program::start("downstream", provider_args);
        provider_program.wait_until_ready(provider).await;
        let payments_args = split(format!(
            "--log-filter warn payments --payments-listen {payments} --provider-url http://{provider} \
             --payment-callback-url {}/v1/payments/callback",
            system.gateways[0].0
        ));
        let args = system.service_args().into_iter().chain(payments_args);
        let mut payments_program = Program::start("downstream", args);
        payments_program.wait_until_ready(payments).await;
        Self { _payments: payments_program, _provider: provider_program, journal }
    }
}

impl Drop for CardPayments {
    fn drop(&mut self) {
        if let Some(folder) = self.journal.parent() {
            let _ = std::fs::remove_dir_all(folder); // a leftover in the temporary folder is harmless
        }
    }
}
