//! Configurations in files.

use std::time::Duration;

use picarcade_redis::{Config, DriverKind};
use proptest::{option, prelude::*};
use serde_json::json;

fn read(json: &serde_json::Value) -> Result<Config, String> {
    serde_json::from_value(json.clone()).map_err(|error| error.to_string())
}

proptest! {
    #[test]
    fn every_field_is_read(
        (url, backup_url, prefix, ca) in (".*", option::of(".*"), ".*", option::of(".*")),
        times in prop::array::uniform4(0_u64..1_000_000_000),
        sizes in prop::array::uniform4(0_usize..1 << 40),
        failure_threshold in any::<u32>(),
        driver in prop::sample::select(DriverKind::ALL.to_vec()),
    ) {
        let [connect, command, probe, grace] = times.map(|millis| format!("{millis}ms"));
        let config = read(&json!({
            "url": url, "backup_url": backup_url, "prefix": prefix, "ca": ca, "driver": driver.as_str(),
            "connect_timeout": connect, "command_timeout": command,
            "probe_interval": probe, "failback_grace": grace,
            "max_in_flight": sizes[0], "max_key_bytes": sizes[1], "max_value_bytes": sizes[2],
            "journal_capacity": sizes[3], "failure_threshold": failure_threshold,
        })).unwrap();
        prop_assert_eq!((config.url, config.backup_url, config.prefix), (url, backup_url, prefix));
        prop_assert_eq!((config.ca, config.driver), (ca.map(String::into_bytes), driver));
        prop_assert_eq!(
            [config.connect_timeout, config.command_timeout, config.probe_interval, config.failback_grace],
            times.map(Duration::from_millis)
        );
        let read = [config.max_in_flight, config.max_key_bytes, config.max_value_bytes, config.journal_capacity];
        prop_assert_eq!((read, config.failure_threshold), (sizes, failure_threshold));
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        let _ = serde_json::from_str::<Config>(&text);
        for field in ["url", "driver", "connect_timeout", "ca", "max_in_flight"] {
            if let Ok(config) = read(&json!({ field: text })) {
                let _ = config.check();
            }
        }
    }
}

#[test]
fn absent_fields_have_their_defaults() {
    let config = read(&json!({ "prefix": "test:" })).unwrap();
    let expected = Config { prefix: "test:".into(), ..Config::default() };
    assert_eq!(format!("{config:?}"), format!("{expected:?}"));
}

#[test]
fn unknown_fields_and_wrong_values_are_errors() {
    for (json, problem) in [
        (json!({ "uri": "redis://h" }), "unknown field `uri`"),
        (json!({ "command_timeout": 250 }), "expected a duration"),
        (json!({ "command_timeout": "soon" }), "expected a duration"),
        (json!({ "max_in_flight": -1 }), "invalid value"),
        (json!({ "ca": [1, 2] }), "expected a string"),
    ] {
        let error = read(&json).unwrap_err();
        assert!(error.contains(problem), "{json}: {error}");
    }
}

#[test]
fn an_error_about_a_driver_does_not_quote_a_url() {
    let error = read(&json!({ "driver": "redis://:hunter2@h" })).unwrap_err();
    assert_eq!(error, "must be redis or fred");
}
