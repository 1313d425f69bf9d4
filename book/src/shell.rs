//! The shell of a page. Its blocks run in one Bash, as a reader would type them into one terminal, so that variables and
//! background jobs persist until the next block. The shell works in its own folder with links to the repository, so that
//! files that the commands write are not left among the sources.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// The timeout of a block. A command takes seconds, and somewhat more if it starts programs; readers would not wait longer
/// either.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(90);

/// The shell of a page. It is killed with all processes that it has started when the value is dropped.
pub struct Shell {
    child: Child,
    input: ChildStdin,
    statuses: Receiver<String>,
    folder: PathBuf,
    blocks: usize,
}

/// The result of a block.
#[derive(Debug)]
pub struct Outcome {
    /// The status of the last command that ran.
    pub status: i32,
    /// The standard output.
    pub printed: String,
    /// The standard error.
    pub errors: String,
}

/// The shell could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// A file or the process caused an I/O error.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The block did not end within the timeout.
    #[error("timed out after {} s\n{errors}", BLOCK_TIMEOUT.as_secs())]
    TooLong {
        /// The standard error until then.
        errors: String,
    },
    /// An earlier block has ended the shell.
    #[error("the shell has already exited")]
    Ended,
}

/// The environment in which the commands of a page run.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The root of the repository.
    pub root: PathBuf,
    /// The folder of the built programs; the commands see it as `target/release`.
    pub programs: PathBuf,
    /// The variables in addition to those of a login shell.
    pub variables: Vec<(&'static str, OsString)>,
}

/// The variables of this process that the commands of a page inherit.
const INHERITED: [&str; 8] =
    ["PATH", "HOME", "LANG", "TMPDIR", "CARGO_HOME", "CARGO_TARGET_DIR", "JAVA_HOME", "FLASHSALE_STARTED_BY"];

/// The settings of `curl`: no progress bar, a timeout, failure on an HTTP error, and retries after a 503, as every client should
/// have; on a busy machine there are some.
const CURLRC: &str = "silent\nshow-error\nmax-time = 60\nfail-with-body\nretry = 20\nretry-max-time = 40\n";

impl Environment {
    /// Returns a command with only this environment.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null());
        command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Creates a folder with links to the repository, without built and ignored files. `./dev` calls the script of the
/// repository, which determines its own location.
fn link_repository(environment: &Environment, folder: &Path) -> std::io::Result<()> {
    let root = &environment.root;
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
    std::os::unix::fs::symlink(&environment.programs, folder.join("target/release"))?;
    let dev = folder.join("dev");
    std::fs::write(&dev, format!("#!/bin/sh\nexec '{}' \"$@\"\n", root.join("dev").display()))?;
    std::fs::set_permissions(&dev, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    std::fs::write(folder.join(".curlrc"), CURLRC)
}

impl Shell {
    /// Opens a shell that works in `folder`, which is created again.
    pub fn open(environment: &Environment, folder: &Path) -> Result<Self, ShellError> {
        link_repository(environment, folder)?;
        let mut command = environment.command("bash");
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
        Ok(Self { child, input, statuses, folder: folder.to_owned(), blocks: 0 })
    }

    /// Writes a file into the folder of the commands.
    pub fn write(&self, name: &str, body: &str) -> Result<(), ShellError> {
        let path = self.folder.join(name);
        // A link to a file of the repository is replaced, so that the file itself is never changed.
        let _ = std::fs::remove_file(&path);
        Ok(std::fs::write(path, body)?)
    }

    /// Runs a block and waits until it ends. The first command that fails ends the block and the shell, unless the block is
    /// marked `refused`.
    pub fn run(&mut self, block: &str, refused: bool) -> Result<Outcome, ShellError> {
        self.blocks += 1;
        let file = |end: &str| self.folder.join(format!(".block-{}.{end}", self.blocks));
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
        let status = match self.statuses.recv_timeout(BLOCK_TIMEOUT) {
            Ok(status) => status.parse().unwrap_or(-1),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                return Err(ShellError::TooLong { errors: read(&err) });
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return Err(ShellError::Ended),
        };
        Ok(Outcome { status, printed: read(&out), errors: read(&err) })
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The whole process group, including background jobs of the page.
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
        let environment = Environment { programs: root.join("target/debug"), root, variables: vec![] };
        Shell::open(&environment, &folder).expect("a shell")
    }

    #[test]
    fn blocks_share_a_shell_and_a_failure_ends_it() {
        let mut shell = shell("shares");
        assert_eq!(shell.run("name=mina\n", false).expect("done").status, 0);
        let outcome = shell.run("echo \"$name\"; ls README.md\n", false).expect("done");
        assert_eq!((outcome.status, outcome.printed.as_str()), (0, "mina\nREADME.md\n"));
        assert_eq!(shell.run("false\ntrue\nfalse\n", true).expect("done").status, 1);
        assert_eq!(shell.run("false\necho reached\n", false).expect("done").status, 1);
        assert!(shell.run("true\n", false).is_err());
        let folder = shell.folder.clone();
        drop(shell);
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
