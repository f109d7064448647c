//! The names of environment variables.

use picarcade_flow::is_one_edit;

use super::error::ConfigError;
use super::setting::{PREFIX, Setting};

/// A variable of the service that is no setting.
const LOG_FILTER: &str = "RUST_LOG";

/// Variables of other software that are one edit from a setting.
const OF_OTHERS: [&str; 4] = ["DATABASE_URI", "DATABASE_URLS", "REDIS_URI", "REDIS_URLS"];

/// Refuses an unknown variable that has our prefix, because it is most likely a misspelled
/// setting. Returns a warning for each other variable that is one edit from a setting.
///
/// There is no warning if that setting has a variable too: then the other one has its own purpose.
pub(crate) fn check_names(
    settings: &[Setting],
    environment: &[(&str, &str)],
) -> Result<Vec<String>, ConfigError> {
    let known = || settings.iter().filter_map(|setting| setting.variable.as_deref()).chain([LOG_FILTER]);
    let mut warnings = Vec::new();
    for &(name, value) in environment {
        if known().any(|known| known == name) {
            continue;
        }
        let meant = known().find(|known| is_nearly(name, known));
        match name.strip_prefix(PREFIX) {
            Some(rest) if is_of_kubernetes(rest, value) => {}
            Some(_) => {
                let (name, meant) = (name.to_owned(), meant.map(str::to_owned));
                return Err(ConfigError::UnknownVariable { name, meant });
            }
            None => {
                let Some(meant) = meant.filter(|_| !OF_OTHERS.contains(&name)) else { continue };
                if environment.iter().all(|(other, _)| *other != meant) {
                    warnings
                        .push(format!("environment variable {name} is ignored: probably {meant} was meant"));
                }
            }
        }
    }
    Ok(warnings)
}

/// Returns whether a name is that of a setting, in another case or with one edit.
fn is_nearly(name: &str, known: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name == known || is_one_edit(&name, known)
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
            check_names(&SETTINGS, &[(name, value)]).map_err(|error| error.to_string())
        };
        for (name, meant) in [("PICARCADE_LISTNE", "PICARCADE_LISTEN"), ("PICARCADE_RULE", "PICARCADE_RULES")]
        {
            let line = format!("unknown environment variable {name}: probably {meant} was meant");
            assert_eq!(check(name, "8080"), Err(line));
        }
        for name in ["PICARCADE_PORTS", "PICARCADE_PORT_HTTP", "PICARCADE_LISTEN_PORT", "PICARCADE_"] {
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
            assert_eq!(check(name, "tcp://10.0.0.7:6379"), Ok(Vec::new()), "{name}");
        }
    }

    #[test]
    fn a_variable_one_edit_from_a_setting_is_a_warning_unless_the_setting_is_set_too() {
        let warnings = |names: &[&str]| {
            let environment: Vec<_> = names.iter().map(|name| (*name, "x")).collect();
            check_names(&SETTINGS, &environment).unwrap()
        };
        for (name, meant) in [
            ("REDIS_ULR", "REDIS_URL"),
            ("REDSI_URL", "REDIS_URL"),
            ("redis_url", "REDIS_URL"),
            ("DATABASE_UR", "DATABASE_URL"),
            ("LLM_MODELL", "LLM_MODEL"),
            ("ANTHROPIC_API_KEYS", "ANTHROPIC_API_KEY"),
            ("RATE_LIMIT_REQUESTS_PER_MINUTES", "RATE_LIMIT_REQUESTS_PER_MINUTE"),
            ("COST_LIMIT_PER_HUOR", "COST_LIMIT_PER_HOUR"),
            ("CIRCUIT_BREAKER_TIMOUT", "CIRCUIT_BREAKER_TIMEOUT"),
            ("PICARCAD_LISTEN", "PICARCADE_LISTEN"),
            ("RUST_LGO", "RUST_LOG"),
        ] {
            let line = format!("environment variable {name} is ignored: probably {meant} was meant");
            assert_eq!(warnings(&[name]), [line]);
            assert!(warnings(&[name, meant]).is_empty(), "{name}");
        }
        for name in ["REDIS_HOST", "REDIS_URI", "DATABASE_URI", "PATH", "LLM", "OPENAI_API_BASE", ""] {
            assert!(warnings(&[name]).is_empty(), "{name}");
        }
    }
}
