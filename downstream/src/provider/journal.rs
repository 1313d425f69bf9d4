//! What the provider remembers over a restart: an append-only file of events, one JSON object a line. Nothing
//! is answered before the disk has it. Whoever waits at the same time shares one fsync.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc;

use tokio::sync::watch;

use super::ledger::LedgerEvent;

/// Events that one fsync makes durable, at most.
const EVENTS_MAX: usize = 4096;

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file.
    #[error("the provider's journal {0}: {1}")]
    File(String, io::Error),
    /// A whole line that is no event: somebody changed the file.
    #[error("the provider's journal {0}: line {1}: {2}")]
    Line(String, usize, serde_json::Error),
    /// The disk did not take what was appended.
    #[error("the provider's journal cannot be written")]
    Broken,
}

/// How far the file is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Progress {
    events: u64,
    broken: bool,
}

/// The open file's writing end.
pub struct Journal {
    lines: mpsc::Sender<Vec<u8>>,
    appended: u64,
    progress: watch::Receiver<Progress>,
}

/// A place in the journal, to be waited for.
pub struct JournalPosition {
    events: u64,
    progress: watch::Receiver<Progress>,
}

impl Journal {
    /// Opens or creates the file, and gives every event in it to `read`, in order. A last line without an end
    /// was being written when the process died, so nobody was told of it: it is cut off.
    pub fn open(path: &Path, mut read: impl FnMut(LedgerEvent)) -> Result<Self, JournalError> {
        let name = path.display().to_string();
        let failed = |error| JournalError::File(name.clone(), error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let options = || std::fs::OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = options().map_err(failed)?;
        let (mut lines, mut line, mut whole_bytes) = (BufReader::new(&file), Vec::new(), 0);
        for number in 1.. {
            line.clear();
            let bytes = lines.read_until(b'\n', &mut line).map_err(failed)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            let event = serde_json::from_slice(&line);
            read(event.map_err(|error| JournalError::Line(name.clone(), number, error))?);
            whole_bytes += bytes as u64;
        }
        drop(lines);
        file.set_len(whole_bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        file.sync_all().map_err(failed)?;

        let (sender, receiver) = mpsc::channel();
        let (tell, progress) = watch::channel(Progress { events: 0, broken: false });
        let writer = move || write(file, &receiver, &tell);
        std::thread::Builder::new().name("journal".into()).spawn(writer).map_err(failed)?;
        Ok(Self { lines: sender, appended: 0, progress })
    }

    /// Hands an event to the writer; calls are in the order of the file.
    pub fn append(&mut self, event: &LedgerEvent) {
        let mut line = serde_json::to_vec(event).unwrap_or_default(); // names and numbers always serialize
        line.push(b'\n');
        self.appended += 1;
        let _ = self.lines.send(line); // a writer that ended has marked the journal as broken
    }

    /// Everything appended so far.
    pub fn mark(&self) -> JournalPosition {
        JournalPosition { events: self.appended, progress: self.progress.clone() }
    }
}

impl JournalPosition {
    /// Waits until the disk has it.
    pub async fn durable(mut self) -> Result<(), JournalError> {
        let reached = self.progress.wait_for(|progress| progress.broken || progress.events >= self.events);
        match reached.await {
            Ok(progress) if !progress.broken => Ok(()),
            _ => Err(JournalError::Broken),
        }
    }
}

/// Writes what comes, as much as waits at once, until nobody appends any more.
fn write(mut file: File, lines: &mpsc::Receiver<Vec<u8>>, progress: &watch::Sender<Progress>) {
    let mut done = 0;
    while let Ok(mut bytes) = lines.recv() {
        let mut events = 1;
        while events < EVENTS_MAX
            && let Ok(more) = lines.try_recv()
        {
            bytes.extend_from_slice(&more);
            events += 1;
        }
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            tracing::error!(%error, "the journal cannot be written: nothing more is answered");
            progress.send_replace(Progress { events: done, broken: true });
            return;
        }
        done += events as u64;
        progress.send_replace(Progress { events: done, broken: false });
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
    async fn what_was_durable_is_there_after_a_restart_and_half_a_line_is_not() {
        let path = std::env::temp_dir().join(format!("journal-{}", uuid::Uuid::now_v7())).join("events");
        let mut journal = Journal::open(&path, |_| panic!("it is new")).unwrap();
        for n in 0..3 {
            journal.append(&event(n));
        }
        journal.mark().durable().await.unwrap();
        drop(journal);
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(br#"{"event":"callback_clo"#).unwrap();
        assert_eq!(read(&path), [event(0), event(1), event(2)]);

        let mut journal = Journal::open(&path, drop).unwrap();
        journal.append(&event(3));
        journal.mark().durable().await.unwrap();
        drop(journal);
        assert_eq!(read(&path), [event(0), event(1), event(2), event(3)]);

        file.write_all(b"nonsense\n").unwrap();
        assert!(matches!(Journal::open(&path, drop), Err(JournalError::Line(_, 5, _))));
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
}
