//! The loopback ports that `./dev chaos` has reserved, in the order in which `scripts/dev/chaos.sh` passes
//! them.

use std::net::{Ipv4Addr, SocketAddr};

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
    /// Parses numbers separated by commas.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let ports: Vec<u16> = text.split(',').map(|port| port.trim().parse()).collect::<Result<_, _>>()?;
        let mut left = ports.into_iter();
        let mut next = || left.next().with_context(|| format!("there are too few ports: {text:?}"));
        let all = Self {
            proxy_api: next()?,
            kafka_gateways: [next()?, next()?],
            kafka_settlements: [next()?, next()?],
            redis_second: next()?,
            redis: [next()?, next()?, next()?, next()?],
            postgres: [next()?, next()?],
            gateways: [[next()?, next()?], [next()?, next()?]],
            settlements: [next()?, next()?],
            downstream: [next()?, next()?, next()?, next()?],
            provider: next()?,
            callbacks: next()?,
            notification_target: next()?,
            receiver: next()?,
        };
        anyhow::ensure!(left.next().is_none(), "there are too many ports: {text:?}");
        Ok(all)
    }
}

/// Returns a loopback address.
pub fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_ports_are_parsed_as_the_script_reserves() {
        let text = |count: u16| (1..=count).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let ports = Ports::parse(&text(26)).unwrap();
        assert_eq!((ports.proxy_api, ports.settlements, ports.receiver), (1, [17, 18], 26));
        assert!(Ports::parse(&text(25)).is_err() && Ports::parse(&text(27)).is_err());
        assert!(Ports::parse("a").is_err());
    }
}
