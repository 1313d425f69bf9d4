//! Python with what a requirements file pins, in an environment of its own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::tool::{find_program, installed_once, run_to_end};

/// `pip install` takes no longer.
const INSTALL_MAX: Duration = Duration::from_secs(300);

/// The interpreter that has the packages of the file, installed by the first who needs them. Each is pinned by its
/// hashes.
pub async fn environment(requirements: &Path) -> PathBuf {
    let lock =
        std::fs::read(requirements).unwrap_or_else(|error| panic!("{}: {error}", requirements.display()));
    let install = async |own: &Path| {
        let mut venv = Command::new(find_program(&["python3"]));
        venv.args(["-m", "venv"]).arg(own);
        run_to_end("python3 -m venv", venv, INSTALL_MAX).await;
        let mut pip = Command::new(interpreter(own));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]);
        pip.args(["--only-binary", ":all:", "--require-hashes", "-r"]).arg(requirements);
        run_to_end("pip install", pip, INSTALL_MAX).await;
    };
    interpreter(&installed_once("python", &lock, install).await)
}

/// Named by its place: the scripts beside it know the folder by the name that it was made under.
fn interpreter(environment: &Path) -> PathBuf {
    environment.join("bin/python")
}
