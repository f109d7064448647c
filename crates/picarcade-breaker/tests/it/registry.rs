//! The registry: one breaker per name, sorted, bounded.

use picarcade_breaker::{Config, ConfigError, Registry};

#[test]
fn one_breaker_per_name_from_its_preset() {
    let registry = Registry::new();
    let first = registry.breaker("openai");
    assert!(first.same_as(&registry.clone().breaker("openai")));
    assert_eq!(first.config(), &Config::preset("openai"));
    assert!(registry.find("anthropic").is_none(), "a look-up created a breaker");
    for name in ["runway", "anthropic", "replicate"] {
        let _ = registry.breaker(name);
    }
    let names: Vec<_> = registry.all().iter().map(|breaker| breaker.name().to_string()).collect();
    assert_eq!(names, ["anthropic", "openai", "replicate", "runway"]);
    let names: Vec<_> = registry.statistics().into_iter().map(|reading| reading.name.to_string()).collect();
    assert_eq!(names, ["anthropic", "openai", "replicate", "runway"]);
}

#[test]
fn a_name_has_one_configuration() {
    let registry = Registry::new();
    let config = Config::default().failure_threshold(9);
    let breaker = registry.with_config("search", config.clone()).unwrap();
    assert!(breaker.same_as(&registry.breaker("search")));
    assert!(breaker.same_as(&registry.with_config("search", config).unwrap()));
    let error = registry.with_config("search", Config::default()).unwrap_err();
    assert_eq!(error, ConfigError::AlreadyRegistered { name: "search".into() });
    let error = registry.with_config("bad", Config::default().probes(0)).unwrap_err();
    assert_eq!(error.field(), Some("probes"));
    assert!(registry.find("bad").is_none());
}

#[test]
fn names_beyond_the_bound_share_one_breaker() {
    let registry = Registry::new();
    for name in 0..Registry::MAX {
        let _ = registry.breaker(&name.to_string());
    }
    let shared = registry.breaker("one more");
    assert_eq!(shared.name().as_str(), Registry::OVERFLOW);
    assert!(shared.same_as(&registry.breaker("and another")));
    assert!(!shared.same_as(&registry.breaker("7")));
    assert_eq!(registry.all().len(), Registry::MAX + 1);
    assert!(registry.with_config("late", Config::default()).is_err());
}

#[test]
fn many_threads_create_a_name_once() {
    let registry = Registry::new();
    let breakers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(|| registry.breaker("one"))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(breakers.iter().all(|breaker| breaker.same_as(&breakers[0])));
}
