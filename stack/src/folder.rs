//! The folder of a stack, `.dev/<stack>/`, with the processes that `./dev` has started and that outlive it.
//!
//! A process is found in two ways: by `run/NAME.pid`, and by the marks in its environment (`FLASHSALE_STARTED_BY`, the
//! folder, and `FLASHSALE_PROCESS`, the name), which find it even if `./dev` died between starting it and writing the file.

use std::fmt::Display;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::process::Signal;

use crate::identity::{Identity, MarkedProcess, NAME_MARK, block_until, marked_processes};
use crate::ports::{self, NamedPort};
use crate::process::open_log;
use crate::readiness::Protocol;

/// The variable that contains the folder of the stack that has started a process.
pub const FOLDER_MARK: &str = "FLASHSALE_STARTED_BY";
/// The variable that marks the background steps of a `./dev`: folder and pid.
const WORKER_MARK: &str = "FLASHSALE_WORKER";
/// The grace period of processes without a name, before SIGKILL.
const STRAY_LIMIT: Duration = Duration::from_secs(12);
/// The greatest number of generations of processes without a name: for a test run cargo, a test, a server that it
/// started, and so on.
const STRAY_GENERATIONS_MAX: usize = 8;
/// The longest time until a killed process has exited.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// The folder of a stack.
#[derive(Debug, Clone)]
pub struct StackFolder {
    path: PathBuf,
}

/// Receives one line of progress: the name of a process, and what happened to it.
pub type Report<'a> = &'a mut dyn FnMut(&str, &str);

impl StackFolder {
    /// Returns the folder at a path, which `./dev` creates.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path of the log of a process.
    pub fn log(&self, name: &str) -> PathBuf {
        self.path.join("logs").join(format!("{name}.log"))
    }

    fn run_file(&self, name: &str, extension: &str) -> PathBuf {
        self.path.join("run").join(format!("{name}.{extension}"))
    }

    /// Returns the recorded identity of a process, which may have exited.
    pub fn identity(&self, name: &str) -> Option<Identity> {
        Identity::read_file(&self.run_file(name, "pid"))
    }

    /// Returns the recorded process if it is alive.
    pub fn alive(&self, name: &str) -> Option<Identity> {
        self.identity(name).filter(|identity| identity.is_alive())
    }

    /// Records a process.
    pub fn record(&self, name: &str, identity: Identity) -> io::Result<()> {
        let (file, new) = (self.run_file(name, "pid"), self.run_file(name, "pid.new"));
        fs::write(&new, format!("{identity}\n"))?;
        fs::rename(new, file)
    }

    fn forget(&self, name: &str) {
        for extension in ["pid", "launch"] {
            let _ = fs::remove_file(self.run_file(name, extension)); // it may not exist
        }
    }

    /// Returns the names of the processes that the stack has started and not stopped, whether alive or killed.
    pub fn names(&self) -> Vec<String> {
        let files = fs::read_dir(self.path.join("run")).into_iter().flatten().filter_map(Result::ok);
        let name = |file: fs::DirEntry| file.file_name().to_str()?.strip_suffix(".pid").map(str::to_owned);
        let mut names: Vec<String> = files.filter_map(name).collect();
        names.sort();
        names
    }

    /// Returns the command line with which a process was started.
    pub fn launch(&self, name: &str) -> io::Result<Vec<String>> {
        Ok(fs::read_to_string(self.run_file(name, "launch"))?.lines().map(str::to_owned).collect())
    }

    /// Prepares a command of the stack: in its folder, with its marks, without input, and with its output in a log.
    pub fn prepare(&self, name: &str, command: &mut Command) -> io::Result<()> {
        let output = open_log(&self.log(name))?;
        command.current_dir(&self.path).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        command.env(FOLDER_MARK, &self.path).env(NAME_MARK, name).env_remove(WORKER_MARK);
        Ok(())
    }

    /// Starts a process that outlives this one, in a session of its own, and records it. `session` is a program that calls
    /// [`enter_session`] with the arguments that follow.
    pub fn spawn(&self, name: &str, mut session: Command, words: &[String]) -> io::Result<()> {
        self.prepare(name, &mut session)?;
        fs::write(self.run_file(name, "launch"), words.join("\n") + "\n")?;
        let child = session.args(words).spawn()?;
        // The start time stays the same when the child replaces its program.
        let identity = Identity::read_child(child.id());
        self.record(name, identity.ok_or_else(|| io::Error::other("/proc is not mounted"))?)
    }

    /// Returns the processes with the mark of this stack, except those whose parent has it, too.
    fn marked(&self) -> Vec<MarkedProcess> {
        let all = marked_processes(FOLDER_MARK, &self.path.to_string_lossy());
        let is_root =
            |process: &&MarkedProcess| all.iter().all(|other| other.identity.pid() != process.parent);
        all.iter().filter(is_root).cloned().collect()
    }

