//! Free ports that stay ours while a server is down.
//!
//! The usual way, binding port 0 and letting go, hands out ports of the range from which the system also serves
//! outgoing connections: while a killed server is down, any client may come to sit on its port. So ports are taken
//! below that range, and each is held by a lock file, which other test processes respect and the system releases when
//! we end, however we end. A port is tried by binding it before it is handed out.
//!
//! Where lock files cannot be had, the trial alone decides; a start that then meets a clash is repeated.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

use nix::unistd::Uid;

use crate::error::{Error, Result};

/// Below the ephemeral range of Linux (32768..), above the usual services.
const FIRST: u16 = 17_000;
const COUNT: u16 = 15_000;

static TURN: AtomicU16 = AtomicU16::new(0);

/// A port of the loopback interface, ours until dropped.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: Option<File>,
}

impl Port {
    /// Takes a free port.
    pub(crate) fn free() -> Result<Self> {
        // Processes start at different places, so that they seldom try the same port at the same time.
        let start = (std::process::id() as u16).wrapping_mul(97);
        (0..COUNT)
            .map(|_| start.wrapping_add(TURN.fetch_add(1, Ordering::Relaxed)) % COUNT + FIRST)
            .find_map(|number| Self::take(number).ok())
            .ok_or(Error::NoPort)
    }

    /// Takes this port, if it is free.
    pub(crate) fn take(number: u16) -> Result<Self> {
        let lock = match lock_file(number) {
            Ok(file) => match file.try_lock() {
                Ok(()) => Some(file),
                Err(std::fs::TryLockError::WouldBlock) => return Err(Error::NoPort),
                Err(std::fs::TryLockError::Error(_)) => None,
            },
            Err(_) => None,
        };
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).map_err(|_| Error::NoPort)?;
        Ok(Self { number, _lock: lock })
    }

    /// Its number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

fn lock_file(number: u16) -> std::io::Result<File> {
    // One directory per user: a lock file of another user could not be opened.
    let directory: PathBuf = std::env::temp_dir().join(format!("picarcade-ports-{}", Uid::effective()));
    std::fs::create_dir_all(&directory)?;
    File::options().create(true).truncate(false).write(true).open(directory.join(number.to_string()))
}

#[cfg(test)]
mod tests {
    use super::Port;

    #[test]
    fn a_port_is_taken_once() {
        let port = Port::free().unwrap();
        assert!(Port::take(port.number()).is_err());
        let number = port.number();
        drop(port);
        assert_eq!(Port::take(number).unwrap().number(), number);
    }

    #[test]
    fn ports_differ() {
        let ports: Vec<_> = (0..32).map(|_| Port::free().unwrap()).collect();
        let mut numbers: Vec<_> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 32);
    }
}
