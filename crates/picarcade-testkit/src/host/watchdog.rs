//! One small shell per test process that outlives it and cleans up.
//!
//! Dropping a server kills it and removes its directory. That is not enough: statics are never dropped, and a test
//! process can be killed itself. So the first server starts a watchdog, in a process group of its own, which reads the
//! process ids to watch from a pipe. The pipe closes when the test process ends, in whatever way; then the watchdog
//! kills what is left, removes the directory of the whole run, and ends.
//!
//! `PR_SET_PDEATHSIG` would be the other way. It is tied to the *thread* that started the process, and it cannot
//! remove a directory.
//!
//! On failure (no `/bin/sh`, a killed watchdog) tests work as before; only the cleaning after a killed test process is lost.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use parking_lot::Mutex;

/// Reads `watch PID`, `quit PID` (watch, and ask with SIGQUIT first) and `release PID`. At the end of input it kills what is
/// still watched and removes `$1`. The removal is repeated, for a child of a killed process may write a last file while it
/// finds out.
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
    // Held so that the shell is not a zombie of nobody; it is never waited for, since it outlives us.
    _shell: Option<Child>,
    orders: Mutex<Option<ChildStdin>>,
}

impl Watchdog {
    /// Starts the watchdog; `root` is removed when this process has ended.
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

    /// From now on `pid` does not outlive this process.
    pub(crate) fn watch(&self, pid: u32) {
        self.order("watch", pid);
    }

    /// The same, and it is first asked to quit, so that it can give back what would outlive it (shared memory).
    pub(crate) fn watch_politely(&self, pid: u32) {
        self.order("quit", pid);
    }

    /// `pid` is reaped, and its number may be another's tomorrow.
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
