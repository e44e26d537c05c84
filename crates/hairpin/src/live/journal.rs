//! What `run` has changed on this machine, written down before it is changed, so that it can be
//! taken back: at the end by the same process, or by the next one if this one was killed.
//!
//! One file for each network namespace, one JSON value a line: who writes it, then every change
//! with the value before. The file is locked for as long as its process lives; the kernel lets go
//! of the lock however that ends, so a journal that can be locked is one that was left behind.
//! It is not synced to disk: what it describes does not outlive the kernel either.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::net::netlink::{Netlink, Route, Rule};
use crate::net::{errno, failure, sysctl};

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Writer {
    pid: u32,
    /// `/proc/sys/kernel/random/boot_id`: changes of another boot are gone by themselves.
    boot: String,
}

/// One change, with what is needed to take it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A sysctl was given another value.
    Sysctl {
        /// Its name, with slashes.
        name: String,
        /// Its value before.
        before: String,
    },
    /// A route was added.
    Route(Route),
    /// A rule was added.
    Rule(Rule),
    /// A proxy ARP entry was added.
    ProxyNeighbour {
        /// Name of the interface.
        interface: String,
        /// The address that is answered for.
        address: Ipv4Addr,
    },
    /// The change noted before this could not be made: an equal one may be somebody else's.
    NotMade,
}

impl Change {
    /// Takes it back. What is gone already (with its device, or by somebody's hand) is no error.
    fn undo(&self, netlink: &Netlink) -> io::Result<()> {
        let outcome = match self {
            Self::Sysctl { name, before } => sysctl::set(name, before),
            Self::Route(route) => netlink.delete_route(route),
            Self::Rule(rule) => netlink.delete_rule(rule),
            Self::ProxyNeighbour { interface, address } => match netlink.link_index(interface)? {
                Some(index) => netlink.delete_proxy_neighbour(index, *address),
                None => Ok(()),
            },
            Self::NotMade => Ok(()),
        };
        let gone =
            |error: &io::Error| matches!(errno(error), Some(libc::ENOENT | libc::ESRCH | libc::ENODEV));
        outcome.or_else(|error| if gone(&error) { Ok(()) } else { Err(error) })
    }
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    changes: Vec<Change>,
}

impl Journal {
    /// Opens the journal of this network namespace in `directory`. If the last run left changes
    /// behind, they are taken back first, and `say` is told.
    ///
    /// # Errors
    /// Another gateway runs in this namespace; the directory cannot be written; or what the last
    /// run left could not be taken back.
    pub fn open(directory: &Path, netlink: &Netlink, mut say: impl FnMut(&str)) -> io::Result<Self> {
        fs::create_dir_all(directory).map_err(|error| {
            failure(format!("creating live.state_directory {}", directory.display()), error)
        })?;
        let path = directory.join(format!("journal-{}", namespace()?));
        let mut file = lock(&path)?;
        let mut text = String::new();
        file.read_to_string(&mut text)
            .map_err(|error| failure(format!("reading {}", path.display()), error))?;
        let mut journal = Self { file, path, changes: left_behind(&text) };
        if !journal.changes.is_empty() {
            say(&format!("the last run did not end properly: taking back {} changes", journal.changes.len()));
            journal.undo_all(netlink)?;
        }
        journal.begin()?;
        Ok(journal)
    }

    fn begin(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.append(&Writer { pid: std::process::id(), boot: boot()? })
    }

    /// Notes a change that is about to be made.
    ///
    /// # Errors
    /// It could not be written; then it must not be made.
    pub fn note(&mut self, change: Change) -> io::Result<()> {
        self.append(&change)?;
        self.changes.push(change);
        Ok(())
    }

    /// The change that was noted last could not be made, so it must not be taken back.
    ///
    /// # Errors
    /// It could not be written.
    pub fn not_made(&mut self) -> io::Result<()> {
        self.changes.pop();
        self.append(&Change::NotMade)
    }

