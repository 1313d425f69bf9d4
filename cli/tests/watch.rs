//! The live view on a terminal, and as lines without one.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;
use support::Operator;
use testkit::client::{order_body, terms};
use testkit::{Forwarder, fresh, shared, until};

/// A program on a pseudo-terminal, and the contents of its screen.
struct Terminal {
    keyboard: std::fs::File,
    screen: Arc<Mutex<vt100::Parser>>,
    child: Child,
}

impl Terminal {
    /// Starts the command in its own session, so that it receives Ctrl-C and changes of size.
    fn start(command: &Command, lines: u16, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("ours");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("its name");
        let name = name.into_string().expect("text");
        let slave = || std::fs::File::options().read(true).write(true).open(&name).expect("the other end");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(lines, columns, 0)));
        let keyboard = std::fs::File::from(master);
        resize(&keyboard, lines, columns);
        let mut whole = Command::new("setsid");
        whole.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_clear();
        whole.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            whole.env(name, value.expect("set"));
        }
        let child = whole.stdin(slave()).stdout(slave()).stderr(slave()).spawn().expect("setsid is there");
        let mut shown = keyboard.try_clone().expect("a copy");
        std::thread::spawn({
            let screen = screen.clone();
            move || {
                let mut bytes = [0; 4096];
                while let Ok(n @ 1..) = shown.read(&mut bytes) {
                    screen.lock().process(&bytes[..n]);
                }
            }
        });
        Self { keyboard, screen, child }
    }

    fn text(&self) -> String {
        self.screen.lock().screen().contents()
    }

    async fn shows(&self, what: &str) {
        until(&format!("the screen shows {what}"), async || self.text().contains(what)).await;
    }

    fn resize(&self, lines: u16, columns: u16) {
        let mut screen = self.screen.lock();
        screen.screen_mut().set_size(lines, columns);
        resize(&self.keyboard, lines, columns);
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("typed");
    }

    /// Waits until the program exits, and checks that the terminal is restored.
    async fn exit_code(mut self) -> i32 {
        let status =
            testkit::eventually("the program has ended", async || self.child.try_wait().expect("a child"))
                .await;
        until("the terminal is restored", async || {
            let screen = self.screen.lock();
            !screen.screen().alternate_screen() && !screen.screen().hide_cursor()
        })
        .await;
        let modes = rustix::termios::tcgetattr(&self.keyboard).expect("its modes").local_modes;
        assert!(
            modes.contains(rustix::termios::LocalModes::ICANON | rustix::termios::LocalModes::ECHO),
            "{modes:?}"
        );
        status.code().expect("not killed")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have exited already
        let _ = self.child.wait();
    }
}

fn resize(terminal: &std::fs::File, lines: u16, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: lines, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
        .expect("resized");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_shows_the_sale_live_and_is_restored() {
    let (client, sale) = (shared().client(), fresh("watched"));
    client.open_sale(&sale, terms(&[("MUG", 1000, Some(4)), ("CUP", 1, None)])).await;
    let (way, admin_url) = Forwarder::start_for_url(&format!("{}/", shared().gateways[0].1)).await;
    let operator = Operator { admin_url, token: Some("dev-admin") };
    let mut terminal = Terminal::start(&operator.command(&["watch", &sale]), 30, 110);
    terminal.shows("4 left  0 held  0 sold  of 4").await;
    terminal.shows("unlimited").await;
    terminal.shows("✓ kafka").await;
    let accepted = client.order_until_answered(&sale, "alice", "k", &order_body(&[("MUG", 1)])).await;
    assert_eq!(accepted.status, 202);
    terminal.shows("3 left  1 held  0 sold  of 4").await;
    terminal.shows("▓").await;
    terminal.shows("1 orders settled").await;

    way.cut();
    terminal.shows("NO RESPONSE").await;
    way.mend();
    terminal.shows("live ").await;

    // Everything that fits is shown at any size; the last line stays at the bottom.
    for (lines, columns) in [(12, 50), (5, 20), (2, 8), (30, 110)] {
        terminal.resize(lines, columns);
        until(&format!("{lines} lines of {columns} are filled"), async || {
            let text = terminal.text();
            text.lines().last().is_some_and(|last| last.starts_with("q quit")) || lines < 5
        })
        .await;
    }
    terminal.shows("3 left  1 held").await;
    terminal.press("q");
    assert_eq!(terminal.exit_code().await, 0);

    let mut terminal = Terminal::start(&operator.command(&["watch"]), 24, 80);
    terminal.shows(&sale[..8]).await;
    terminal.press("\x03");
    assert_eq!(terminal.exit_code().await, 0);
    let terminal = Terminal::start(&operator.command(&["watch"]), 24, 80);
    terminal.shows("accepted").await;
    let pid = terminal.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    assert_eq!(terminal.exit_code().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_one_line_per_second_is_printed_also_during_an_outage() {
    let (client, sale) = (shared().client(), fresh("lines"));
    client.open_sale(&sale, terms(&[("A", 1000, Some(4))])).await;
    let text = Operator::for_system(shared()).run(&["watch", &sale, "--for", "1.5"]).ok().out;
    assert!(text.lines().count() >= 2, "{text}");
    assert!(text.lines().all(|line| line.contains(&sale) && line.contains(" A:4/4")), "{text}");

    let (way, admin_url) = Forwarder::start_for_url(&format!("{}/", shared().gateways[0].1)).await;
    let operator = Operator { admin_url, token: Some("dev-admin") };
    let mut command = operator.command(&["watch", &sale, "--json"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next =
        || -> Value { serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON") };
    let first = next();
    assert_eq!(first["overview"]["sales"][0]["items"][0]["available"], 4);
    assert_eq!(first["overview"]["sales"].as_array().expect("sales").len(), 1);
    assert!(next()["rates"]["accepted_per_second"].is_number());
    way.cut();
    while next()["error"]["kind"] != "unreachable" {}
    way.mend();
    while next()["rates"].is_null() {}
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_an_unknown_sale_fails() {
    let operator = Operator::for_system(shared());
    assert_eq!(operator.run(&["watch", &fresh("none"), "--for", "1"]).code, 4);
    assert_eq!(Operator { token: Some("dev:alice"), ..operator }.run(&["watch"]).code, 5);
}
