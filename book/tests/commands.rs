//! Every command of the documentation runs on a real system, page by page, and must print what the page shows. The system is a
//! stack of `./dev` with the programs that `./dev test` has built.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use book::expect;
use book::kind::{self, Format, Kind};
use book::page::{Block, Page, pages};
use book::shell::{Environment, Outcome, Shell, ShellError};
use contract::topics::{ORDER_EVENTS, ORDERS};
use process::kafka::{Message, Producer, ProducerSettings};

/// The timeout until a record that cannot be decoded is a dead letter.
const DEAD_LETTER_TIMEOUT: Duration = Duration::from_secs(30);

/// A private stack, which is stopped and deleted when the value is dropped.
struct Stack(Environment);

impl Stack {
    fn start() -> Self {
        let root = book::root();
        let variable = |name: &str| std::env::var_os(name);
        let programs = variable("FLASHSALE_BIN_DIR").unwrap_or_else(|| root.join("target/debug").into());
        // In a test run this is the stack `test-docs`, which ends with the run even if this program is killed.
        let mut name = variable("FLASHSALE_STACK").unwrap_or_else(|| "book".into());
        name.push("-docs");
        let mut path = programs.clone();
        path.push(":");
        path.push(variable("PATH").unwrap_or_default());
        let variables: Vec<(&str, OsString)> =
            vec![("FLASHSALE_STACK", name), ("FLASHSALE_BIN_DIR", programs.clone()), ("PATH", path)];
        let stack = Self(Environment { root, programs: programs.into(), variables });
        stack.dev("reset");
        stack.dev("up");
        stack
    }

    fn dev(&self, command: &str) -> String {
        let output = self.0.command(self.0.root.join("dev")).args(command.split(' ')).output();
        let output = output.expect("./dev runs");
        assert!(output.status.success(), "./dev {command}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Creates the faults that a page is about: a record that cannot be decoded.
    fn prepare(&self, page: &Page) {
        let topic = match page.path.to_str() {
            Some("docs/how-to/dead-letters.md") => ORDERS.name,
            Some("docs/events.md") => ORDER_EVENTS.name,
            _ => return,
        };
        let addresses = self.dev("env");
        let brokers = addresses.lines().find_map(|line| line.strip_prefix("export KAFKA_BROKERS="));
        let brokers = brokers.expect("KAFKA_BROKERS").trim_matches(['\'', '"']);
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 1 };
            let producer = Producer::start(brokers, "book", &settings).expect("a producer");
            let garbled =
                Message { topic, partition: Some(0), key: "caps", value: Some(b"garbled"), headers: &[] };
            producer.send(&garbled).expect("room").await.expect("acknowledged");
        });
        let begun = Instant::now();
        while topic == ORDERS.name && !self.dev("flashsale dead-letters list --json").contains("\"id\"") {
            assert!(begun.elapsed() < DEAD_LETTER_TIMEOUT, "the record was not dead-lettered");
            #[expect(clippy::disallowed_methods, reason = "this test has no asynchronous runtime")]
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Keep the logs of the programs.
            let _ = self.0.command(self.0.root.join("dev")).arg("down").output();
        } else {
            self.dev("reset");
        }
    }
}

/// The results of all blocks.
#[derive(Default)]
struct Tally {
    run: usize,
    compared: usize,
    faults: Vec<String>,
}

/// Runs a page from its first block to its last, or to the first that fails.
fn run_page(stack: &Stack, page: &Page, folder: &Path, tally: &mut Tally) {
    let blocks = page.blocks();
    if !blocks.iter().any(|block| is_run(&kind::classify(block).expect("checked by tests/pages.rs"))) {
        return;
    }
    let mut shell = match Shell::open(&stack.0, folder) {
        Ok(shell) => shell,
        Err(error) => return tally.faults.push(format!("{}: {error}", page.path.display())),
    };
    // The README of a folder contains the first commands of its other pages: addresses and tokens.
    let mut last = None;
    if let Some(begin) = page.path.parent().filter(|_| !page.path.ends_with("README.md")) {
        let folder = Page::read(&stack.0.root, &begin.join("README.md")).map(|page| page.blocks());
        for block in folder.unwrap_or_default() {
            let done = run_block(&mut shell, &block, &mut last, &mut Tally::default());
            done.unwrap_or_else(|why| panic!("{}/README.md: {why}", begin.display()));
        }
    }
    for (index, block) in blocks.iter().enumerate() {
        if let Err(why) = run_block(&mut shell, block, &mut last, tally) {
            let rest = blocks[index + 1..]
                .iter()
                .filter(|block| kind::classify(block).is_ok_and(|kind| is_run(&kind)));
            let mut fault = format!("{}:{}: {why}\n", page.path.display(), block.line);
            let _ = write!(fault, "{}  ({} later blocks were not run)", block.body, rest.count());
            return tally.faults.push(fault);
        }
    }
}

