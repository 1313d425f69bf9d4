//! The loopback ports of the harness. No other stack or test gets them while the harness runs.

use anyhow::Context;

/// The ports of all listeners. Of two ports of a service, the second one is the proxy of the first.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the names are the description
pub struct Ports {
    pub proxy_api: u16,
    pub kafka_gateways: [u16; 2],
    pub kafka_settlements: [u16; 2],
    pub redis_second: u16,
    pub redis: [u16; 4],
    pub postgres: [u16; 2],
    /// The public and the admin listener of each gateway.
    pub gateways: [[u16; 2]; 2],
    pub settlements: [u16; 2],
    /// The downstream programs, in the order of [`super::downstream::DownstreamProgram`].
    pub downstream: [u16; 4],
    /// The proxies of payments to the provider, of the provider to a gateway, and of notification to the
    /// receiver.
    pub provider: u16,
    pub callbacks: u16,
    pub notification_target: u16,
    /// The receiver of notifications.
    pub receiver: u16,
}

impl Ports {
    /// Claims a port for each listener. `kafka` has those of Kafka's listeners and their proxies, which `./dev chaos` has
    /// chosen, because Kafka is already running: four numbers separated by commas.
    pub fn claim(kafka: &str) -> anyhow::Result<Self> {
        let kafka: Vec<u16> = kafka.split(',').map(|port| port.trim().parse()).collect::<Result<_, _>>()?;
        let [gateways, gateways_proxy, settlements, settlements_proxy] = kafka[..] else {
            anyhow::bail!("four ports were expected: {kafka:?}")
        };
        Ok(Self {
            proxy_api: claim_port()?,
            kafka_gateways: [gateways, gateways_proxy],
            kafka_settlements: [settlements, settlements_proxy],
            redis_second: claim_port()?,
            redis: [claim_port()?, claim_port()?, claim_port()?, claim_port()?],
            postgres: [claim_port()?, claim_port()?],
            gateways: [[claim_port()?, claim_port()?], [claim_port()?, claim_port()?]],
            settlements: [claim_port()?, claim_port()?],
            downstream: [claim_port()?, claim_port()?, claim_port()?, claim_port()?],
            provider: claim_port()?,
            callbacks: claim_port()?,
            notification_target: claim_port()?,
            receiver: claim_port()?,
        })
    }
}

fn claim_port() -> anyhow::Result<u16> {
    Ok(stack::ports::claim().context("claiming a port")?.port())
}
