//! The process manager of `./dev`, which calls it as `stack FOLDER COMMAND …`. Messages go to standard error in the format
//! of `./dev`. The exit status is 0 for success or yes, 1 for no, and 2 for an error.

use std::io;
use std::process::{Command, ExitCode};
use std::time::Duration;

use stack::folder::{StackFolder, enter_session};
use stack::identity::Identity;
use stack::ports::NamedPort;

const USAGE: &str = "usage: stack FOLDER COMMAND
  spawn NAME WORD…            starts a process that outlives this one
  pid NAME                    prints the pid of a process that is alive
  launched NAME WORD…         whether it is alive and was started with this command
  ready NAME                  whether it responds on its port
  await NAME SECONDS          waits until it is ready
  list                        prints name, pid and readiness of all recorded processes
  stop NAME…                  stops processes
  adopt                       records processes that were started but not recorded
  stop-strays                 stops processes that are not recorded
  kill-steps PID              kills the background steps of the ./dev with this pid
  identity PID                prints pid and start time
  alive PID START             whether exactly this process is alive
  ports HOLDER NAME=PORT…     chooses and stores ports, which stay claimed while the process HOLDER is alive";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &[&str]) -> io::Result<bool> {
    let [folder, command, words @ ..] = words else { return Err(io::Error::other(USAGE)) };
    let folder = StackFolder::new(*folder);
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut report = |name: &str, event: &str| eprintln!("  {name:<14} {event}");
    match (*command, words) {
        ("spawn", [name, words @ ..]) => {
            let mut session = Command::new(std::env::current_exe()?);
            session.args([".", "enter"]);
            folder.spawn(name, session, &owned(words))?;
        }
        ("enter", words) => return Err(enter_session(&owned(words))),
        ("pid", [name]) => return Ok(print(folder.alive(name).map(Identity::pid))),
        ("launched", [name, words @ ..]) => {
            let launched = folder.launch(name).is_ok_and(|launch| launch == *words);
            return Ok(launched && folder.alive(name).is_some());
        }
        ("ready", [name]) => return Ok(folder.is_ready(name)),
        ("await", [name, limit]) => {
            let limit = Duration::from_secs(limit.parse().map_err(io::Error::other)?);
            folder.block_until_ready(name, limit).map_err(io::Error::other)?;
        }
        ("list", []) => list(&folder),
        ("stop", names) => folder.stop(&owned(names), &mut report)?,
        ("adopt", []) => folder.adopt()?,
        ("stop-strays", []) => folder.stop_strays(&mut report),
        ("kill-steps", [pid]) => folder.kill_steps(pid),
        ("identity", [pid]) => return Ok(print(pid.parse().ok().and_then(Identity::read))),
        ("alive", [pid, start]) => {
            return Ok(Identity::parse(&format!("{pid} {start}")).is_some_and(Identity::is_alive));
        }
        ("ports", [holder, defaults @ ..]) => choose_ports(&folder, holder, defaults)?,
        _ => return Err(io::Error::other(USAGE)),
    }
    Ok(true)
}

fn print(value: Option<impl std::fmt::Display>) -> bool {
    value.inspect(|value| println!("{value}")).is_some()
}

/// Probes all processes at once, because one that does not respond takes seconds.
fn list(folder: &StackFolder) {
    let names = folder.names();
    let ready: Vec<bool> = std::thread::scope(|scope| {
        let probes: Vec<_> = names.iter().map(|name| scope.spawn(|| folder.is_ready(name))).collect();
        probes.into_iter().map(|probe| probe.join().unwrap_or(false)).collect()
    });
    for (name, ready) in names.iter().zip(ready) {
        let pid = folder.alive(name).map_or("-".to_owned(), |identity| identity.pid().to_string());
        println!("{name} {pid} {ready}");
    }
}

fn choose_ports(folder: &StackFolder, holder: &str, defaults: &[&str]) -> io::Result<()> {
    let invalid = |text: &str| io::Error::other(format!("invalid argument: {text}"));
    let identity = holder.parse().ok().and_then(Identity::read).ok_or_else(|| invalid(holder))?;
    let parse = |text: &&str| NamedPort::parse(text, '=').ok_or_else(|| invalid(text));
    let defaults: Vec<_> = defaults.iter().map(parse).collect::<io::Result<_>>()?;
    for moved in folder.choose_ports(identity, &defaults)? {
        let default =
            defaults.iter().find(|default| default.name == moved.name).map_or(0, |default| default.port);
        let event = format!("port {default} is taken: using {}", moved.port);
        eprintln!("  {:<14} {event}", moved.name);
    }
    Ok(())
}
