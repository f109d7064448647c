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
    /// The work failed.
    pub(crate) fn work(line: impl Into<String>) -> Self {
        Self { code: 1, line: line.into() }
    }

    /// The call or the configuration was wrong.
    pub(crate) fn usage(line: impl Into<String>) -> Self {
        Self { code: 2, line: line.into() }
    }

    /// A part cannot be put together; the line names the setting that it depends on.
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

/// An error with its causes, in one line.
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
