//! When and how an application reads, and what is written down of it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use streams::TcpStream;
use tcp::{Read, Urgent};
use tokio::time::Instant;

/// When an application reads.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum When {
    /// As soon as there is something.
    AtOnce,
    /// Only some time after the connection has opened.
    Late,
    /// Not at all: the window closes.
    Never,
}

/// What the connections of this program read, as JSON lines; or nothing, if nobody wants to know.
#[derive(Debug)]
pub struct Journal(Option<Mutex<BufWriter<File>>>);

impl Journal {
    /// # Errors
    /// The file's.
    pub fn open(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?;
        Ok(Self(file.map(|file| Mutex::new(BufWriter::new(file)))))
    }

    /// Writes a line; what cannot be written is said once a line, and not fatal to the connection.
    fn line(&self, value: &Value) {
        let Some(file) = &self.0 else { return };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writeln!(file, "{value}").and_then(|()| file.flush()) {
            tracing::warn!("the file of --log: {error}");
        }
    }

    const fn is_wanted(&self) -> bool {
        self.0.is_some()
    }
}

/// The reading side of one connection.
#[derive(Debug)]
pub struct Reader<'a> {
    stream: &'a TcpStream,
    journal: &'a Journal,
    number: u64,
    /// Octets read in order.
    pub octets: u64,
    /// Octets taken out of band.
    pub urgent_octets: u64,
    /// A late reader reads from then on.
    from: Option<Instant>,
    when: When,
}

impl<'a> Reader<'a> {
    /// Of connection `number` of this program.
    pub fn new(stream: &'a TcpStream, journal: &'a Journal, number: u64, when: When, late: Duration) -> Self {
        let peer = stream.peer_addr().to_string();
        journal.line(&json!({
            "connection": number, "event": "open", "peer": peer, "port": stream.local_addr().port(),
        }));
        // A point in time: a read that is given up and begun anew must not wait less, or longer.
        let from = (when == When::Late).then(|| Instant::now() + late);
        Self { stream, journal, number, octets: 0, urgent_octets: 0, from, when }
    }

    /// The next octets, when it is time to read; 0 at the end. Octets out of band are taken as they come.
    ///
    /// # Errors
    /// Those of the connection.
    pub async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(from) = self.from {
            tokio::time::sleep_until(from).await;
            self.from = None;
        }
        if self.when == When::Never {
            self.until_over().await?;
        }
        loop {
            self.take_news();
            let read = tokio::select! {
                biased;
                read = self.stream.read_marked(buf) => read,
                news = self.stream.urgent_event() => {
                    // That it is over, the read will say.
                    if let Ok(news) = news {
                        self.note_news(news);
                    }
                    continue;
                }
            };
            match read {
                Ok(read) => {
                    self.note_read(buf.get(..read.len).unwrap_or_default(), read);
                    self.take_news();
                    return Ok(read.len);
                }
                Err(error) => {
                    self.note(json!({ "event": "error", "error": error.to_string() }));
                    return Err(error);
                }
            }
        }
    }

    /// Waits for the end of a connection that is not read.
    async fn until_over(&mut self) -> io::Result<()> {
        loop {
            match self.stream.urgent_event().await {
                Ok(news) => self.note_news(news),
                Err(error) => {
                    self.note(json!({ "event": "error", "error": error.to_string() }));
                    return Err(error);
                }
            }
        }
    }

    /// The news that are there already, without waiting.
    fn take_news(&mut self) {
        let cx = std::task::Context::from_waker(std::task::Waker::noop());
        while let std::task::Poll::Ready(Ok(news)) = self.stream.poll_urgent_event(&cx) {
            self.note_news(news);
        }
        while let Ok(octet) = self.stream.recv_urgent(false) {
            self.urgent_octets += 1;
            self.note(json!({ "event": "urgent-octet", "octet": octet }));
        }
    }

    fn note_news(&mut self, news: Urgent) {
        let what = match news {
            Urgent::Entered => "entered",
            Urgent::Advanced => "advanced",
            Urgent::Left => "left",
        };
        self.note(json!({ "event": "urgent", "mode": what }));
    }

    fn note_read(&mut self, octets: &[u8], read: Read) {
        self.octets += read.len as u64;
        if !self.journal.is_wanted() {
            return;
        }
        match read.len {
            0 => self.note(json!({ "event": "end", "octets": self.octets })),
            _ => self.note(json!({
                "event": "read", "octets": octets, "urgent": read.urgent, "at_mark": read.at_mark,
            })),
        }
    }

    fn note(&self, mut value: Value) {
        if self.journal.is_wanted() {
            if let Some(object) = value.as_object_mut() {
                object.insert("connection".to_owned(), self.number.into());
            }
            self.journal.line(&value);
        }
    }
}
