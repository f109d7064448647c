//! What can go wrong while a test's servers are set up or asked: one error, each variant with what a reader of a
//! red test needs to act — the program that is missing, the last lines of the log of the one that died.
//!
//! `Debug` prints like `Display`, because a test shows an error through `unwrap`, and a log with its line breaks
//! escaped helps nobody.

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a server did not start, or did not answer.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program that the tests need is not on this machine.
    #[error("{program} is not installed: {hint}")]
    NotInstalled {
        /// The program.
        program: &'static str,
        /// What to do about it.
        hint: &'static str,
    },
    /// A program is there, and the system would not start it.
    #[error("cannot start {program}")]
    Spawn {
        /// The program.
        program: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The process ended before it was ready.
    #[error("{program} ended before it was ready ({status}); its log:\n{log}")]
    Exited {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it wrote.
        log: String,
    },
    /// The process runs and does not answer as it should.
    #[error("{program} was not ready within {waited:?} ({reason}); its log:\n{log}")]
    NotReady {
        /// The program.
        program: &'static str,
        /// How long we waited.
        waited: Duration,
        /// What the last attempt said.
        reason: String,
        /// The last lines it wrote.
        log: String,
    },
    /// A program that runs and ends (`initdb`, `psql`, `cp`) failed.
    #[error("{program} failed ({status}):\n{output}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        output: String,
    },
    /// No free port was found.
    #[error("no free port found")]
    NoPort,
    /// The server answered with an error.
    #[error("the server answered: {0}")]
    Refused(String),
    /// The server's bytes are not the protocol.
    #[error("the server does not speak the protocol: {0}")]
    Protocol(String),
    /// The server gave no answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// Certificates for a TLS server could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    /// A file or a socket failed.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Wraps an input or output error with what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")?;
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            write!(out, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}
