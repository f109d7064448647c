//! `picarcade migrate`: applies what the database lacks.

use std::io::Write;
use std::process::ExitCode;

use crate::cli::ConfigArguments;
use crate::command::{Failure, chain};
use crate::config::Config;
use crate::{telemetry, wiring};

pub(crate) async fn run(arguments: &ConfigArguments) -> Result<ExitCode, Failure> {
    telemetry::start_quiet();
    let config = Config::parse(&Config::layers(arguments.config.as_deref())?)?;
    let databases = wiring::databases(&config).await?;
    databases.events.migrate().await.map_err(|error| Failure::work(chain(&error)))?;
    let _ = writeln!(std::io::stdout(), "the database is up to date");
    Ok(ExitCode::SUCCESS)
}
