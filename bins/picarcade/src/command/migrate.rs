//! `picarcade migrate`: applies what the database lacks.

use std::io::Write;
use std::process::ExitCode;

use crate::cli::ConfigArguments;
use crate::command::{Failure, chain};
use crate::config::Config;
use crate::wiring::{self, WiringError};

pub(crate) async fn run(arguments: &ConfigArguments) -> Result<ExitCode, Failure> {
    crate::telemetry::start_quiet();
    let config = Config::parse(&Config::layers(arguments.config.as_deref())?)?;
    wiring::migrate(&config).await.map_err(|error| match &error {
        // A database that does not answer now is not a wrong setting.
        WiringError::Database(cause) if cause.is_transient() => Failure::work(chain(&error)),
        _ => Failure::wiring(&config, &error),
    })?;
    let _ = writeln!(std::io::stdout(), "the database is up to date");
    Ok(ExitCode::SUCCESS)
}
