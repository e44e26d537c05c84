//! The daemon in the gateway's namespace: the same executable, as somebody would run it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::{OWN_EXECUTABLE, Process};
use super::world::{Host, INSIDE, POOL};

/// What the daemon prints once packets can flow.
const READY: &str = "ready:";
const START_PATIENCE: Duration = Duration::from_secs(10);

/// A running daemon. Dropped, it is stopped.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    stats: PathBuf,
}

/// The configuration that the lab gives the daemon.
pub fn configuration(directory: &Path, offloads: bool) -> String {
    with_settings(&format!("[[pool]]\naddresses = [\"{POOL}\"]\n"), "", directory, offloads)
}

/// A configuration with these `settings` (tables of the file) and lines of the table `[inside]`.
pub fn with_settings(settings: &str, inside: &str, directory: &Path, offloads: bool) -> String {
    format!(
        r#"# Written by `hairpin lab`.
[inside]
prefixes = ["{INSIDE}"]
interfaces = ["in1", "in2"]
{inside}
{settings}
[live]
offloads = {offloads}
state_directory = "{}"
"#,
        directory.display()
    )
}

/// The configuration of a daemon that translates nothing and scrubs.
pub fn scrubbing(directory: &Path) -> String {
    let outside = "[outside]\ninterfaces = [\"out\"]\n";
    format!("mode = \"scrub\"\n{}", with_settings(outside, "", directory, true))
}

impl Daemon {
    /// Starts it in `gateway` with the text of a `configuration`, and waits until it says that it is ready.
    ///
    /// # Errors
    /// What it printed, when it ends or says nothing instead.
    pub fn start(gateway: &Host, directory: &Path, configuration: &str) -> io::Result<Self> {
        let config = directory.join("hairpin.toml");
        fs::write(&config, configuration)?;
        let stats = directory.join("stats.json");
        let arguments =
            ["run".as_ref(), "-c".as_ref(), config.as_os_str(), "--stats-json".as_ref(), stats.as_os_str()];
        let mut process = Process::start(gateway, "the daemon", OWN_EXECUTABLE.as_ref(), arguments)?;
        process.await_line(|line| line.starts_with(READY), START_PATIENCE)?;
        Ok(Self { process, stats })
    }

    /// Everything that it has printed so far.
    pub fn log(&mut self) -> &[String] {
        self.process.log()
    }

    /// Its counters, as it last wrote them.
    ///
    /// # Errors
    /// The file is not there or not JSON.
    pub fn stats(&self) -> io::Result<serde_json::Value> {
        let text = fs::read_to_string(&self.stats)?;
        serde_json::from_str(&text).map_err(io::Error::from)
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Ends it and waits for that: what it set up in the gateway, it takes back.
    ///
    /// # Errors
    /// How it ended, where that was not with success.
    pub fn stop(&mut self) -> io::Result<()> {
        self.process.stop()
    }
}
