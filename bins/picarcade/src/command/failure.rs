//! The failure of a command.

use std::fmt::Display;
use std::process::ExitCode;

use crate::config::{Config, ConfigError};
use crate::telemetry::chain;
use crate::wiring::WiringError;

/// A failed command: one line for standard error and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    line: String,
}

impl Failure {
    /// Returns the failure of work that was asked for correctly.
    pub(crate) fn work(line: impl Display) -> Self {
        Self { code: 1, line: line.to_string() }
    }

    /// Returns the failure of a wrong call or a wrong configuration.
    pub(crate) fn usage(line: impl Display) -> Self {
        Self { code: 2, line: line.to_string() }
    }

    /// Returns the failure to assemble the service. The line names the setting that the failed part
    /// depends on.
    pub(crate) fn wiring(config: &Config, error: &WiringError) -> Self {
        let reason = chain(error);
        match error.key(config) {
            Some(key) => Self::usage(format!("{}: {reason}", config.layers.setting(key))),
            None => Self::usage(reason),
        }
    }

    /// Returns the failure with its subject in front, such as the setting of a part.
    pub(crate) fn about(self, subject: &str) -> Self {
        Self { line: format!("{subject}: {}", self.line), ..self }
    }

    pub(crate) fn report(self) -> ExitCode {
        ExitCode::from(self.print())
    }

    /// Prints the line and returns the exit code.
    #[expect(clippy::print_stderr, reason = "this is the command line's answer")]
    pub(crate) fn print(self) -> u8 {
        eprintln!("error: {}", self.line.replace('\n', " "));
        self.code
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}
