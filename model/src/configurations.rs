//! The configurations that are searched.

use crate::config::{Config, Fault, Protections, Request};

const fn request(customer: u8, key: u8, units: u8, gateway: Option<u8>) -> Request {
    Request { customer, key, units, gateway }
}

/// Ann asks for a unit at the first gateway and repeats it at the second (or the other way round: gateways
/// are alike). Ben asks for one at either.
const BOTH: &[Request] = &[request(0, 1, 1, Some(0)), request(0, 1, 1, Some(1)), request(1, 1, 1, Some(1))];
/// The same, but Ben wants both units: only one of them can be served.
const CONTENDED: &[Request] =
    &[request(0, 1, 1, Some(0)), request(0, 1, 1, Some(1)), request(1, 1, 2, Some(1))];
/// The same, and Ann asks a second time, under another key.
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

/// Whatever may befall one server.
const LOSSES: &[Fault] = &[Fault::RestartEmpty, Fault::RestartOld, Fault::RestartWhole, Fault::FlushAll];
/// Whatever may befall a primary and its replica.
const SPLIT: &[Fault] = &[Fault::Failover, Fault::Failback];

/// What is searched, each in full.
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
            about: "the same, where there is not enough for all, and Ann asks twice",
            requests: TWO_KEYS,
            faults: (1, LOSSES),
            copies: 1,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "split",
            about: "a lagging replica is promoted, both answer, the old primary comes back",
            faults: (2, SPLIT),
            copies: 1,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "two rebuilders",
            about: "a rebuild dies or lags at any step, another one begins; and Redis may be flushed",
            faults: (1, &[Fault::FlushAll]),
            rebuilds: 2,
            ..BASE
        },
        Config {
            name: "zombie owner",
            about: "the partition is taken over while its owner goes on; and Redis may be flushed",
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
            about: "two cancellations, two processes that release, and a rebuild in between",
            requests: CONTENDED,
            cancels: 2,
            releasers: 2,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "releases, lost state",
            about: "a cancellation, two processes that release, and a loss",
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
            about: "gateways refuse from memory while units come back, and a rebuild comes in between",
            requests: TWO_KEYS,
            cancels: 1,
            releasers: 1,
            fast_refusals: true,
            rebuilds: 1,
            ..BASE
        },
    ]
}

/// Larger worlds, for whoever changes the protocol: minutes and gigabytes each.
pub fn deep_configurations() -> Vec<Config> {
    vec![
        Config {
            name: "split, two rebuilders",
            about: "two rebuilds of a split Redis, where there is not enough for all",
            requests: CONTENDED,
            faults: (2, SPLIT),
            copies: 1,
            rebuilds: 2,
            ..BASE
        },
        Config {
            name: "split, fast refusals",
            about: "refusals from memory while Redis is split",
            requests: CONTENDED,
            fast_refusals: true,
            faults: (2, SPLIT),
            copies: 1,
            rebuilds: 1,
            ..BASE
        },
        Config {
            name: "zombie, lost state",
            about: "a take-over and a loss",
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

/// The names of all protections.
pub fn protections() -> impl Iterator<Item = &'static str> {
    Protections::each_removed().into_iter().map(|(name, ..)| name)
}

/// The configuration that misses a protection, without it.
pub fn weakened(protection: &str) -> Option<Config> {
    let removed = Protections::each_removed();
    let (_, protections, name) = removed.into_iter().find(|(name, ..)| *name == protection)?;
    let config = configurations().into_iter().find(|config| config.name == name)?;
    Some(Config { protections, ..config })
}

impl Config {
    /// Whether demand can exceed supply.
    pub(crate) fn can_sell_out(&self) -> bool {
        let keys = self.requests.iter().enumerate();
        let distinct = keys.filter(|(i, one)| {
            !self.requests[..*i].iter().any(|other| (one.customer, one.key) == (other.customer, other.key))
        });
        distinct.map(|(_, request)| request.units).sum::<u8>() > self.total
    }
    /// Whether a customer may ask for more than the limit.
    pub(crate) fn can_duplicate(&self) -> bool {
        self.requests.iter().any(|request| request.key > self.limit)
    }
}