    /// Records the processes that were started but not recorded, because `./dev` died in between.
    pub fn adopt(&self) -> io::Result<()> {
        for process in self.marked() {
            if let Some(name) = &process.name
                && self.alive(name).is_none()
            {
                self.record(name, process.identity)?;
            }
        }
        Ok(())
    }

    /// Sends each process the signal that stops it, then waits for each; sends SIGKILL after its grace period.
    pub fn stop(&self, names: &[String], report: Report<'_>) -> io::Result<()> {
        let begun = Instant::now();
        let alive: Vec<_> = names.iter().map(|name| (name, self.alive(name))).collect();
        for (name, identity) in &alive {
            if let Some(identity) = identity {
                identity.signal(stop_signal(name));
                identity.signal(Signal::CONT); // a stopped process cannot handle the signal
            }
        }
        for (name, identity) in alive {
            if let Some(identity) = identity {
                let limit = grace_period(name);
                if identity.block_until_exit(limit.saturating_sub(begun.elapsed())) {
                    report(name, &format!("stopped ({:.1} s)", begun.elapsed().as_secs_f64()));
                } else {
                    identity.signal(Signal::KILL);
                    if !identity.block_until_exit(KILL_LIMIT) {
                        let pid = identity.pid();
                        return Err(io::Error::other(format!("{name} (pid {pid}) could not be killed")));
                    }
                    report(name, &format!("killed after {} s", limit.as_secs()));
                }
            }
            self.forget(name);
        }
        Ok(())
    }

    /// Stops the marked processes that are not recorded, left by killed tests or by a crash of `./dev`. A parent is stopped
    /// before its children, which may exit with it.
    pub fn stop_strays(&self, report: Report<'_>) {
        for _ in 0..STRAY_GENERATIONS_MAX {
            let recorded: Vec<_> = self.names().iter().filter_map(|name| self.alive(name)).collect();
            let mut strays: Vec<_> = self.marked().into_iter().map(|process| process.identity).collect();
            strays.retain(|stray| !recorded.contains(stray));
            if strays.is_empty() {
                return;
            }
            let pids: Vec<_> = strays.iter().map(|stray| stray.pid().to_string()).collect();
            report("strays", &format!("stopping {}", pids.join(" ")));
            strays.iter().for_each(|stray| stray.signal(Signal::TERM));
            if !block_until(STRAY_LIMIT, || strays.iter().all(|stray| !stray.is_alive())) {
                strays.iter().for_each(|stray| stray.signal(Signal::KILL));
            }
        }
    }

    /// Kills the background steps of a `./dev`, which a script killed with SIGKILL leaves running.
    pub fn kill_steps(&self, dev: impl Display) {
        for step in marked_processes(WORKER_MARK, &format!("{}:{dev}", self.path.display())) {
            step.identity.signal(Signal::KILL);
        }
    }

    /// Returns whether a process is alive and responds on its port with its protocol.
    pub fn is_ready(&self, name: &str) -> bool {
        self.alive(name).is_some() && self.responds(name)
    }

    fn responds(&self, name: &str) -> bool {
        let (listener, protocol) = probe(name);
        let port = ports::read_stored(&self.ports_file()).into_iter().find(|port| port.name == listener);
        port.is_some_and(|port| protocol.is_ready(ports::local(port.port)))
    }

    /// Waits until a process is ready. Ends at once when the process exits; returns the reason of a failure.
    pub fn block_until_ready(&self, name: &str, limit: Duration) -> Result<(), String> {
        let mut exited = false;
        let in_time = block_until(limit, || {
            exited = self.alive(name).is_none();
            exited || self.responds(name)
        });
        // Another process may respond on the port of a process that has just failed to bind it.
        match (exited || self.alive(name).is_none(), in_time) {
            (true, _) => Err(format!("{name} exited while starting")),
            (false, true) => Ok(()),
            (false, false) => Err(format!("{name} was not ready within {} s", limit.as_secs())),
        }
    }

    fn ports_file(&self) -> PathBuf {
        self.path.join("ports")
    }

    /// Chooses, claims and stores ports, see [`ports`]. Returns those that are neither the default nor the stored one.
    pub fn choose_ports(&self, holder: Identity, defaults: &[NamedPort]) -> io::Result<Vec<NamedPort>> {
        ports::choose(&self.ports_file(), &self.path.to_string_lossy(), holder, defaults)
    }
}

