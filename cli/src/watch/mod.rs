//! `flashsale watch`: the live view on a terminal; without a terminal, one line per second.

mod line;
mod rates;
mod screen;

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use contract::ids::SaleId;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::rates::History;
use self::screen::View;
use crate::api::Api;
use crate::failure::Failure;
use crate::output::{self, OutputFormat};
use crate::overview::Snapshot;
use crate::sale::not_found;

/// The interval between two snapshots.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A gateway caches its overview for half a second: a sale that is not in it may have been created since.
const CACHE_AGE_MAX: Duration = Duration::from_millis(500);
/// The timeout of one request, after which the next one is sent.
const POLL_TIMEOUT: Duration = Duration::from_secs(3);
/// The number of lines that Page Up and Page Down scroll.
const PAGE_LINES: u16 = 10;

/// Runs `flashsale watch` until it is ended or the time limit is reached. The first snapshot must succeed; later ones may
/// fail for any time.
pub(crate) async fn run(
    api: &Api,
    output: OutputFormat,
    sale: Option<SaleId>,
    limit: Option<f64>,
) -> Result<(), Failure> {
    let mut first = Snapshot::fetch(api, sale.as_ref()).await?;
    if sale.is_some() && first.overview.sales.is_empty() {
        tokio::time::sleep(CACHE_AGE_MAX).await;
        first = Snapshot::fetch(api, sale.as_ref()).await?;
    }
    if let (Some(sale), true) = (&sale, first.overview.sales.is_empty()) {
        return Err(not_found(sale));
    }
    let until = limit.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    let poller = Poller { api: api.with_timeout(POLL_TIMEOUT), sale, until };
    if output == OutputFormat::Text && io::stdout().is_terminal() && io::stdin().is_terminal() {
        on_screen(poller, first).await
    } else {
        by_line(poller, output, first).await
    }
}

struct Poller {
    api: Api,
    sale: Option<SaleId>,
    until: Option<Instant>,
}

impl Poller {
    /// Polls once per second and sends each result to a channel, until the time limit or until the channel is closed.
    fn start(self) -> mpsc::Receiver<Result<Snapshot, Failure>> {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut interval =
                tokio::time::interval_at(tokio::time::Instant::now() + POLL_INTERVAL, POLL_INTERVAL);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                interval.tick().await;
                let is_over = self.until.is_some_and(|until| Instant::now() >= until);
                if is_over || sender.send(Snapshot::fetch(&self.api, self.sale.as_ref()).await).await.is_err()
                {
                    return;
                }
            }
        });
        receiver
    }
}

async fn by_line(poller: Poller, output: OutputFormat, first: Snapshot) -> Result<(), Failure> {
    let mut history = History::default();
    let mut snapshots = poller.start();
    let mut next: Option<Result<Snapshot, Failure>> = Some(Ok(first));
    while let Some(result) = next {
        let text = match (result, output) {
            (Ok(snapshot), OutputFormat::Text) => {
                let rates = history.push(&snapshot.overview);
                line::text(&snapshot.overview, rates)
            }
            (Ok(snapshot), OutputFormat::Json) => {
                let rates = history.push(&snapshot.overview);
                line::json(&snapshot, rates).to_string()
            }
            (Err(failure), OutputFormat::Text) => format!("no response: {failure}"),
            (Err(failure), OutputFormat::Json) => failure.as_json().to_string(),
        };
        if !output::write_bytes((text + "\n").as_bytes())? {
            return Ok(());
        }
        next = snapshots.recv().await;
    }
    Ok(())
}

/// The alternate screen. The terminal is restored when this is dropped, also after a panic, whose message would be lost
/// otherwise.
struct Screen(DefaultTerminal);

impl Screen {
    fn enter() -> Result<Self, Failure> {
        ratatui::try_init().map(Self).map_err(Failure::Output)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

async fn on_screen(poller: Poller, first: Snapshot) -> Result<(), Failure> {
    let mut ended = signals().map_err(Failure::Output)?;
    let mut view = View {
        url: poller.api.url().into(),
        overview: first.overview,
        history: History::default(),
        outage: None,
        scroll: 0,
        coloured: terminal::is_coloured(&io::stdout()),
    };
    view.history.push(&view.overview);
    let mut last_response = Instant::now();
    let mut snapshots = poller.start();
    let mut screen = Screen::enter()?;
    let mut keys = events();
    loop {
        screen.0.draw(|frame| screen::draw(frame, &view)).map_err(Failure::Output)?;
        tokio::select! {
            result = snapshots.recv() => match result {
                None => return Ok(()),
                Some(Ok(snapshot)) => {
                    view.history.push(&snapshot.overview);
                    (view.overview, view.outage, last_response) = (snapshot.overview, None, Instant::now());
                }
                Some(Err(failure)) => view.outage = Some((last_response.elapsed(), failure.to_string())),
            },
            event = keys.recv() => match event {
                Some(Event::Key(key)) if key.kind == KeyEventKind::Press => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                    KeyCode::Up => view.scroll = view.scroll.saturating_sub(1),
                    KeyCode::Down => view.scroll = view.scroll.saturating_add(1),
                    KeyCode::PageUp => view.scroll = view.scroll.saturating_sub(PAGE_LINES),
                    KeyCode::PageDown => view.scroll = view.scroll.saturating_add(PAGE_LINES),
                    KeyCode::Home => view.scroll = 0,
                    _ => {}
                },
                Some(_) => {} // redrawn at the new size
                None => return Ok(()), // the terminal is closed
            },
            () = ended.recv() => return Ok(()),
        }
    }
}

/// Receives key presses and changes of size, from a thread that ends with the program.
fn events() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The signals that end a program.
struct Signals([tokio::signal::unix::Signal; 3]);

fn signals() -> io::Result<Signals> {
    Ok(Signals([
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    ]))
}

impl Signals {
    async fn recv(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
