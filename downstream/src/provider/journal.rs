//! The provider's journal: an append-only file of events, one JSON object in each line, which the provider replays
//! after a restart. No response is sent before the disk has its event. Concurrent requests share one fsync.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use contract::wire;
use tokio::sync::watch;

use super::ledger::LedgerEvent;

/// The greatest number of events that one fsync makes durable.
const EVENTS_MAX: usize = 4096;

/// The reason why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be opened, read or truncated.
    #[error("cannot open the provider's journal {0}")]
    File(PathBuf, #[source] io::Error),
    /// A complete line is not an event: the file was modified by another program.
    #[error("the provider's journal {0} has an invalid line {1}")]
    Line(PathBuf, usize, #[source] serde_json::Error),
    /// The disk has not accepted an event.
    #[error("the provider's journal cannot be written")]
    Broken,
}

/// The durable part of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    events: u64,
    broken: bool,
}

/// The writing end of the open file.
pub struct Journal {
    lines: mpsc::Sender<Vec<u8>>,
    appended: u64,
    progress: watch::Receiver<Progress>,
}

/// A position in the journal that a request waits for.
pub struct JournalPosition {
    events: u64,
    progress: watch::Receiver<Progress>,
}

impl Journal {
    /// Opens or creates the file, and passes every event in it to `replay`, in order. An incomplete last line was being
    /// written when the process died, so no client got its response: it is cut off.
    pub fn open(path: &Path, mut replay: impl FnMut(LedgerEvent)) -> Result<Self, JournalError> {
        let failed = |error| JournalError::File(path.into(), error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let options = || std::fs::OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = options().map_err(failed)?;
        let (mut lines, mut line, mut complete_bytes) = (BufReader::new(&file), Vec::new(), 0);
        for number in 1.. {
            line.clear();
            let bytes = lines.read_until(b'\n', &mut line).map_err(failed)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            let event = serde_json::from_slice(&line);
            replay(event.map_err(|error| JournalError::Line(path.into(), number, error))?);
            complete_bytes += bytes as u64;
        }
        drop(lines);
        file.set_len(complete_bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        file.sync_all().map_err(failed)?;

        let (sender, receiver) = mpsc::channel();
        let (publisher, progress) = watch::channel(Progress { events: 0, broken: false });
        let writer = move || write(file, &receiver, &publisher);
        std::thread::Builder::new().name("journal".into()).spawn(writer).map_err(failed)?;
        Ok(Self { lines: sender, appended: 0, progress })
    }

    /// Passes an event to the writer. The file has the events in the order of the calls.
    pub fn append(&mut self, event: &LedgerEvent) {
        let mut line = wire::encode(event).to_vec();
        line.push(b'\n');
        self.appended += 1;
        let _ = self.lines.send(line); // a writer that has ended has marked the journal as broken
    }

    /// Returns the position behind the last appended event.
    pub fn position(&self) -> JournalPosition {
        JournalPosition { events: self.appended, progress: self.progress.clone() }
    }
}

impl JournalPosition {
    /// Waits until the disk has every event before this position.
    pub async fn wait_until_durable(mut self) -> Result<(), JournalError> {
        let reached = self.progress.wait_for(|progress| progress.broken || progress.events >= self.events);
        match reached.await {
            Ok(progress) if !progress.broken => Ok(()),
            _ => Err(JournalError::Broken),
        }
    }
}

/// Writes events until the journal is dropped. Each fsync covers all events that wait.
fn write(mut file: File, lines: &mpsc::Receiver<Vec<u8>>, progress: &watch::Sender<Progress>) {
    let mut durable = 0;
    while let Ok(mut bytes) = lines.recv() {
        let mut events = 1;
        while events < EVENTS_MAX
            && let Ok(more) = lines.try_recv()
        {
            bytes.extend_from_slice(&more);
            events += 1;
        }
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            tracing::error!(%error, "cannot write the journal, so no request gets a response any more");
            progress.send_replace(Progress { events: durable, broken: true });
            return;
        }
        durable += events as u64;
        progress.send_replace(Progress { events: durable, broken: false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: u32) -> LedgerEvent {
        LedgerEvent::CallbackClosed { callback_id: format!("msg_{n}") }
    }

    fn read(path: &Path) -> Vec<LedgerEvent> {
        let mut events = Vec::new();
        drop(Journal::open(path, |event| events.push(event)).unwrap());
        events
    }

    #[tokio::test]
    async fn durable_events_survive_a_restart_and_an_incomplete_line_does_not() {
        let path = std::env::temp_dir().join(format!("journal-{}", uuid::Uuid::now_v7())).join("events");
        let mut journal = Journal::open(&path, |_| panic!("the file is new")).unwrap();
        for n in 0..3 {
            journal.append(&event(n));
        }
        journal.position().wait_until_durable().await.unwrap();
        drop(journal);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"event":"callback_clo"#).unwrap();
        assert_eq!(read(&path), [event(0), event(1), event(2)]);

        let mut journal = Journal::open(&path, drop).unwrap();
        journal.append(&event(3));
        journal.position().wait_until_durable().await.unwrap();
        drop(journal);
        assert_eq!(read(&path), [event(0), event(1), event(2), event(3)]);

        file.write_all(b"nonsense\n").unwrap();
        assert!(matches!(Journal::open(&path, drop), Err(JournalError::Line(_, 5, _))));
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
