//! The configurations that are searched.

use crate::config::{Config, Fault, Protections, Request};

const fn request(customer: u8, key: u8, units: u8, gateway: Option<u8>) -> Request {
    Request { customer, key, units, gateway }
}

/// Ann orders one unit at the first gateway and retries at the second (or the other way round: gateways are
/// alike). Ben orders one at the second gateway.
const BOTH: &[Request] = &[request(0, 1, 1, Some(0)), request(0, 1, 1, Some(1)), request(1, 1, 1, Some(1))];
/// The same, except that Ben orders both units, so that only one of the two customers can be served.
const CONTENDED: &[Request] =
    &[request(0, 1, 1, Some(0)), request(0, 1, 1, Some(1)), request(1, 1, 2, Some(1))];
/// The same, and Ann also sends a second order under another key.
const TWO_KEYS: &[Request] = &[
    request(0, 1, 1, Some(0)),
    request(0, 1, 1, Some(1)),
    request(0, 2, 1, Some(1)),
    request(1, 1, 2, Some(1)),
];

const BASE: Config = Config {
    name: "",
    about: "",
    total: 2,
    limit: 1,
    requests: BOTH,
    faults: (0, &[]),
    copies: 0,
    cancels: 0,
    takeovers: 0,
    rebuilds: 0,
    releasers: 0,
    fast_refusals: false,
    protections: Protections::ALL,
};

/// The faults of a single server.
const LOSSES: &[Fault] = &[Fault::RestartEmpty, Fault::RestartOld, Fault::RestartWhole, Fault::FlushAll];
/// The faults of a primary with a replica.
const SPLIT: &[Fault] = &[Fault::Failover, Fault::Failback];

/// Returns the configurations that are searched, each in full.
pub fn configurations() -> Vec<Config> {
    vec![
        Config {
            name: "lost state",
            about: "Redis loses its state: empty, old, flushed, or without its scripts",
            faults: (1, LOSSES),
            copies: 1,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "lost state, sold out",
            about: "the same with too little stock for everyone, and with two orders by Ann",
            requests: TWO_KEYS,
            faults: (1, LOSSES),
            copies: 1,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "split",
            about: "a lagging replica is promoted, both servers respond, the old primary is promoted again",
            faults: (2, SPLIT),
            copies: 1,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "two rebuilders",
            about: "a rebuild dies or lags at any step, another one begins, and Redis may be flushed",
            faults: (1, &[Fault::FlushAll]),
            rebuilds: 2,
            ..BASE
        },
        Config {
            name: "zombie owner",
            about: "the partition is taken over while its old owner continues, and Redis may be flushed",
            requests: CONTENDED,
            faults: (1, &[Fault::FlushAll]),
            cancels: 1,
            releasers: 1,
            takeovers: 1,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "releases",
            about: "two cancellations, two releasing processes, and a rebuild in between",
            requests: CONTENDED,
            cancels: 2,
            releasers: 2,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "releases, lost state",
            about: "a cancellation, two releasing processes, and a state loss",
            requests: CONTENDED,
            cancels: 1,
            releasers: 2,
            faults: (1, LOSSES),
            copies: 1,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "fast refusals",
            about: "gateways refuse from stock snapshots while units return, with a rebuild in between",
            requests: TWO_KEYS,
            cancels: 1,
            releasers: 1,
            fast_refusals: true,
            rebuilds: 1,
            ..BASE
        },
    ]
}

/// Returns larger configurations, for changes to the protocol. Each takes minutes and gigabytes.
pub fn deep_configurations() -> Vec<Config> {
    vec![
        Config {
            name: "split, two rebuilders",
            about: "two rebuilds of a split Redis with too little stock for everyone",
            requests: CONTENDED,
            faults: (2, SPLIT),
            copies: 1,
            rebuilds: 2,
            ..BASE
        },
        Config {
            name: "split, fast refusals",
            about: "refusals from stock snapshots while Redis is split",
            requests: CONTENDED,
            fast_refusals: true,
            faults: (2, SPLIT),
            copies: 1,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "zombie, lost state",
            about: "a takeover and a state loss",
            requests: CONTENDED,
            cancels: 1,
            releasers: 1,
            takeovers: 1,
            faults: (1, LOSSES),
            copies: 1,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "split, releases",
            about: "cancellations while Redis is split",
            requests: CONTENDED,
            cancels: 1,
            releasers: 2,
            faults: (2, SPLIT),
            copies: 1,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "two rebuilders, releases",
            about: "cancellations while two rebuilds compete",
            requests: CONTENDED,
            cancels: 1,
            releasers: 2,
            rebuilds: 2,
            ..BASE
        },
    ]
}

/// Returns the names of all protections.
pub fn protection_names() -> impl Iterator<Item = &'static str> {
    Protections::each_removed().into_iter().map(|(name, ..)| name)
}

/// Returns the configuration that fails without the named protection, with that protection removed.
pub fn without_protection(protection: &str) -> Option<Config> {
    let removed = Protections::each_removed();
    let (_, protections, name) = removed.into_iter().find(|(name, ..)| *name == protection)?;
    let config = configurations().into_iter().find(|config| config.name == name)?;
    Some(Config { protections, ..config })
}

impl Config {
    /// Returns whether the demand can exceed the stock.
    pub(crate) fn can_sell_out(&self) -> bool {
        let keys = self.requests.iter().enumerate();
        let distinct = keys.filter(|(i, request)| {
            !self.requests[..*i].iter().any(|r| (r.customer, r.key) == (request.customer, request.key))
        });
        distinct.map(|(_, request)| request.units).sum::<u8>() > self.total
    }
    /// Returns whether a customer may order more often than the limit.
    pub(crate) fn can_duplicate(&self) -> bool {
        self.requests.iter().any(|request| request.key > self.limit)
    }
}
