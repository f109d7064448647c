//! The failure of a command.

use std::process::ExitCode;

use crate::config::Config;
use crate::wiring::WiringError;

/// A failed command: one line for standard error and an exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    line: String,
}

impl Failure {
    /// Returns the failure of work that was asked for correctly.
    pub(crate) fn work(line: impl Into<String>) -> Self {
        Self { code: 1, line: line.into() }
    }

    /// Returns the failure of a wrong call or a wrong configuration.
    pub(crate) fn usage(line: impl Into<String>) -> Self {
        Self { code: 2, line: line.into() }
    }

    /// Returns the failure to assemble the service. The line names the setting that the failed part
    /// depends on.
    pub(crate) fn wiring(config: &Config, error: &WiringError) -> Self {
        let reason = chain(error);
        match error.key(config) {
            Some(key) => Self::usage(format!("{}: {reason}", config.setting(key))),
            None => Self::usage(reason),
        }
    }

    #[expect(clippy::print_stderr, reason = "this is the command line's answer")]
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("error: {}", self.line.replace('\n', " "));
        ExitCode::from(self.code)
    }
}

impl From<crate::config::ConfigError> for Failure {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

/// Returns an error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some libraries repeat their cause in their own text.
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}
