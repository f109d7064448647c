//! `picarcade config`: prints every setting, its value and its origin.

use std::io::Write;
use std::process::ExitCode;

use crate::cli::ConfigArguments;
use crate::command::Failure;
use crate::config::Config;

pub(crate) fn run(arguments: &ConfigArguments) -> Result<ExitCode, Failure> {
    let layers = Config::layers(arguments.config.as_deref())?;
    let shown = layers.shown();
    let width = shown.iter().map(|(key, _, _)| key.len()).max().unwrap_or(0);
    let mut out = std::io::stdout().lock();
    for (key, value, origin) in shown {
        // A reader that has closed the pipe (`| head`) is not a failure.
        if writeln!(out, "{key:width$} = {value}  ({origin})").is_err() {
            break;
        }
    }
    drop(out);
    // Parsed after the settings are printed, because they show where a wrong value comes from.
    Config::parse(layers)?;
    Ok(ExitCode::SUCCESS)
}
