//! Errors of starting or querying a test's servers.
//!
//! There is one error type. Each variant carries what the reader of a failed test needs: the
//! missing program, or the last lines of the log of the server that died.
//!
//! `Debug` prints like `Display`, because a test shows an error through `unwrap`, and a log with
//! escaped line breaks cannot be read.

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
    /// A program that the tests need is not installed.
    #[error("{program} is not installed: {hint}")]
    NotInstalled {
        /// The program.
        program: &'static str,
        /// How to install it.
        hint: &'static str,
    },
    /// The system could not start an existing program.
    #[error("cannot start {program}")]
    Spawn {
        /// The program.
        program: &'static str,
        /// The error of the system.
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
    /// The process runs but does not answer correctly.
    #[error("{program} was not ready within {waited:?} ({reason}); its log:\n{log}")]
    NotReady {
        /// The program.
        program: &'static str,
        /// How long the kit waited.
        waited: Duration,
        /// The result of the last attempt.
        reason: String,
        /// The last lines it wrote.
        log: String,
    },
    /// A program that runs to its end (`initdb`, `psql`, `cp`) failed.
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
    /// The server sent bytes that do not follow its protocol.
    #[error("the server does not speak the protocol: {0}")]
    Protocol(String),
    /// The server did not answer in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The certificates for a TLS server could not be created.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    /// A file or socket operation failed.
    #[error("{what}")]
    Io {
        /// The operation.
        what: String,
        /// The error of the system.
        source: io::Error,
    },
}

impl Error {
    /// Wraps an input or output error with the name of the operation.
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
