//! The daemon in the gateway's namespace: the same executable, as somebody would run it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getppid};

use super::sockets::left;
use super::world::{Host, INSIDE, POOL};

/// The executable of this process, whatever has become of its file.
const OWN_EXECUTABLE: &str = "/proc/self/exe";
/// What the daemon prints once packets can flow.
const READY: &str = "ready:";
const START_PATIENCE: Duration = Duration::from_secs(10);
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The daemons that are running, for whoever ends this process without unwinding it.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A running daemon. Dropped, it is stopped.
#[derive(Debug)]
pub struct Daemon {
    pid: Pid,
    /// What it printed; read up to the point of the last question.
    lines: Receiver<String>,
    log: Vec<String>,
    keeper: Option<JoinHandle<io::Result<ExitStatus>>>,
    stats: PathBuf,
}

/// The configuration that the lab gives the daemon.
pub fn configuration(directory: &Path, offloads: bool) -> String {
    format!(
        r#"# Written by `hairpin lab`.
[inside]
prefixes = ["{INSIDE}"]
interfaces = ["in1", "in2"]

[[pool]]
addresses = ["{POOL}"]

[live]
offloads = {offloads}
state_directory = "{}"
"#,
        directory.display()
    )
}

impl Daemon {
    /// Starts it in `gateway` and waits until it says that it is ready.
    ///
    /// # Errors
    /// What it printed, when it ends or says nothing instead.
    pub fn start(gateway: &Host, directory: &Path, offloads: bool) -> io::Result<Self> {
        let config = directory.join("hairpin.toml");
        fs::write(&config, configuration(directory, offloads))?;
        let stats = directory.join("stats.json");
        let mut command = Command::new(OWN_EXECUTABLE);
        command.args(["lab", "--exec-daemon"]).arg(&config).arg(&stats).stdin(Stdio::null());

        let (pid_sender, pid) = channel();
        let (line_sender, lines) = channel();
        let namespace = File::from(std::os::fd::AsFd::as_fd(gateway.namespace()).try_clone_to_owned()?);
        let keeper = thread::Builder::new()
            .name("daemon".to_owned())
            .spawn(move || keep(&namespace, command, &pid_sender, &line_sender))?;
        let Ok(pid) = pid.recv() else {
            // It ended without a process: its error says why.
            return Err(match keeper.join() {
                Ok(Err(error)) => error,
                _ => io::Error::other("the daemon was not started"),
            });
        };
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
        let mut daemon = Self { pid, lines, log: Vec::new(), keeper: Some(keeper), stats };
        daemon.await_ready()?;
        Ok(daemon)
    }

    fn await_ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            let left = left(deadline, "ready line").unwrap_or(Duration::ZERO);
            let problem = match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let ready = line.starts_with(READY);
                    self.log.push(line);
                    if ready {
                        return Ok(());
                    }
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => "is not ready in time",
                Err(RecvTimeoutError::Disconnected) => "ended instead of being ready",
            };
            return Err(io::Error::other(format!("the daemon {problem}; it said:\n{}", self.log.join("\n"))));
        }
    }

    /// Everything that it has printed so far.
    pub fn log(&mut self) -> &[String] {
        self.log.extend(self.lines.try_iter());
        &self.log
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
        self.pid.as_raw()
    }

    /// Ends it and waits for that: what it set up in the gateway, it takes back.
    ///
    /// # Errors
    /// How it ended, where that was not with success.
    pub fn stop(&mut self) -> io::Result<()> {
        let Some(keeper) = self.keeper.take() else { return Ok(()) };
        terminate(self.pid, || keeper.is_finished());
        let status = keeper.join().map_err(|_| io::Error::other("the daemon's keeper panicked"))??;
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|&pid| pid != self.pid);
        if status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("the daemon ended with {status}; it said:\n{}", self.log().join("\n"))))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Nobody is left to tell.
        drop(self.stop());
    }
}

/// Ends the daemons of this process; for exits that unwind nothing.
pub fn stop_running() {
    for pid in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        terminate(pid, || kill(pid, None).is_err());
    }
}

/// Asks first, and insists after [`STOP_PATIENCE`].
fn terminate(pid: Pid, gone: impl Fn() -> bool) {
    let _ = kill(pid, Signal::SIGTERM);
    let deadline = Instant::now() + STOP_PATIENCE;
    while !gone() {
        if Instant::now() > deadline {
            let _ = kill(pid, Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Lives as long as the daemon: the kernel tells a child that its parent died when the *thread* that
/// made it ends, see [`exec`].
fn keep(
    namespace: &File,
    mut command: Command,
    pid: &Sender<Pid>,
    lines: &Sender<String>,
) -> io::Result<ExitStatus> {
    nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET)?;
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // Its copies of the pipe would keep the reader waiting for ever.
    drop(command);
    let listener_gone = pid.send(Pid::from_raw(child.id().cast_signed())).is_err();
    for line in BufReader::new(reader).lines() {
        // Read on although nobody listens: a full pipe would block the daemon.
        let _ = lines.send(line?);
    }
    if listener_gone {
        child.kill()?;
    }
    child.wait()
}

/// Becomes the daemon: what `lab --exec-daemon CONFIG STATS` does in the child process.
///
/// It is sent SIGTERM when the lab ends in a way that leaves no time to clean up.
///
/// # Errors
/// Always, for it does not return otherwise.
pub fn exec(config: &Path, stats: &Path) -> io::Error {
    let prepare = || -> io::Result<()> {
        set_pdeathsig(Signal::SIGTERM)?;
        if getppid() == Pid::from_raw(1) {
            return Err(io::Error::other("the lab is gone already"));
        }
        // The lab blocks signals in all its threads but one, and a child inherits that.
        Ok(SigSet::all().thread_unblock()?)
    };
    if let Err(error) = prepare() {
        return error;
    }
    Command::new(OWN_EXECUTABLE).arg("run").arg("-c").arg(config).arg("--stats-json").arg(stats).exec()
}
