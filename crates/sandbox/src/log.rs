//! The search log: what the server did, one CSV line a search, so that what a load generator claims can
//! be held against it. Lines are made and written by a thread of its own: a search only sends a record.
//!
//! Columns: `number` (in order of arrival, the first is 0), `received_ns`, `started_ns` (a slot was
//! free), `done_ns` (the answer was handed to the connection), all on CLOCK_MONOTONIC; `delay_ns` (the
//! injected delay asked for), `outcome`, `collection`, `nq`, `limit`, `hits`, `filter` (empty where
//! unknown: the null engine does not decode).
//!
//! Outcomes: `ok`; `stalled` (answered like `ok`, but held by a stall first); `error` (an in-band error,
//! injected or earned); `rejected`, `dropped` (injected); `cancelled` (the client went away first).

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

const HEADER: &str =
    "number,received_ns,started_ns,done_ns,delay_ns,outcome,collection,nq,limit,hits,filter\n";
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// How a search ended, as the log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Stalled,
    Error,
    Rejected,
    Dropped,
    Cancelled,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Stalled => "stalled",
            Self::Error => "error",
            Self::Rejected => "rejected",
            Self::Dropped => "dropped",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What a search asked for and got, as far as it was decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) collection: String,
    pub(crate) nq: u64,
    pub(crate) limit: u64,
    pub(crate) hits: u64,
    pub(crate) filter: String,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) number: u64,
    pub(crate) received_ns: u64,
    pub(crate) started_ns: Option<u64>,
    pub(crate) done_ns: u64,
    pub(crate) delay_ns: u64,
    pub(crate) outcome: Outcome,
    pub(crate) asked: Option<Asked>,
}

enum Message {
    Line(Record),
    Close,
}

/// Where searches send their records; clones share the thread.
#[derive(Clone)]
pub(crate) struct LogSender(Sender<Message>);

impl LogSender {
    pub(crate) fn send(&self, record: Record) {
        // The thread is gone only after the log was closed or its disk failed; `close` reports that.
        let _ = self.0.send(Message::Line(record));
    }
}

/// The log file and its thread.
pub(crate) struct SearchLog {
    path: PathBuf,
    sender: LogSender,
    thread: JoinHandle<io::Result<()>>,
}

impl SearchLog {
    /// Creates the file (an old one is overwritten), writes the header and starts the thread.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 16, File::create(path)?);
        file.write_all(HEADER.as_bytes())?;
        file.flush()?;
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("squall-log".to_owned())
            .spawn(move || write_lines(&receiver, file))?;
        Ok(Self { path: path.to_owned(), sender: LogSender(sender), thread })
    }

    pub(crate) fn sender(&self) -> LogSender {
        self.sender.clone()
    }

    /// Writes what was sent before this call and closes the file.
    pub(crate) fn close(self) -> Result<(), (PathBuf, io::Error)> {
        let _ = self.sender.0.send(Message::Close);
        match self.thread.join() {
            Ok(result) => result.map_err(|error| (self.path, error)),
            Err(_) => Err((self.path, io::Error::other("the log's thread panicked"))),
        }
    }
}

fn write_lines(receiver: &Receiver<Message>, mut file: BufWriter<File>) -> io::Result<()> {
    let mut flush_at = Instant::now() + FLUSH_EVERY;
    loop {
        match receiver.recv_timeout(flush_at.saturating_duration_since(Instant::now())) {
            Ok(Message::Line(record)) => write_line(&mut file, &record)?,
            Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => return file.flush(),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() >= flush_at {
            file.flush()?;
            flush_at = Instant::now() + FLUSH_EVERY;
        }
    }
}

fn write_line(file: &mut impl Write, record: &Record) -> io::Result<()> {
    let Record { number, received_ns, started_ns, done_ns, delay_ns, outcome, asked } = record;
    write!(file, "{number},{received_ns},")?;
    if let Some(started_ns) = started_ns {
        write!(file, "{started_ns}")?;
    }
    write!(file, ",{done_ns},{delay_ns},{}", outcome.word())?;
    match asked {
        Some(Asked { collection, nq, limit, hits, filter }) => {
            writeln!(file, ",{},{nq},{limit},{hits},{}", quoted(collection), quoted(filter))
        }
        None => file.write_all(b",,,,,\n"),
    }
}

/// Quoted as RFC 4180 has it, where that is needed.
fn quoted(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_log_holds_every_record_sent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        let log = SearchLog::create(&path).unwrap();
        let sender = log.sender();
        sender.send(Record {
            number: 0,
            received_ns: 1,
            started_ns: Some(2),
            done_ns: 3,
            delay_ns: 4,
            outcome: Outcome::Ok,
            asked: Some(Asked {
                collection: "c".to_owned(),
                nq: 1,
                limit: 10,
                hits: 9,
                filter: "category == \"a,b\"".to_owned(),
            }),
        });
        sender.send(Record {
            number: 1,
            received_ns: 5,
            started_ns: None,
            done_ns: 6,
            delay_ns: 0,
            outcome: Outcome::Rejected,
            asked: None,
        });
        log.close().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            format!("{HEADER}0,1,2,3,4,ok,c,1,10,9,\"category == \"\"a,b\"\"\"\n1,5,,6,0,rejected,,,,,\n")
        );
    }
}
