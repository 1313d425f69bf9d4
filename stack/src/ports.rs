//! Free loopback ports. A port that is free now may be taken a moment later, therefore every stack and every test claims
//! its ports: a claim is a file in a shared folder, and it is valid for as long as its holder is alive.
//!
//! All ports are below the range from which the kernel assigns ports to outgoing connections and to listeners without a
//! port. Only a program outside of this repository can take a claimed port.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::{FlockOperation, flock};

use crate::identity::Identity;

/// Where the kernel's range begins (`net.ipv4.ip_local_port_range`).
const EPHEMERAL_MIN: u16 = 32_768;
/// Where the ports of tests begin: above the default ports of stacks.
const TEST_MIN: u16 = 20_000;

/// Returns a loopback address.
pub fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Returns a free loopback address. No other caller gets it while this process is alive.
pub fn claim() -> io::Result<SocketAddr> {
    let own = Identity::current().ok_or_else(|| io::Error::other("/proc is not mounted"))?;
    let claims = Claims::open(&shared_folder(), listening_ports()?)?;
    // Starting at a random port keeps the search short, and a port that was just used is rarely chosen again.
    let random = UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos()) ^ own.pid();
    let offset = (random % u32::from(EPHEMERAL_MIN - TEST_MIN)) as u16;
    let mut candidates = (TEST_MIN + offset..EPHEMERAL_MIN).chain(TEST_MIN..TEST_MIN + offset);
    let port = candidates.find(|port| claims.is_free(*port, None));
    let port = port.ok_or_else(|| io::Error::other("no port is free"))?;
    claims.write(port, own, "test")?;
    Ok(local(port))
}

/// The claims of all stacks and tests of this user, locked until the value is dropped.
struct Claims {
    folder: PathBuf,
    /// The owners by port.
    owners: BTreeMap<u16, String>,
    listening: BTreeSet<u16>,
    _lock: File,
}

fn shared_folder() -> PathBuf {
    std::env::temp_dir().join(format!("flashsale-claims-{}", rustix::process::getuid().as_raw()))
}

impl Claims {
    /// Locks the folder, and deletes the claims of processes that have exited.
    fn open(folder: &Path, listening: BTreeSet<u16>) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        let mut owners = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let port = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            let Some(port) = port else { continue };
            let text = std::fs::read_to_string(&path)?;
            if Identity::parse(&text).is_some_and(Identity::is_alive) {
                owners.insert(port, text.splitn(3, ' ').nth(2).unwrap_or_default().to_owned());
            } else {
                std::fs::remove_file(&path)?;
            }
        }
        Ok(Self { folder: folder.to_owned(), owners, listening, _lock: lock })
    }

    /// Returns whether no process listens on the port, and no owner but this one has claimed it.
    fn is_free(&self, port: u16, owner: Option<&str>) -> bool {
        let claimed = self.owners.get(&port).is_some_and(|claimed| Some(claimed.as_str()) != owner);
        !claimed && !self.listening.contains(&port)
    }

    fn write(&self, port: u16, holder: Identity, owner: &str) -> io::Result<()> {
        std::fs::write(self.folder.join(port.to_string()), format!("{holder} {owner}"))
    }
}

/// Returns the ports on which a process of this machine listens.
fn listening_ports() -> io::Result<BTreeSet<u16>> {
    let mut entries = procfs::net::tcp().map_err(io::Error::other)?;
    entries.extend(procfs::net::tcp6().unwrap_or_default()); // a kernel without IPv6
    let listening = entries.into_iter().filter(|entry| entry.state == procfs::net::TcpState::Listen);
    Ok(listening.map(|entry| entry.local_address.port()).collect())
}

/// A port of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPort {
    /// The name of the listener.
    pub name: String,
    /// The port, which may not be bound yet.
    pub port: u16,
}

impl NamedPort {
    /// Parses two fields that `separator` separates.
    pub fn parse(text: &str, separator: char) -> Option<Self> {
        let (name, port) = text.trim().split_once(separator)?;
        Some(Self { name: name.to_owned(), port: port.parse().ok()? })
    }
}

