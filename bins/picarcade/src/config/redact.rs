//! URLs without their secrets, for everything that is printed or logged.

/// The text that replaces a secret.
pub(crate) const REDACTED: &str = "(redacted)";

/// Returns a URL with its scheme, hosts and path. User, password, query and fragment may be secret.
///
/// A password may hold `/`, `?`, `#` and `@` that should have been percent-encoded, so the last `@`
/// ends the credentials. Text that cannot be divided safely is redacted from the scheme on, because
/// a part of a secret could look like a host.
pub(crate) fn redact_url(text: &str) -> String {
    let Some((scheme, rest)) = text.trim().split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
        return REDACTED.to_owned();
    };
    match place(rest) {
        Some((true, place)) => format!("{scheme}://{REDACTED}@{place}"),
        Some((false, place)) => format!("{scheme}://{place}"),
        None => format!("{scheme}://{REDACTED}"),
    }
}

/// Returns whether there are credentials, and the hosts and the path after them.
fn place(rest: &str) -> Option<(bool, String)> {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(end);
    if let Some((credentials, tail)) = after.rsplit_once('@') {
        // The @ ends the credentials only if it is the only one, no complete authority stands
        // before it, and it is not in the value of a query parameter.
        let is_in_password =
            !is_authority(authority) && !authority.contains('@') && !credentials.contains(['@', '=']);
        return if is_in_password { hosts_and_path(tail).map(|place| (true, place)) } else { None };
    }
    match authority.rsplit_once('@') {
        Some((_, hosts)) => hosts_and_path(&format!("{hosts}{after}")).map(|place| (true, place)),
        None => hosts_and_path(rest).map(|place| (false, place)),
    }
}

/// Returns the hosts and the path without query and fragment, if both are well-formed.
fn hosts_and_path(text: &str) -> Option<String> {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    let (hosts, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    // PostgreSQL takes its socket from the query: then there is no host.
    if !(hosts.split(',').all(is_host) || (hosts.is_empty() && !path.is_empty())) {
        return None;
    }
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._~-".contains(&byte));
    Some(if is_plain { text.to_owned() } else { format!("{hosts}/{REDACTED}") })
}

fn is_authority(text: &str) -> bool {
    text.rsplit_once('@').map_or(text, |(_, hosts)| hosts).split(',').all(is_host)
}

/// Returns whether the text is a host, with or without a port.
fn is_host(text: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    if let Some(bracketed) = text.strip_prefix('[') {
        let Some((address, after)) = bracketed.split_once(']') else { return false };
        return address.parse::<std::net::Ipv6Addr>().is_ok()
            && (after.is_empty() || after.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let is_name =
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    is_name && port.is_none_or(is_port)
}

fn is_scheme(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_shown_and_credentials_are_not() {
        for (url, shown) in [
            ("redis://cache:6379", "redis://cache:6379"),
            ("redis://:hunter2@cache:6379/0", "redis://(redacted)@cache:6379/0"),
            ("redis-sentinel://u:p@a:1,b,[::1]:2/1?master=m", "redis-sentinel://(redacted)@a:1,b,[::1]:2/1"),
            ("postgres://u:p@ss@db/app?password=hunter2", "postgres://(redacted)@db/app"),
            ("postgres:///app?host=/run/postgresql", "postgres:///app"),
            ("https://issuer.example/auth/v1/jwks.json?apikey=x", "https://issuer.example/auth/v1/jwks.json"),
            ("sqlite:///var/lib/picarcade.db", "sqlite:///var/lib/picarcade.db"),
            // Passwords that are not percent-encoded.
            ("redis://:hunt#er2@cache:6379/0", "redis://(redacted)@cache:6379/0"),
            ("redis://:hunt?er2@cache", "redis://(redacted)@cache"),
            ("postgres://u:hunt/er2@db.example/app", "postgres://(redacted)@db.example/app"),
            // Which part is secret cannot be decided.
            ("redis://u:1234#hunter2@cache", "redis://(redacted)"),
            ("redis://cache?password=a@hunter2", "redis://(redacted)"),
            ("redis://:6379?password=a@hunter2", "redis://(redacted)"),
            ("redis://:a/b@cache?c@hunter2", "redis://(redacted)"),
            ("redis://user:hunter2", "redis://(redacted)"),
            ("redis://:hunter2", "redis://(redacted)"),
            ("https://gateway.example/v1;key=hunter2", "https://gateway.example/(redacted)"),
            ("hunter2", "(redacted)"),
            ("sqlite:hunter2", "(redacted)"),
            ("Hunter2://x", "(redacted)"),
            ("", "(redacted)"),
        ] {
            assert_eq!(redact_url(url), shown, "{url}");
        }
    }

    proptest! {
        /// Secrets have upper-case letters and hosts have none, so a shown part of a secret can be
        /// recognized.
        #[test]
        fn no_part_of_a_secret_survives_wherever_it_stands(
            secret in "[A-Z0-9#?/@:%&=;+ ,\\[\\]é.-]{4,24}",
            user in "[a-z]{0,3}",
            scheme in "redis|rediss-cluster|postgres|https",
            host in "cache|db\\.example:6543|a:1,b:2",
        ) {
            for url in [
                format!("{scheme}://{user}:{secret}@{host}/app"),
                format!("{scheme}://{user}:{secret}@{host}"),
                format!("{scheme}://{host}/app?password={secret}"),
                format!("{scheme}://{user}:p@{host}/app?password={secret}"),
                format!("{scheme}://{host}/app#{secret}"),
            ] {
                let shown = redact_url(&url).replace(REDACTED, "");
                let characters: Vec<char> = secret.chars().collect();
                for window in characters.windows(4) {
                    let part: String = window.iter().collect();
                    // Separators and digits alone occur in every URL.
                    if part.chars().any(|letter| letter.is_ascii_uppercase() || letter == 'é') {
                        prop_assert!(!shown.contains(&part), "{url} is shown as {shown}");
                    }
                }
            }
        }

        #[test]
        fn any_text_is_redacted_without_a_panic_and_in_one_line(text in "\\PC{0,60}") {
            prop_assert_eq!(redact_url(&text).lines().count(), 1);
            prop_assert_eq!(redact_url(&format!("redis://{text}")).lines().count(), 1);
        }
    }
}
