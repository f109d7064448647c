//! Which crate may depend on which. A crate that calls something owns the trait for it, so leaf
//! crates depend on no other crate of the project, and only the binary names a backend.
//! `docs/architecture.md` describes the layers.

use anyhow::{Result, bail};

use crate::metadata::{Dependency, Metadata, Package};

/// The crates and their permitted dependencies among each other; `?` marks dependencies that need a
/// feature.
const MAY_KNOW: [(&str, &[&str]); 9] = [
    ("picarcade-redis", &[]),
    ("picarcade-breaker", &[]),
    ("picarcade-intent", &[]),
    ("picarcade-analytics", &[]),
    ("picarcade-testkit", &[]),
    // In its tests: cargo refuses the circle everywhere else.
    ("picarcade-cache-macros", &["picarcade-cache"]),
    ("picarcade-cache", &["picarcade-cache-macros?", "picarcade-redis?"]),
    ("picarcade-ratelimit", &["picarcade-redis?"]),
    (
        "picarcade-flow",
        &[
            "picarcade-cache",
            "picarcade-breaker",
            "picarcade-ratelimit",
            "picarcade-analytics",
            "picarcade-intent",
        ],
    ),
];

/// The features that enable a network backend.
const BACKENDS: [&str; 3] = ["redis", "fred", "postgres"];

/// The drivers of backends, and the only crates that may depend on them, under a feature. The fleet
/// view of the breaker is three scripts on a connection of the caller, which needs no additional
/// crate.
const DRIVERS: [(&str, &[&str]); 5] = [
    ("redis", &["picarcade-redis", "picarcade-breaker"]),
    ("fred", &["picarcade-redis"]),
    ("redb", &["picarcade-cache"]),
    ("sqlx", &["picarcade-analytics"]),
    // The breaker classifies its responses and sends nothing.
    ("reqwest", &["picarcade-breaker", "picarcade-intent"]),
];

/// The packages that assemble others and may enable backends.
const ASSEMBLERS: [&str; 4] = ["picarcade", "picarcade-examples", "picarcade-benches", "xtask"];

/// Fails with one line for each forbidden dependency.
pub(crate) fn check(metadata: &Metadata) -> Result<()> {
    let ours: Vec<&Package> = metadata.ours().collect();
    let faults: Vec<String> = ours.iter().flat_map(|package| faults(package)).collect();
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

fn faults(package: &Package) -> Vec<String> {
    let name = &package.name;
    if ASSEMBLERS.contains(&name.as_str()) {
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_KNOW.iter().find(|(known, _)| known == name) else {
        return vec![format!("{name}: say in xtask's layers whom it may know")];
    };
    let mut faults: Vec<String> =
        package.dependencies.iter().filter_map(|it| fault_of(it, allowed)).collect();
    for (driver, users) in DRIVERS {
        for it in package.dependencies.iter().filter(|it| it.name == driver && !it.is_dev()) {
            if !users.contains(&name.as_str()) {
                faults.push(format!("names the driver {driver}"));
            } else if !it.optional {
                faults.push(format!("names the driver {driver} without a feature"));
            }
        }
    }
    // The Redis crate is a backend itself and needs one driver.
    let default = package.features.get("default").into_iter().flatten();
    if name != "picarcade-redis" {
        faults
            .extend(default.filter(|it| is_backend(it)).map(|it| format!("has the backend {it} by default")));
    }
    faults.into_iter().map(|fault| format!("{name} {fault}")).collect()
}

fn fault_of(dependency: &Dependency, allowed: &[&str]) -> Option<String> {
    let name = &dependency.name;
    if !name.starts_with("picarcade") {
        return None;
    }
    if dependency.is_dev() {
        let known = allowed.iter().any(|it| it.trim_end_matches('?') == name);
        return (!known && name != "picarcade-testkit").then(|| format!("knows {name} in its tests"));
    }
    let Some(rule) = allowed.iter().find(|it| it.trim_end_matches('?') == name) else {
        return Some(format!("knows {name}"));
    };
    if rule.ends_with('?') && !dependency.optional {
        return Some(format!("knows {name} without a feature"));
    }
    if dependency.uses_default_features {
        return Some(format!("takes {name} with its default features"));
    }
    let backend = dependency.features.iter().find(|it| is_backend(it))?;
    Some(format!("switches {name}'s backend {backend} on"))
}

fn is_backend(feature: &str) -> bool {
    BACKENDS.contains(&feature.rsplit(['/', ':']).next().unwrap_or(feature))
}

#[cfg(test)]
mod tests {
    use super::{fault_of, is_backend};
    use crate::metadata::Dependency;

    fn dependency(name: &str) -> Dependency {
        Dependency {
            name: name.to_owned(),
            kind: None,
            optional: false,
            uses_default_features: false,
            features: Vec::new(),
        }
    }

    #[test]
    fn knowing_is_by_leave() {
        let optional = Dependency { optional: true, ..dependency("picarcade-redis") };
        assert_eq!(fault_of(&optional, &["picarcade-redis?"]), None);
        assert!(fault_of(&dependency("picarcade-redis"), &["picarcade-redis?"]).is_some());
        assert!(fault_of(&optional, &[]).is_some());
        assert_eq!(fault_of(&dependency("tokio"), &[]), None);
    }

    #[test]
    fn tests_may_use_the_kit() {
        let dev = |name| Dependency { kind: Some("dev".to_owned()), ..dependency(name) };
        assert_eq!(fault_of(&dev("picarcade-testkit"), &[]), None);
        assert!(fault_of(&dev("picarcade-flow"), &[]).is_some());
        assert!(fault_of(&dependency("picarcade-testkit"), &[]).is_some());
    }

    #[test]
    fn backends_stay_off() {
        let on = Dependency { features: vec!["redis".to_owned()], ..dependency("picarcade-cache") };
        assert!(fault_of(&on, &["picarcade-cache"]).is_some());
        let default = Dependency { uses_default_features: true, ..dependency("picarcade-cache") };
        assert!(fault_of(&default, &["picarcade-cache"]).is_some());
        assert!(
            is_backend("picarcade-analytics/postgres") && is_backend("dep:redis") && !is_backend("sqlite")
        );
    }
}
