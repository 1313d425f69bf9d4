//! Journeys of people through our pages, in a real browser: runs a file of `storefront/browser/` with Node, once what
//! `package.json` names is there. How such a file is written: `storefront/browser/kit.js`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::System;

/// All journeys of a file take no longer, with a machine that does much else.
const JOURNEYS_MAX: Duration = Duration::from_secs(600);
/// `npm ci` takes no longer.
const INSTALL_MAX: Duration = Duration::from_secs(300);
/// Names under which systems have the browser.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Runs all journeys of a file on a system whose first gateway serves the storefront. Panics with what they printed
/// when one fails. Screenshots are in `.dev/screenshots/`.
pub async fn run(file: &str, system: &System) {
    let root = root();
    let folder = root.join("storefront/browser");
    let modules = installed(&folder, &root.join(".dev/cache")).await;
    let (shop, admin) = &system.gateways[0];
    let mut node = Command::new(program(&["node", "nodejs"]));
    node.arg(folder.join(file))
        .env("FLASHSALE_BROWSER_MODULES", modules)
        .env("FLASHSALE_CHROMIUM", program(&BROWSERS))
        .env("FLASHSALE_SCREENSHOTS", root.join(".dev/screenshots"))
        .env("FLASHSALE_SHOP_URL", shop)
        .env("FLASHSALE_ADMIN_URL", admin);
    finish(file, node, JOURNEYS_MAX).await;
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

/// The folder that has the modules of the lock file, installed by the first who needs them.
async fn installed(folder: &Path, cache: &Path) -> PathBuf {
    let read =
        |name: &str| std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let lock = read("package-lock.json");
    let digest = contract::ids::RequestDigest::of(&lock).0;
    let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let there = cache.join(format!("browser-tests-{name}"));
    if there.exists() {
        return there;
    }
    // Apart, and moved when it is whole: two may do so at once, and one may be interrupted.
    let own = cache.join(crate::fresh("browser-tests"));
    std::fs::create_dir_all(&own).expect("a folder in .dev/cache");
    for name in ["package.json", "package-lock.json", ".npmrc"] {
        std::fs::write(own.join(name), read(name)).expect("written");
    }
    let mut npm = Command::new(program(&["npm"]));
    npm.args(["ci", "--ignore-scripts", "--no-progress"]).current_dir(&own);
    finish("npm ci", npm, INSTALL_MAX).await;
    if std::fs::rename(&own, &there).is_err() {
        assert!(there.exists(), "{} cannot be moved to {}", own.display(), there.display());
        std::fs::remove_dir_all(&own).expect("what another has installed, too");
    }
    there
}

/// Where one of these is.
fn program(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = names.iter().find_map(|name| {
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    });
    found.unwrap_or_else(|| panic!("{} is not on PATH: ./dev test installs it", names[0]))
}

async fn finish(what: &str, mut command: Command, limit: Duration) {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let ended = tokio::time::timeout(limit, running).await;
    let output = ended.unwrap_or_else(|_| panic!("{what} took longer than {limit:?}")).expect("it starts");
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{what}: {}\n{text}", output.status);
    println!("{text}");
}
