//! One server process: started with its output in a file, stopped, continued, killed, and started
//! again.
//!
//! Signals go to the process and all of its descendants, as when a machine dies or hangs. Dropping
//! the value kills the process. The [watchdog](super::watchdog) kills processes that are never
//! dropped.

use std::ffi::OsString;
use std::fs::File;
use std::future::Future;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use tempfile::TempDir;

use super::account::Account;
use super::family::{descendants, has_ended, has_stopped};
use super::scratch::Run;
use crate::error::{Error, Result};

/// How long a server may take to be ready. The bound is generous for loaded build machines; only a
/// failure waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
/// The pause between two checks of a server that is not ready yet.
pub(crate) const POLL: Duration = Duration::from_millis(10);
/// How many bytes of a log are shown.
const LOG_LINES: usize = 40;

/// What to run. The directory belongs to the process and holds its log.
#[derive(Debug)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) account: Option<Account>,
    pub(crate) directory: TempDir,
    /// Whether the final stop asks the process to quit before it is killed, because it holds
    /// resources that outlive it.
    pub(crate) quits: bool,
}

/// A process that can be started repeatedly.
#[derive(Debug)]
pub(crate) struct Process {
    recipe: Recipe,
    child: Mutex<Option<Started>>,
}

/// A started process. After it is reaped, its id may belong to another process, so no signal is
/// sent to it.
#[derive(Debug)]
struct Started {
    child: Child,
    ended: Option<ExitStatus>,
}

impl Started {
    /// Returns how it ended, if it has. The result is remembered.
    fn look(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.ended = Some(status);
            if let Ok(run) = Run::current() {
                run.watchdog().release(self.child.id());
            }
        }
        self.ended
    }
}

impl Process {
    /// Creates a process that is not running yet.
    pub(crate) fn new(recipe: Recipe) -> Self {
        Self { recipe, child: Mutex::new(None) }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.recipe.directory.path()
    }

    /// Starts the process unless it runs.
    pub(crate) fn spawn(&self) -> Result<()> {
        let mut child = self.child.lock();
        if child.as_mut().is_some_and(|started| started.look().is_none()) {
            return Ok(());
        }
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .map_err(Error::io("cannot open the log of a server"))?;
        let errors = log.try_clone().map_err(Error::io("cannot open the log of a server"))?;
        let mut command = Command::new(&self.recipe.program);
        command
            .args(&self.recipe.args)
            .current_dir(self.directory())
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0);
        if let Some(account) = self.recipe.account {
            account.apply(&mut command);
        }
        let started = command.spawn().map_err(|source| Error::Spawn { program: self.recipe.name, source })?;
        let watchdog = Run::current()?.watchdog();
        if self.recipe.quits {
            watchdog.watch_politely(started.id());
        } else {
            watchdog.watch(started.id());
        }
        *child = Some(Started { child: started, ended: None });
        Ok(())
    }

    /// Returns the id of the process while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        let mut child = self.child.lock();
        let started = child.as_mut()?;
        started.look().is_none().then(|| started.child.id())
    }

    /// Returns how the process ended, if it has.
    pub(crate) fn ended(&self) -> Option<ExitStatus> {
        self.child.lock().as_mut().and_then(Started::look)
    }

    /// Sends SIGKILL to the process and its descendants and waits for the end. Does nothing if the
    /// process is not running.
    pub(crate) fn kill(&self) {
        let Some(mut started) = self.child.lock().take() else { return };
        if started.look().is_some() {
            return;
        }
        let mut child = started.child;
        let id = child.id();
        // The family is stopped first, so that no child is born between the look-up and the signal.
        signal(id, Signal::SIGSTOP);
        let family = descendants(id);
        signal(id, Signal::SIGKILL);
        for &member in &family {
            signal(member, Signal::SIGKILL);
            await_state(member, has_ended);
        }
        let _ = child.wait();
        if let Ok(run) = Run::current() {
            for member in family.into_iter().chain([id]) {
                run.watchdog().release(member);
            }
        }
    }

    /// Sends SIGSTOP to the process and its descendants: connections stay open and get no answer.
    pub(crate) fn pause(&self) {
        let Some(id) = self.id() else { return };
        signal(id, Signal::SIGSTOP);
        await_state(id, has_stopped);
        for member in descendants(id) {
            signal(member, Signal::SIGSTOP);
            // A stopped orphan cannot notice that its parent is gone.
            if let Ok(run) = Run::current() {
                run.watchdog().watch(member);
            }
            await_state(member, has_stopped);
        }
    }

    /// Sends SIGCONT to the process and its descendants.
    pub(crate) fn resume(&self) {
        let Some(id) = self.id() else { return };
        for member in descendants(id) {
            signal(member, Signal::SIGCONT);
            if let Ok(run) = Run::current() {
                run.watchdog().release(member);
            }
        }
        signal(id, Signal::SIGCONT);
    }

    /// Returns the last lines that the process wrote.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.log_path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let skipped = text.lines().count().saturating_sub(LOG_LINES);
        text.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }

    /// Calls `probe` until it succeeds. Fails at once if the process ends, and after the ready
    /// timeout.
    pub(crate) async fn until_ready<F, Fut>(&self, mut probe: F) -> Result<()>
    where
        F: FnMut() -> Fut + Send,
        Fut: Future<Output = Result<()>> + Send,
    {
        let program = self.recipe.name;
        let start = Instant::now();
        loop {
            let Err(reason) = probe().await else { return Ok(()) };
            if let Some(status) = self.ended() {
                return Err(Error::Exited { program, status, log: self.log() });
            }
            let waited = start.elapsed();
            if waited > PATIENCE {
                return Err(Error::NotReady {
                    program,
                    waited,
                    reason: format!("{reason:?}"),
                    log: self.log(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn log_path(&self) -> PathBuf {
        self.directory().join("server.log")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(id) = self.id().filter(|_| self.recipe.quits) {
            // A stopped process would not receive the signal.
            self.resume();
            signal(id, Signal::SIGQUIT);
            await_state(id, has_ended);
        }
        self.kill();
    }
}

fn signal(id: u32, signal: Signal) {
    // The process may be gone already, which is the desired state or is noticed by the caller.
    let _ = i32::try_from(id).map(|id| kill(Pid::from_raw(id), signal));
}

/// Waits until a signal has taken effect: otherwise a test could still get an answer from a stopped
/// server. The wait is bounded, because a process in an uninterruptible wait takes
/// longer. The bound is long, because a process that waits for a processor reacts late too.
fn await_state(id: u32, reached: impl Fn(u32) -> bool) {
    let start = Instant::now();
    while !reached(id) && start.elapsed() < Duration::from_secs(30) {
        // A short sleep on the thread of a test. A busy wait would take processor time from the
        // process that it waits for.
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