fn is_run(kind: &Kind) -> bool {
    matches!(kind, Kind::Command { .. } | Kind::Console | Kind::Sql)
}

fn run_block(
    shell: &mut Shell,
    block: &Block,
    last: &mut Option<Outcome>,
    tally: &mut Tally,
) -> Result<(), String> {
    match kind::classify(block).map_err(|error| error.to_string())? {
        Kind::Command { refused } => {
            *last = Some(run_script(shell, &block.body, refused)?);
            tally.run += 1;
        }
        Kind::Sql => {
            let statement =
                format!("./dev psql -q -v ON_ERROR_STOP=1 <<'STATEMENT'\n{}STATEMENT\n", block.body);
            *last = Some(run_script(shell, &statement, false)?);
            tally.run += 1;
        }
        Kind::Console => {
            for (command, shown) in console(&block.body) {
                let outcome = run_script(shell, &format!("{{\n{command}\n}} 2>&1\n"), false)?;
                if let Some(why) = expect::text(&shown, &outcome.printed) {
                    return Err(format!("{command}: {why}"));
                }
                tally.run += 1;
                tally.compared += 1;
            }
        }
        Kind::Output(format) => {
            let outcome = last.as_ref().ok_or("no block above has printed an output")?;
            let compare = if format == Format::Json { expect::json } else { expect::text };
            if let Some(why) = compare(&block.body, &outcome.printed) {
                return Err(why);
            }
            tally.compared += 1;
        }
        Kind::Data { file: Some(file), .. } => {
            shell.write(&file, &block.body).map_err(|error| error.to_string())?;
        }
        Kind::Data { file: None, .. } | Kind::Parsed(_) | Kind::Displayed => {}
    }
    Ok(())
}

fn run_script(shell: &mut Shell, command: &str, refused: bool) -> Result<Outcome, String> {
    let outcome = shell.run(command, refused).map_err(|error: ShellError| error.to_string())?;
    match (outcome.status == 0, refused) {
        (true, true) => Err(format!("the command should have failed\n{}", outcome.printed)),
        (false, false) => Err(format!("status {}\n{}{}", outcome.status, outcome.printed, outcome.errors)),
        _ => Ok(outcome),
    }
}

/// Splits a console block into commands after `$ `, each with the lines below it. A command continues after a backslash.
fn console(body: &str) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let mut continues = false;
    for line in body.lines() {
        match (line.strip_prefix("$ "), pairs.last_mut()) {
            (Some(command), _) => pairs.push((command.to_owned(), String::new())),
            (None, Some((command, _))) if continues => {
                command.push('\n');
                command.push_str(line);
            }
            (None, Some((_, output))) => {
                output.push_str(line);
                output.push('\n');
            }
            (None, None) => panic!("a console block begins with `$ `: {line}"),
        }
        continues = line.ends_with('\\') && pairs.last().is_some_and(|(_, output)| output.is_empty());
    }
    pairs
}

/// Sorts pages in the order of the book, after the top-level pages.
fn in_reading_order(mut pages: Vec<Page>) -> Vec<Page> {
    let summary = std::fs::read_to_string(book::root().join("docs/SUMMARY.md")).expect("docs/SUMMARY.md");
    let place = |page: &Page| {
        let name = page.path.strip_prefix("docs").map(PathBuf::from).unwrap_or_default();
        summary.find(&format!("({})", name.display())).unwrap_or_default()
    };
    pages.sort_by_key(place);
    pages
}

#[test]
fn every_command_works_and_prints_what_is_shown() {
    let stack = Stack::start();
    let only = std::env::var("BOOK_PAGE").ok(); // for authors: BOOK_PAGE=docs/tutorial.md
    let mut tally = Tally::default();
    for page in in_reading_order(pages(&book::root()).expect("the pages")) {
        if only.as_ref().is_none_or(|only| page.path == Path::new(only)) {
            let folder =
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages").join(page.path.with_extension(""));
            stack.prepare(&page);
            run_page(&stack, &page, &folder, &mut tally);
            if page.blocks().iter().any(|block| block.body.contains("./dev down")) {
                stack.dev("up"); // for the following pages
            }
        }
    }
    println!("{} commands run, {} outputs compared", tally.run, tally.compared);
    assert!(
        tally.faults.is_empty(),
        "{} pages are wrong:\n\n{}",
        tally.faults.len(),
        tally.faults.join("\n\n")
    );
    assert!(only.is_some() || (tally.run > 40 && tally.compared > 15), "most pages were not found");
}

#[test]
fn a_console_has_commands_and_their_outputs() {
    let pairs = console("$ one \\\n  more\nout\nput\n$ two\n");
    assert_eq!(
        pairs,
        [("one \\\n  more".to_owned(), "out\nput\n".to_owned()), ("two".to_owned(), String::new())]
    );
}
