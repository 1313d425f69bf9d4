//! Python environments with the packages of a requirements file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::tool::{find_program, installed_once, run_to_end};

/// The timeout of `pip install`.
const INSTALL_MAX: Duration = Duration::from_secs(300);

/// Returns the interpreter of an environment with the packages of the file, which pins them by their hashes. The first
/// caller installs them.
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

/// Returns the path of the interpreter. The environment's scripts are not used, because they contain the folder's name
/// at the time of the installation.
fn interpreter(environment: &Path) -> PathBuf {
    environment.join("bin/python")
}