/// Reads the stored ports of a stack. They are stored so that addresses stay the same from one `./dev up` to the next.
pub(crate) fn read_stored(file: &Path) -> Vec<NamedPort> {
    let text = std::fs::read_to_string(file).unwrap_or_default(); // no ports are stored yet
    text.lines().filter_map(|line| NamedPort::parse(line, ' ')).collect()
}

/// Chooses, claims and stores a port for each listener of processes that are not running: the stored port or else the
/// default, or the next free one. `holder` is the process whose life the claims last. Returns the ports that are neither
/// the default nor the stored one.
pub(crate) fn choose(
    file: &Path,
    owner: &str,
    holder: Identity,
    defaults: &[NamedPort],
) -> io::Result<Vec<NamedPort>> {
    choose_from(&Claims::open(&shared_folder(), listening_ports()?)?, file, owner, holder, defaults)
}

fn choose_from(
    claims: &Claims,
    file: &Path,
    owner: &str,
    holder: Identity,
    defaults: &[NamedPort],
) -> io::Result<Vec<NamedPort>> {
    let (mut stored, mut moved) = (read_stored(file), Vec::new());
    for wanted in defaults {
        let before = stored.iter().find(|port| port.name == wanted.name).map(|port| port.port);
        stored.retain(|port| port.name != wanted.name);
        let is_usable =
            |port: &u16| claims.is_free(*port, Some(owner)) && stored.iter().all(|other| other.port != *port);
        let port = (before.unwrap_or(wanted.port)..EPHEMERAL_MIN).find(is_usable);
        let port = port.ok_or_else(|| {
            io::Error::other(format!("no free port for {} above {}", wanted.name, wanted.port))
        })?;
        claims.write(port, holder, owner)?;
        let chosen = NamedPort { name: wanted.name.clone(), port };
        if port != wanted.port && Some(port) != before {
            moved.push(chosen.clone());
        }
        stored.push(chosen);
    }
    let lines: String = stored.iter().map(|port| format!("{} {}\n", port.name, port.port)).collect();
    let new = file.with_extension("new");
    std::fs::write(&new, lines)?;
    std::fs::rename(new, file)?;
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn named(name: &str, port: u16) -> NamedPort {
        NamedPort { name: name.into(), port }
    }

    #[test]
    fn no_two_callers_claim_the_same_port() {
        let claimed: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| [claim().unwrap(), claim().unwrap()])).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 16, "{claimed:?}");
        let listener = TcpListener::bind(claimed[0]).unwrap();
        assert!(listening_ports().unwrap().contains(&listener.local_addr().unwrap().port()));
    }

    #[test]
    fn a_stack_keeps_its_ports_and_avoids_those_that_are_taken_or_claimed() {
        let folder = std::env::temp_dir().join(format!("stack-ports-{}", std::process::id()));
        let (mine, other) = (folder.join("mine"), folder.join("other"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut holder = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let alive = Identity::read(holder.id()).unwrap();
        let choose = |file: &Path, holder, names: &[(&str, u16)]| {
            let claims = Claims::open(&folder.join("claims"), BTreeSet::from([8080, 8083])).unwrap();
            let defaults: Vec<_> = names.iter().map(|(name, port)| named(name, *port)).collect();
            let owner = file.to_str().unwrap();
            let moved = choose_from(&claims, file, owner, holder, &defaults).unwrap();
            (read_stored(file), moved)
        };
        let (a, b) = (named("a", 8081), named("b", 8082));
        let (stored, moved) = choose(&mine, alive, &[("a", 8080), ("b", 8080)]);
        assert_eq!((&stored, &moved), (&vec![a.clone(), b.clone()], &vec![a.clone(), b.clone()]));
        let again = choose(&mine, alive, &[("b", 8080)]);
        assert_eq!(again, (stored, vec![]), "the owner keeps its ports");
        let own = Identity::current().unwrap();
        let (stored, _) = choose(&other, own, &[("a", 8081), ("c", 9000)]);
        assert_eq!(stored, [named("a", 8084), named("c", 9000)], "8081 and 8082 are claimed, 8083 is taken");
        holder.kill().unwrap();
        holder.wait().unwrap();
        std::fs::remove_file(&other).unwrap();
        let (stored, _) = choose(&other, own, &[("a", 8081)]);
        assert_eq!(stored, [a], "the claims have ended with their holder");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
