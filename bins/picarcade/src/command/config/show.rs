//! The settings on standard output.

use std::io::Write;
use std::process::ExitCode;

use super::check;
use crate::cli::ShowArguments;
use crate::command::Failure;
use crate::command::configuration::warn;
use crate::config::Config;
use crate::telemetry;

pub(crate) fn run(arguments: &ShowArguments) -> Result<ExitCode, Failure> {
    if arguments.check {
        check::check(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    telemetry::check()?;
    let layers = Config::layers(arguments.config.config.as_deref())?;
    let without_effects = layers.shown();
    let parsed = Config::parse(layers);
    // Printed in any case, because the settings show where a wrong value comes from.
    print(&parsed.as_ref().map_or(without_effects, Config::shown));
    warn(&parsed?.layers.warnings);
    Ok(ExitCode::SUCCESS)
}

fn print(shown: &[(String, String, String)]) {
    let width = shown.iter().map(|(key, _, _)| key.len()).max().unwrap_or(0);
    let mut out = std::io::stdout().lock();
    for (key, value, origin) in shown {
        // A reader that has closed the pipe (`| head`) is not a failure.
        if writeln!(out, "{key:width$} = {value}  ({origin})").is_err() {
            break;
        }
    }
}
