//! The clients' own record of their requests and responses, one JSON line for each response.
//!
//! The checker compares it with Postgres, Redis and the log, so nothing in it comes from them. A separate
//! thread formats and writes the entries, so that the disk does not slow down the load.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use contract::ids::{OrderId, RequestDigest};
use contract::order::OrderRequest;
use serde::{Deserialize, Serialize};

use crate::response::Response;

/// The reason for the form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// An ordinary order or its retry.
    Plain,
    /// One of two equal requests sent at the same time.
    Doubled,
    /// The same request, sent again later.
    Repeated,
    /// The same key with another body.
    OtherBody,
    /// An invalid request.
    Malformed,
    /// The client closed the connection right after sending.
    HungUp,
}

/// A request with its response; `status` is 0 when there was none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are the description
pub struct Entry {
    /// Microseconds since 1970, by the client's clock.
    pub sent_us: u64,
    pub answered_us: u64,
    pub sale: String,
    pub customer: String,
    /// The Idempotency-Key, absent when the request had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub gateway: String,
    pub class: Class,
    /// The digest of the decoded body, absent when the body is not an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<RequestDigest>,
    /// The lines of the order, as `["sku", quantity]`.
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
    /// The item of a sold-out refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// A request whose response has not arrived yet.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // named after the fields of `Entry`
pub struct SentRequest<'a> {
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
    /// Combines a request with the response that has just arrived.
    pub fn new(sent: &SentRequest<'_>, response: &Response) -> Self {
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
            status: response.status,
            code: response.code.clone(),
            order_id: response.order_id,
            sequence: response.sequence,
            subtotal: response.subtotal,
            discount: response.discount,
            delivery_fee: response.delivery_fee,
            total: response.total,
            sku: response.sku.clone(),
            remaining: response.remaining,
            replayed: response.replayed,
            retry_after_seconds: response.retry_after_seconds,
        }
    }

    /// Returns whether the client received a 202.
    pub fn is_accepted(&self) -> bool {
        self.status == 202
    }

    /// Returns whether the response definitely refused the order. Responses after which only a retry reveals
    /// the outcome are not definite.
    pub fn is_definite_refusal(&self) -> bool {
        (400..500).contains(&self.status) && self.status != 429
    }
}

/// Returns the current time in microseconds since 1970.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// A handle that accepts entries from any task; cheap to clone.
#[derive(Debug, Clone)]
pub struct Journal(mpsc::Sender<Option<Entry>>);

impl Journal {
    /// Appends an entry.
    pub fn write(&self, entry: Entry) {
        // The writer stops at `Writer::finish`, or after an error that `Writer::finish` returns.
        let _ = self.0.send(Some(entry));
    }
}

/// The thread that writes the file.
#[derive(Debug)]
pub struct Writer {
    end: mpsc::Sender<Option<Entry>>,
    thread: JoinHandle<io::Result<u64>>,
}

/// Creates a journal file, replacing an older one.
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
    /// Waits until all appended entries are in the file. Returns the number of entries.
    pub fn finish(self) -> io::Result<u64> {
        let _ = self.end.send(None); // fails when the thread has stopped with an error
        self.thread.join().map_err(|_| io::Error::other("the journal's writer panicked"))?
    }
}

/// Reads the entries of one sale from a journal.
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
    fn entries_are_read_back_for_their_sale_only() {
        let path = std::env::temp_dir().join(format!("journal-{}.jsonl", std::process::id()));
        let (journal, writer) = create(&path).unwrap();
        let order = request::order_with_lines(&[("A", 2)]);
        let response = Response { status: 202, sequence: Some(3), ..Response::default() };
        let mut written = Vec::new();
        for sale in ["wanted", "other"] {
            let sent = SentRequest {
                sale,
                customer: "c",
                key: Some("k"),
                gateway: "g",
                class: Class::Plain,
                order: Some(&order),
                sent_us: 5,
            };
            written.push(Entry::new(&sent, &response));
        }
        written.iter().for_each(|entry| journal.write(entry.clone()));
        drop(journal);
        assert_eq!(writer.finish().unwrap(), 2);
        let read = read(&path, "wanted").unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read, written[..1]);
        assert_eq!(read[0].digest, Some(order.digest()));
        assert_eq!(read[0].lines, [("A".to_owned(), 2)]);
    }
}
