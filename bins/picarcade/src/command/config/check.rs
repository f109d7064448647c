//! `picarcade config --check`: the settings and every file that they name, without a connection.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use nix::unistd::{AccessFlags, access};

use crate::cli::ShowArguments;
use crate::command::Failure;
use crate::command::configuration::load;
use crate::config::{Config, Database};
use crate::{telemetry, wiring};

/// Checks everything that needs no connection, and prints what is good. Returns the configuration.
pub(super) fn check(arguments: &ShowArguments) -> Result<Config, Failure> {
    telemetry::check()?;
    let config = load(arguments.config.config.as_deref())?;
    if let Some(address) = listened_to(&config.listen) {
        config.check_exposure(address, arguments.insecure)?;
    }
    say("settings", "good");
    let loaded = wiring::load(&config).map_err(|error| Failure::wiring(&config, &error))?;
    let source = |file: &Option<std::path::PathBuf>| match file {
        Some(file) => file.display().to_string(),
        None => "embedded".to_owned(),
    };
    let (matrix, catalogue) = (&loaded.rules.matrix, &loaded.rules.catalogue);
    say("rules", format!("good, {}, version {}", source(&config.rules), matrix.version()));
    say("models", format!("good, {}, version {}", source(&config.models), catalogue.version()));
    if let (Some(file), Some(list)) = (&config.examples, &loaded.examples) {
        let (number, version) = (list.examples().len(), list.version());
        say("examples", format!("good, {}, {number} examples, version {version}", file.display()));
    }
    if config.data_dir.exists() && !config.data_dir.is_dir() {
        let reason = config.layers.wrong("data_dir", "must be a directory");
        return Err(Failure::usage(reason));
    }
    check_writable(&config, "data_dir", &config.data_dir)?;
    say("data_dir", format!("good, {}", config.data_dir.display()));
    if let Database::Sqlite(path) = &config.database
        && *path != config.data_dir
    {
        check_writable(&config, "database_url", path)?;
        say("database_url", format!("good, {}", path.display()));
    }
    Ok(config)
}

/// Prints one line about a part that was checked.
pub(super) fn say(part: &str, words: impl std::fmt::Display) {
    // A reader that has closed the pipe is not a failure.
    let _ = writeln!(std::io::stdout(), "{part:16} {words}");
}

/// Returns the address in the setting. A name is resolved only when the service starts.
fn listened_to(listen: &str) -> Option<SocketAddr> {
    let (host, port) = listen.rsplit_once(':')?;
    let host: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
    Some(SocketAddr::new(host, port.parse().ok()?))
}

/// Checks that a path can be written, or created in the nearest directory that exists.
fn check_writable(config: &Config, key: &str, path: &Path) -> Result<(), Failure> {
    let absolute = std::path::absolute(path).map_err(Failure::work)?;
    let existing = absolute.ancestors().find(|place| place.exists()).unwrap_or(&absolute);
    let is_place = existing == absolute || existing.is_dir();
    if is_place && access(existing, AccessFlags::W_OK).is_ok() {
        return Ok(());
    }
    let place = existing.display();
    let reason = if is_place { "cannot be written" } else { "is not a directory" };
    Err(Failure::usage(format!("{}: {place} {reason}", config.layers.setting(key))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_and_names_are_not_resolved() {
        for (listen, expected) in
            [("127.0.0.1:80", Some("127.0.0.1:80")), ("[::]:80", Some("[::]:80")), ("localhost:80", None)]
        {
            assert_eq!(listened_to(listen), expected.map(|address| address.parse().unwrap()), "{listen}");
        }
    }
}
