//! A small shell per test process that outlives it and cleans up.
//!
//! Dropping a server kills it and removes its directory. That is not enough: statics are never
//! dropped, and a test process can be killed itself. The first server therefore starts a watchdog
//! in its own process group. The watchdog reads the process ids to watch from a pipe. When the test
//! process ends, the pipe closes. The watchdog then kills the remaining servers, removes the
//! directory of the run, and ends.
//!
//! `PR_SET_PDEATHSIG` was rejected. It is tied to the *thread* that started the process, and it
//! cannot remove a directory.
//!
//! Without a watchdog (no `/bin/sh`, or it was killed) tests still work. Only the cleanup after a
//! killed test process is lost.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use parking_lot::Mutex;

/// Reads `watch PID`, `quit PID` (watch, and ask with SIGQUIT first) and `release PID`. At the end
/// of the input it kills the processes that are still watched and removes `$1`. The removal is
/// repeated, because a child of a killed process may write a last file before it ends.
const SCRIPT: &str = r#"
trap '' INT HUP TERM QUIT
pids=' '
polite=' '
while read -r verb pid; do
  case $verb in
    watch) pids="$pids$pid " ;;
    quit) pids="$pids$pid " polite="$polite$pid " ;;
    release)
      case $pids in *" $pid "*) pids="${pids%%" $pid "*} ${pids#*" $pid "}" ;; esac
      case $polite in *" $pid "*) polite="${polite%%" $pid "*} ${polite#*" $pid "}" ;; esac ;;
  esac
done
for pid in $polite; do kill -QUIT "$pid"; done
for pid in $polite; do
  tries=0
  while kill -0 "$pid" && [ $tries -lt 20 ]; do tries=$((tries + 1)); sleep 0.1; done
done
for pid in $pids; do kill -KILL "$pid"; done
tries=0
while ! rm -rf -- "$1" && [ $tries -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
"#;

/// The running watchdog.
#[derive(Debug)]
pub(crate) struct Watchdog {
    // Held so that the shell does not become a zombie. It is never waited for, because it outlives
    // this process.
    _shell: Option<Child>,
    orders: Mutex<Option<ChildStdin>>,
}

impl Watchdog {
    /// Starts the watchdog, which removes `root` when this process has ended.
    pub(crate) fn start(root: &Path) -> Self {
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "picarcade-testkit-watchdog"])
            .arg(root)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match shell {
            Ok(mut shell) => Self { orders: Mutex::new(shell.stdin.take()), _shell: Some(shell) },
            Err(_) => Self { orders: Mutex::new(None), _shell: None },
        }
    }

    /// Ensures that `pid` does not outlive this process.
    pub(crate) fn watch(&self, pid: u32) {
        self.order("watch", pid);
    }

    /// Like `watch`, but the watchdog first asks the process to quit, so that it can release shared
    /// memory.
    pub(crate) fn watch_politely(&self, pid: u32) {
        self.order("quit", pid);
    }

    /// Stops watching `pid`, which was reaped: its number may soon belong to another process.
    pub(crate) fn release(&self, pid: u32) {
        self.order("release", pid);
    }

    fn order(&self, verb: &str, pid: u32) {
        let mut orders = self.orders.lock();
        if let Some(pipe) = orders.as_mut()
            && writeln!(pipe, "{verb} {pid}").is_err()
        {
            *orders = None;
        }
    }
}