    /// Takes everything back, the last change first, and removes the journal. If something cannot
    /// be taken back, the rest is, and the journal stays for the next run.
    ///
    /// # Errors
    /// The first change that could not be taken back.
    pub fn close(mut self, netlink: &Netlink) -> io::Result<()> {
        self.undo_all(netlink)?;
        fs::remove_file(&self.path)
            .map_err(|error| failure(format!("removing {}", self.path.display()), error))
    }

    fn undo_all(&mut self, netlink: &Netlink) -> io::Result<()> {
        let mut first = Ok(());
        while let Some(change) = self.changes.pop() {
            match change.undo(netlink) {
                Ok(()) => tracing::info!("taken back: {change:?}"),
                Err(error) => {
                    tracing::error!("not taken back: {error}");
                    first = first.and(Err(error));
                }
            }
        }
        first
    }

    fn append(&mut self, entry: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_string(entry)?;
        line.push('\n');
        // One write, so that a line is there as a whole or not at all.
        self.file
            .write_all(line.as_bytes())
            .map_err(|error| failure(format!("writing {}", self.path.display()), error))
    }
}

/// The changes in a journal that nobody holds. A last line that was cut short was not made.
fn left_behind(text: &str) -> Vec<Change> {
    let mut lines = text.lines();
    let writer: Option<Writer> = lines.next().and_then(|line| serde_json::from_str(line).ok());
    match (writer, boot()) {
        (Some(writer), Ok(boot)) if writer.boot == boot => {}
        _ => return Vec::new(),
    }
    let mut changes = Vec::new();
    for change in lines.map_while(|line| serde_json::from_str(line).ok()) {
        match change {
            Change::NotMade => drop(changes.pop()),
            change => changes.push(change),
        }
    }
    changes
}

/// Opens and locks the journal, or says who holds it.
fn lock(path: &Path) -> io::Result<File> {
    let tried = |error| failure(format!("opening {}", path.display()), error);
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(tried)?;
        match file.try_lock() {
            // The holder removes the file before it lets go of it: a lock on a file that is not
            // there any more locks nobody out.
            Ok(()) if is_at(&file, path) => return Ok(file),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(tried)?;
                let writer: Option<Writer> =
                    text.lines().next().and_then(|line| serde_json::from_str(line).ok());
                let pid = writer.map_or_else(|| "?".to_owned(), |writer| writer.pid.to_string());
                return Err(io::Error::other(format!(
                    "hairpin already runs in this network namespace as process {pid} (it holds {}): \
                     end it first, e.g. with `kill {pid}`",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(tried(error)),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// The number of this thread's network namespace.
fn namespace() -> io::Result<u64> {
    let path = "/proc/thread-self/ns/net";
    Ok(fs::metadata(path).map_err(|error| failure(format!("looking at {path}"), error))?.ino())
}

fn boot() -> io::Result<String> {
    sysctl::get("kernel/random/boot_id")
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: O1
    #[test]
    fn only_whole_changes_of_this_boot_are_taken_back() {
        let changes = [
            Change::Sysctl { name: "net/ipv4/ip_forward".into(), before: "0".into() },
            Change::Rule(Rule { in_interface: "eth0".into(), table: 6093, priority: 6093 }),
            Change::ProxyNeighbour { interface: "eth1".into(), address: Ipv4Addr::new(192, 0, 2, 1) },
        ];
        let boot = boot().expect("every Linux has one");
        let mut text = serde_json::to_string(&Writer { pid: 1, boot }).expect("JSON") + "\n";
        for change in changes.iter().chain([&changes[0], &Change::NotMade]) {
            text += &(serde_json::to_string(change).expect("JSON") + "\n");
        }
        assert_eq!(left_behind(&text), changes);
        let cut = &text[..text.rfind("ip_forward").expect("noted twice")];
        assert_eq!(left_behind(cut), changes, "the line that was cut short was never acted upon");
        let other_boot = text.replacen("\"boot\":\"", "\"boot\":\"x", 1);
        assert_eq!(left_behind(&other_boot), []);
        assert_eq!(left_behind(""), []);
    }
}
