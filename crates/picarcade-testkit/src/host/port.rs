//! Free ports that stay reserved while a server is down.
//!
//! Binding port 0 and closing it returns a port from the range that the system also uses for
//! outgoing connections. While a killed server is down, any client may take its port. The kit
//! therefore takes ports below that range. A lock file holds each port; other test processes
//! respect it, and the system releases it when the process ends. A port is bound once as a test
//! before it is handed out.
//!
//! Without lock files only that test bind decides, and a start that fails on a port conflict is
//! repeated.

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

/// A reserved port of the loopback interface, released on drop.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: Option<File>,
}

impl Port {
    /// Reserves a free port.
    pub(crate) fn free() -> Result<Self> {
        // Processes start at different positions, so they seldom try the same port at once.
        let start = (std::process::id() as u16).wrapping_mul(97);
        (0..COUNT)
            .map(|_| start.wrapping_add(TURN.fetch_add(1, Ordering::Relaxed)) % COUNT + FIRST)
            .find_map(|number| Self::take(number).ok())
            .ok_or(Error::NoPort)
    }

    /// Reserves this port if it is free.
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

    /// Returns the port number.
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

fn lock_file(number: u16) -> std::io::Result<File> {
    // Each user has a directory, because a lock file of another user could not be opened.
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
