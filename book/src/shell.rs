//! One page's shell: its blocks are typed into one Bash, as a reader types them into one terminal, so that variables
//! and background jobs live on to the next block. It works in a folder of its own that shows the repository, so that
//! files that the commands write are not left among the sources.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A command of a page takes seconds, one that starts programs some more; a reader would not wait longer either.
const BLOCK_LIMIT: Duration = Duration::from_secs(90);

/// A page's shell; ended, with what it started, with the value.
pub struct Shell {
    child: Child,
    input: ChildStdin,
    statuses: Receiver<String>,
    folder: PathBuf,
    typed: usize,
}

/// What became of a block.
#[derive(Debug)]
pub struct Outcome {
    /// The last command's, or that of the one that ended the block.
    pub status: i32,
    /// What was printed, without errors.
    pub printed: String,
    /// What was printed as errors.
    pub complaints: String,
}

/// The shell could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// Files or the process.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It said nothing for so long.
    #[error("not done after {} s\n{complaints}", BLOCK_LIMIT.as_secs())]
    TooLong {
        /// What it had complained of by then.
        complaints: String,
    },
    /// An earlier block ended it.
    #[error("the shell has ended before")]
    Ended,
}

/// What a page's commands run in: who is asked to answer `./dev`, and with which environment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The repository.
    pub root: PathBuf,
    /// Where the programs lie that were built; for the commands `target/release`.
    pub programs: PathBuf,
    /// Added to what a login has.
    pub environment: Vec<(&'static str, OsString)>,
}

/// What of this process' environment a page's commands see.
const KEPT: [&str; 8] =
    ["PATH", "HOME", "LANG", "TMPDIR", "CARGO_HOME", "CARGO_TARGET_DIR", "JAVA_HOME", "FLASHSALE_STARTED_BY"];

/// `curl` says nothing of its progress, does not wait for ever, fails where the server refuses, and comes again after a
/// 503, as every client should: on a busy machine there are some.
const CURLRC: &str = "silent\nshow-error\nmax-time = 60\nfail-with-body\nretry = 20\nretry-max-time = 40\n";

impl Surroundings {
    /// A command with this environment and no more.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null());
        command.envs(KEPT.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A folder that shows the repository. What is built and what is ignored is left out, and `./dev` is that of the
/// repository, which looks for itself where it lies.
fn show_repository(surroundings: &Surroundings, folder: &Path) -> std::io::Result<()> {
    let root = &surroundings.root;
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name();
        if !["dev", "target", ".dev", ".git"].iter().any(|own| name == *own) {
            std::os::unix::fs::symlink(root.join(&name), folder.join(&name))?;
        }
    }
    std::fs::create_dir(folder.join("target"))?;
    std::os::unix::fs::symlink(&surroundings.programs, folder.join("target/release"))?;
    let dev = folder.join("dev");
    std::fs::write(&dev, format!("#!/bin/sh\nexec '{}' \"$@\"\n", root.join("dev").display()))?;
    std::fs::set_permissions(&dev, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    std::fs::write(folder.join(".curlrc"), CURLRC)
}

impl Shell {
    /// Opens one that works in `folder`, which is made anew.
    pub fn open(surroundings: &Surroundings, folder: &Path) -> Result<Self, ShellError> {
        show_repository(surroundings, folder)?;
        let mut command = surroundings.command("bash");
        command.args(["--noprofile", "--norc"]).current_dir(folder).env("CURL_HOME", folder);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn()?;
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, statuses) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, input, statuses, folder: folder.to_owned(), typed: 0 })
    }

    /// Writes a file where the commands look for it.
    pub fn write(&self, name: &str, body: &str) -> Result<(), ShellError> {
        let path = self.folder.join(name);
        // A link to a file of the repository is replaced, never written through.
        let _ = std::fs::remove_file(&path);
        Ok(std::fs::write(path, body)?)
    }

    /// Types a block, and waits until it is done. The first command that fails ends it, and with it the shell, unless
    /// the block is one that is `refused`.
    pub fn run(&mut self, block: &str, refused: bool) -> Result<Outcome, ShellError> {
        self.typed += 1;
        let file = |end: &str| self.folder.join(format!(".block-{}.{end}", self.typed));
        let (script, out, err) = (file("sh"), file("out"), file("err"));
        std::fs::write(&script, block)?;
        let mode = if refused { "set +e" } else { "set -e" };
        let typed = format!(
            "trap 'echo $?' EXIT; {mode}; . '{}' >'{}' 2>'{}' </dev/null; echo $?\n",
            script.display(),
            out.display(),
            err.display()
        );
        let sent = self.input.write_all(typed.as_bytes()).and_then(|()| self.input.flush());
        sent.map_err(|_| ShellError::Ended)?;
        let read = |path: &Path| {
            std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
        };
        let status = match self.statuses.recv_timeout(BLOCK_LIMIT) {
            Ok(status) => status.parse().unwrap_or(-1),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                return Err(ShellError::TooLong { complaints: read(&err) });
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Err(ShellError::Ended),
        };
        Ok(Outcome { status, printed: read(&out), complaints: read(&err) })
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The whole group: also what the page has left in the background.
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str) -> Shell {
        let root = crate::root();
        let folder = std::env::temp_dir().join(format!("flashsale-book-{name}-{}", std::process::id()));
        let surroundings = Surroundings { programs: root.join("target/debug"), root, environment: vec![] };
        Shell::open(&surroundings, &folder).expect("a shell")
    }

    #[test]
    fn blocks_share_a_shell_and_a_failure_ends_it() {
        let mut shell = shell("shares");
        assert_eq!(shell.run("name=mina\n", false).expect("done").status, 0);
        let told = shell.run("echo \"$name\"; ls README.md\n", false).expect("done");
        assert_eq!((told.status, told.printed.as_str()), (0, "mina\nREADME.md\n"));
        assert_eq!(shell.run("false\ntrue\nfalse\n", true).expect("done").status, 1);
        assert_eq!(shell.run("false\necho reached\n", false).expect("done").status, 1);
        assert!(shell.run("true\n", false).is_err());
        let folder = shell.folder.clone();
        drop(shell);
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
