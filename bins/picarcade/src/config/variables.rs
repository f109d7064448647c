//! The names of environment variables.

use super::error::ConfigError;
use super::setting::{PREFIX, Setting};

/// Refuses an unknown variable that has our prefix, because it is most likely a misspelled
/// setting.
pub(crate) fn check_names<'a>(
    settings: &[Setting],
    names: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), ConfigError> {
    for (name, value) in names {
        let known = settings.iter().any(|setting| setting.variable.as_deref() == Some(name));
        if let Some(rest) = name.strip_prefix(PREFIX)
            && !known
            && !is_of_kubernetes(rest, value)
        {
            return Err(ConfigError::UnknownVariable { name: name.to_owned() });
        }
    }
    Ok(())
}

/// Returns whether Kubernetes sets this variable (here without our prefix) for a service called
/// `picarcade` or `picarcade-…`: `SERVICE_HOST`, `SERVICE_PORT`, `SERVICE_PORT_HTTP`, `PORT`,
/// `PORT_8080_TCP`, `PORT_8080_TCP_ADDR`.
fn is_of_kubernetes(rest: &str, value: &str) -> bool {
    let protocols = ["TCP", "UDP", "SCTP"];
    let of_port = |after: &str| {
        let mut words = after.split('_');
        words.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && words.next().is_some_and(|protocol| protocols.contains(&protocol))
    };
    // The rest of the service's name may come first. A port of such a service has a URL as its
    // value, which a misspelled setting does not have.
    let of_another = rest.ends_with("_SERVICE_HOST")
        || rest.split_once("_SERVICE_PORT").is_some_and(|(_, end)| end.is_empty() || end.starts_with('_'))
        || rest.rsplit_once("_PORT_").is_some_and(|(_, after)| of_port(after))
        || (rest.ends_with("_PORT")
            && protocols.iter().any(|p| value.starts_with(&format!("{}://", p.to_lowercase()))));
    let own = matches!(rest, "PORT" | "SERVICE_HOST" | "SERVICE_PORT")
        || rest.starts_with("SERVICE_PORT_")
        || rest.strip_prefix("PORT_").is_some_and(of_port);
    own || of_another
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::effective::SETTINGS;

    #[test]
    fn unknown_variables_name_themselves_and_those_of_kubernetes_pass() {
        let check = |name: &str, value: &str| {
            check_names(&SETTINGS, [(name, value)]).map_err(|error| error.to_string())
        };
        for name in [
            "PICARCADE_LISTNE",
            "PICARCADE_PORTS",
            "PICARCADE_PORT_HTTP",
            "PICARCADE_LISTEN_PORT",
            "PICARCADE_",
        ] {
            assert_eq!(check(name, "8080"), Err(format!("unknown environment variable {name}")));
        }
        for name in [
            "PICARCADE_LISTEN",
            "PICARCADE_PORT",
            "PICARCADE_PORT_8080_TCP",
            "PICARCADE_PORT_8080_TCP_ADDR",
            "PICARCADE_SERVICE_HOST",
            "PICARCADE_SERVICE_PORT",
            "PICARCADE_SERVICE_PORT_HTTP",
            "PICARCADE_REDIS_SERVICE_HOST",
            "PICARCADE_REDIS_PORT",
            "PICARCADE_REDIS_PORT_6379_TCP_PROTO",
            "PATH",
        ] {
            assert_eq!(check(name, "tcp://10.0.0.7:6379"), Ok(()), "{name}");
        }
    }
}
