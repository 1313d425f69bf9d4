//! `flashsale watch`: the sale as it goes, on a terminal; one line a second where there is none.

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
use crate::output::{self, Reader};
use crate::overview::Look;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A gateway shares a look for half a second: a sale that it lacks may be younger than the look.
const SHARED_FOR: Duration = Duration::from_millis(500);
/// A look that takes longer has failed; the next one is not kept waiting.
const LOOK_MAX: Duration = Duration::from_secs(3);
/// Lines of a page of the list.
const PAGE: u16 = 10;

/// Looks until told to end, or for so long. The first look must succeed; later ones may fail for as long as they do.
pub(crate) async fn run(
    api: &Api,
    reader: Reader,
    sale: Option<SaleId>,
    limit: Option<f64>,
) -> Result<(), Failure> {
    let mut first = Look::take(api, sale.as_ref()).await?;
    if sale.is_some() && first.seen.sales.is_empty() {
        tokio::time::sleep(SHARED_FOR).await;
        first = Look::take(api, sale.as_ref()).await?;
    }
    if let (Some(sale), true) = (&sale, first.seen.sales.is_empty()) {
        return Err(Failure::NotFound {
            what: format!("there is no sale {sale}"),
            hint: "`flashsale sale list` shows those there are".into(),
        });
    }
    let until = limit.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    let looks = Looks { api: api.within(LOOK_MAX), sale, until };
    if reader == Reader::Person && io::stdout().is_terminal() && io::stdin().is_terminal() {
        on_screen(looks, first).await
    } else {
        by_line(looks, reader, first).await
    }
}

struct Looks {
    api: Api,
    sale: Option<SaleId>,
    until: Option<Instant>,
}

impl Looks {
    /// Looks once a second into a channel, until the time is over or nobody listens.
    fn start(self) -> mpsc::Receiver<Result<Look, Failure>> {
        let (tell, told) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut every = tokio::time::interval_at(tokio::time::Instant::now() + LOOK_EVERY, LOOK_EVERY);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                let is_over = self.until.is_some_and(|until| Instant::now() >= until);
                if is_over || tell.send(Look::take(&self.api, self.sale.as_ref()).await).await.is_err() {
                    return;
                }
            }
        });
        told
    }
}

async fn by_line(looks: Looks, reader: Reader, first: Look) -> Result<(), Failure> {
    let mut history = History::default();
    let mut looks = looks.start();
    let mut next: Option<Result<Look, Failure>> = Some(Ok(first));
    while let Some(looked) = next {
        let text = match (looked, reader) {
            (Ok(look), Reader::Person) => {
                let rates = history.push(&look.seen);
                line::text(&look.seen, rates)
            }
            (Ok(look), Reader::Program) => {
                let rates = history.push(&look.seen);
                line::json(&look, rates).to_string()
            }
            (Err(failure), Reader::Person) => format!("no answer: {failure}"),
            (Err(failure), Reader::Program) => failure.as_json().to_string(),
        };
        if !output::goes_on((text + "\n").as_bytes())? {
            return Ok(());
        }
        next = looks.recv().await;
    }
    Ok(())
}

/// The terminal as it was, whatever happens: also after a panic, whose message would be lost on the other screen.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> Result<Self, Failure> {
        ratatui::try_init().map(Self).map_err(Failure::Output)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

async fn on_screen(looks: Looks, first: Look) -> Result<(), Failure> {
    let mut ended = signals().map_err(Failure::Output)?;
    let mut view = View {
        url: looks.api.url().into(),
        seen: first.seen,
        history: History::default(),
        lost: None,
        scroll: 0,
        coloured: terminal::is_coloured(&io::stdout()),
    };
    view.history.push(&view.seen);
    let mut heard = Instant::now();
    let mut looks = looks.start();
    let mut screen = Screen::take()?;
    let mut keys = events();
    loop {
        screen.0.draw(|frame| screen::draw(frame, &view)).map_err(Failure::Output)?;
        tokio::select! {
            looked = looks.recv() => match looked {
                None => return Ok(()),
                Some(Ok(look)) => {
                    view.history.push(&look.seen);
                    (view.seen, view.lost, heard) = (look.seen, None, Instant::now());
                }
                Some(Err(failure)) => view.lost = Some((heard.elapsed(), failure.to_string())),
            },
            event = keys.recv() => match event {
                Some(Event::Key(key)) if key.kind == KeyEventKind::Press => match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                    KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                    KeyCode::Up => view.scroll = view.scroll.saturating_sub(1),
                    KeyCode::Down => view.scroll = view.scroll.saturating_add(1),
                    KeyCode::PageUp => view.scroll = view.scroll.saturating_sub(PAGE),
                    KeyCode::PageDown => view.scroll = view.scroll.saturating_add(PAGE),
                    KeyCode::Home => view.scroll = 0,
                    _ => {}
                },
                Some(_) => {} // drawn again, at the new size
                None => return Ok(()), // the terminal is gone
            },
            () = ended.recv() => return Ok(()),
        }
    }
}

/// What is typed, and changes of size; read by a thread of its own, which ends with the program.
fn events() -> mpsc::Receiver<Event> {
    let (tell, told) = mpsc::channel(16);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            if tell.blocking_send(event).is_err() {
                return;
            }
        }
    });
    told
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
