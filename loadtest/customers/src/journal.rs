//! The clients' own record of what they sent and what they were told, one JSON line an answer.
//!
//! `check` compares it with Postgres, Redis and the log, so nothing in it comes from there. A thread of
//! its own formats and writes, so that the load is not slowed down by a disk.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use contract::ids::{OrderId, RequestDigest};
use contract::order::OrderRequest;
use serde::{Deserialize, Serialize};

use crate::answer::Answer;

/// Why a request was sent the way it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// An ordinary order, or its retry.
    Plain,
    /// One of two equal requests sent at the same time.
    Doubled,
    /// The same request again, later.
    Repeated,
    /// The same key with another body.
    OtherBody,
    /// Not a valid request.
    Malformed,
    /// The client closed the connection right after sending.
    HungUp,
}

/// One answer, or its absence (`status` 0).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it
pub struct Entry {
    /// Microseconds since 1970, by the client's clock.
    pub sent_us: u64,
    pub answered_us: u64,
    pub sale: String,
    pub customer: String,
    /// Absent where the request carried none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub gateway: String,
    pub class: Class,
    /// Of the decoded body; absent where the body is not an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<RequestDigest>,
    /// What was asked for, as `["sku", quantity]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<(String, u64)>,
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<OrderId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtotal: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_fee: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// Of a sold-out refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// What was sent, before its answer is known.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Sent<'a> {
    pub sale: &'a str,
    pub customer: &'a str,
    pub key: Option<&'a str>,
    pub gateway: &'a str,
    pub class: Class,
    /// `None`: the body is not an order.
    pub order: Option<&'a OrderRequest>,
    pub sent_us: u64,
}

impl Entry {
    /// What was sent, together with what came back just now.
    pub fn new(sent: &Sent<'_>, answer: &Answer) -> Self {
        let lines = sent.order.map(|order| {
            order.items.iter().map(|line| (line.sku.clone(), line.quantity.unsigned_abs())).collect()
        });
        Self {
            sent_us: sent.sent_us,
            answered_us: now_us(),
            sale: sent.sale.to_owned(),
            customer: sent.customer.to_owned(),
            key: sent.key.map(str::to_owned),
            gateway: sent.gateway.to_owned(),
            class: sent.class,
            digest: sent.order.map(OrderRequest::digest),
            lines: lines.unwrap_or_default(),
            status: answer.status,
            code: answer.code.clone(),
            order_id: answer.order_id,
            sequence: answer.sequence,
            subtotal: answer.subtotal,
            discount: answer.discount,
            delivery_fee: answer.delivery_fee,
            total: answer.total,
            sku: answer.sku.clone(),
            remaining: answer.remaining,
            replayed: answer.replayed,
            retry_after_seconds: answer.retry_after_seconds,
        }
    }
    /// Told that the order is in the log.
    pub fn is_accepted(&self) -> bool {
        self.status == 202
    }
    /// Told, finally, that there is no order: the outcomes that only a later attempt tells are not.
    pub fn is_definite_refusal(&self) -> bool {
        (400..500).contains(&self.status) && self.status != 429
    }
}

/// Microseconds since 1970.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Takes entries from any task; cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal(mpsc::Sender<Option<Entry>>);

impl Journal {
    /// Writes an answer down.
    pub fn write(&self, entry: Entry) {
        // The writer ends when it is told to, or with an error that `Writer::finish` reports.
        let _ = self.0.send(Some(entry));
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct Writer {
    end: mpsc::Sender<Option<Entry>>,
    thread: JoinHandle<io::Result<u64>>,
}

/// Opens a journal file, replacing an older one.
pub fn create(path: &Path) -> io::Result<(Journal, Writer)> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = BufWriter::with_capacity(256 * 1024, File::create(path)?);
    let (sender, entries) = mpsc::channel::<Option<Entry>>();
    let thread = std::thread::Builder::new().name("journal".into()).spawn(move || {
        let mut written = 0;
        while let Ok(Some(entry)) = entries.recv() {
            serde_json::to_writer(&mut file, &entry)?;
            file.write_all(b"\n")?;
            written += 1;
        }
        file.flush()?;
        Ok(written)
    })?;
    Ok((Journal(sender.clone()), Writer { end: sender, thread }))
}

impl Writer {
    /// Waits until everything written so far is in the file. Returns the number of entries.
    pub fn finish(self) -> io::Result<u64> {
        let _ = self.end.send(None); // fails where the thread has ended with an error
        self.thread.join().map_err(|_| io::Error::other("the journal's writer panicked"))?
    }
}

/// Reads a journal, keeping the entries of one sale.
pub fn read(path: &Path, sale: &str) -> io::Result<Vec<Entry>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut entries = Vec::new();
    for (number, line) in BufReader::new(File::open(path).map_err(named)?).lines().enumerate() {
        let entry: Entry = serde_json::from_str(&line?)
            .map_err(|error| io::Error::other(format!("{}:{}: {error}", path.display(), number + 1)))?;
        if entry.sale == sale {
            entries.push(entry);
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;

    #[test]
    fn what_is_written_is_read_back_for_its_sale_only() {
        let path = std::env::temp_dir().join(format!("journal-{}.jsonl", std::process::id()));
        let (journal, writer) = create(&path).unwrap();
        let order = request::body(&[("A", 2)]);
        let answer = Answer { status: 202, sequence: Some(3), ..Answer::default() };
        let mut written = Vec::new();
        for sale in ["mine", "other"] {
            let sent = Sent {
                sale,
                customer: "c",
                key: Some("k"),
                gateway: "g",
                class: Class::Plain,
                order: Some(&order),
                sent_us: 5,
            };
            written.push(Entry::new(&sent, &answer));
        }
        written.iter().for_each(|entry| journal.write(entry.clone()));
        drop(journal);
        assert_eq!(writer.finish().unwrap(), 2);
        let read = read(&path, "mine").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read, written[..1]);
        assert_eq!(read[0].digest, Some(order.digest()));
        assert_eq!(read[0].lines, [("A".to_owned(), 2)]);
    }
}
