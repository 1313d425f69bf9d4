//! Browser tests of the pages: runs a file of `storefront/browser/` with Node, after installing the packages of its
//! `package.json`. `storefront/browser/kit.js` explains how such a file is written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::System;
use crate::tool::{find_program, installed_once, root, run_to_end};

/// The timeout for all journeys of a file, on a busy machine.
const JOURNEYS_MAX: Duration = Duration::from_secs(600);
/// The timeout of `npm ci`.
const INSTALL_MAX: Duration = Duration::from_secs(300);
/// The names of the browser's program on different systems.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Runs all journeys of a file on a system whose first gateway serves the storefront. If one fails, it panics with their
/// output. Screenshots are in `.dev/screenshots/`.
pub async fn run_journeys(file: &str, system: &System) {
    let root = root();
    let folder = root.join("storefront/browser");
    let modules = installed(&folder).await;
    let (shop, admin) = &system.gateways[0];
    let mut node = Command::new(find_program(&["node", "nodejs"]));
    node.arg(folder.join(file))
        .env("FLASHSALE_BROWSER_MODULES", modules)
        .env("FLASHSALE_CHROMIUM", find_program(&BROWSERS))
        .env("FLASHSALE_SCREENSHOTS", root.join(".dev/screenshots"))
        .env("FLASHSALE_SHOP_URL", shop)
        .env("FLASHSALE_ADMIN_URL", admin);
    run_to_end(file, node, JOURNEYS_MAX).await;
}

/// Returns the folder with the modules of the lock file. The first caller installs them.
async fn installed(folder: &Path) -> PathBuf {
    let read =
        |name: &str| std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let install = async |own: &Path| {
        for name in ["package.json", "package-lock.json", ".npmrc"] {
            std::fs::write(own.join(name), read(name)).expect("written");
        }
        let mut npm = Command::new(find_program(&["npm"]));
        npm.args(["ci", "--ignore-scripts", "--no-progress"]).current_dir(own);
        run_to_end("npm ci", npm, INSTALL_MAX).await;
    };
    installed_once("browser-tests", &read("package-lock.json"), install).await
}
