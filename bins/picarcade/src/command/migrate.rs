//! `picarcade migrate`: applies the missing migrations.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::MigrateArguments;
use crate::command::{Failure, load_without_ai};
use crate::telemetry::chain;
use crate::wiring::{self, WiringError};

pub(crate) async fn run(arguments: &MigrateArguments) -> Result<ExitCode, Failure> {
    crate::telemetry::start_quiet()?;
    let config = load_without_ai(arguments.config.config.as_deref())?;
    let lock_timeout = Duration::from_secs(arguments.lock_timeout);
    wiring::migrate(&config, lock_timeout).await.map_err(|error| match &error {
        // A database that does not answer now is not a wrong setting.
        WiringError::Database(cause) if cause.is_transient() => Failure::work(chain(&error)),
        _ => Failure::wiring(&config, &error),
    })?;
    let _ = writeln!(std::io::stdout(), "the database is up to date");
    Ok(ExitCode::SUCCESS)
}