/// Makes this process the leader of a session, so that no signal of a terminal reaches it, and replaces its program.
/// Returns only if that fails.
pub fn enter_session(words: &[String]) -> io::Error {
    if let Err(error) = rustix::process::setsid() {
        return error.into();
    }
    match words.split_first() {
        Some((program, arguments)) => Command::new(Path::new(program)).args(arguments).exec(),
        None => io::Error::other("there is no command"),
    }
}

/// Returns the listener of a process that shows whether it is ready, and its protocol.
fn probe(name: &str) -> (String, Protocol) {
    let protocol = match name {
        "redis" => Protocol::Redis,
        "redis-cluster" => Protocol::RedisCluster,
        "postgres" => Protocol::Postgres,
        "kafka" => Protocol::Kafka,
        "mail" => Protocol::Smtp,
        "prometheus" => Protocol::Http("/-/ready"),
        _ => Protocol::HEALTH,
    };
    let listener = if name.starts_with("gateway-") { format!("{name}-admin") } else { name.to_owned() };
    (listener, protocol)
}

fn stop_signal(name: &str) -> Signal {
    // Postgres would wait for its clients after SIGTERM.
    if name == "postgres" { Signal::INT } else { Signal::TERM }
}

fn grace_period(name: &str) -> Duration {
    Duration::from_secs(match name.split('-').next() {
        Some("gateway" | "settlement") => 12, // they drain within 10 s
        Some("kafka") => 20,
        // The consumers finish an event, leave their group, and flush messages.
        _ => 15,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Stack {
        folder: StackFolder,
        events: Vec<String>,
    }

    impl Stack {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("stack-folder-{name}-{}", std::process::id()));
            for part in ["run", "logs"] {
                fs::create_dir_all(path.join(part)).unwrap();
            }
            Self { folder: StackFolder::new(path), events: vec![] }
        }

        fn spawn(&self, name: &str, words: &[&str]) -> Identity {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            self.folder.spawn(name, Command::new("setsid"), &words).unwrap();
            let identity = self.folder.identity(name).unwrap();
            // Before that, the child still has the environment of this process.
            let is_marked = || {
                self.folder.marked().iter().any(|process| process.identity == identity)
                    || !identity.is_alive()
            };
            assert!(block_until(Duration::from_secs(10), is_marked));
            identity
        }

        fn stop(&mut self, name: &str) {
            let report = &mut |name: &str, event: &str| self.events.push(format!("{name} {event}"));
            self.folder.stop(&[name.to_owned()], report).unwrap();
        }

        fn stop_strays(&mut self) {
            self.folder
                .stop_strays(&mut |name: &str, event: &str| self.events.push(format!("{name} {event}")));
        }
    }

    impl Drop for Stack {
        fn drop(&mut self) {
            self.stop_strays();
            let _ = fs::remove_dir_all(&self.folder.path); // a leftover in the temporary folder is harmless
        }
    }

    #[test]
    fn a_process_is_found_stopped_and_forgotten_even_if_it_was_not_recorded() {
        let mut stack = Stack::new("adopted");
        let identity = stack.spawn("redis", &["sleep", "60"]);
        assert_eq!(
            (stack.folder.alive("redis"), stack.folder.names()),
            (Some(identity), vec!["redis".into()])
        );
        assert_eq!(stack.folder.launch("redis").unwrap(), ["sleep", "60"]);
        fs::remove_file(stack.folder.run_file("redis", "pid")).unwrap();
        stack.folder.adopt().unwrap();
        assert_eq!(stack.folder.alive("redis"), Some(identity));
        identity.signal(Signal::STOP);
        stack.stop("redis");
        assert!(!identity.is_alive() && stack.events[0].starts_with("redis stopped"), "{:?}", stack.events);
        assert!(stack.folder.names().is_empty() && stack.folder.launch("redis").is_err());
    }

    #[test]
    fn only_processes_without_a_record_are_strays() {
        let mut stack = Stack::new("strays");
        let (kept, stray) = (stack.spawn("kept", &["sleep", "60"]), stack.spawn("stray", &["sleep", "60"]));
        stack.folder.forget("stray");
        stack.stop_strays();
        assert!(kept.is_alive() && !stray.is_alive());
        assert_eq!(stack.events, [format!("strays stopping {}", stray.pid())]);
        stack.stop("kept");
    }

    #[test]
    fn a_wait_for_readiness_ends_with_the_process() {
        let stack = Stack::new("exited");
        stack.spawn("kafka", &["sh", "-c", "echo no space left; exit 1"]);
        let begun = Instant::now();
        let error = stack.folder.block_until_ready("kafka", Duration::from_secs(60)).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(30), "the wait ends before its limit");
        assert_eq!(error, "kafka exited while starting");
        assert_eq!(fs::read_to_string(stack.folder.log("kafka")).unwrap(), "no space left\n");
    }
}
