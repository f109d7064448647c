//! Configurations in files.

use std::time::Duration;

use picarcade_analytics::{Config, Privacy};
use proptest::{option, prelude::*};
use serde_json::json;

fn read(json: &serde_json::Value) -> Result<Config, String> {
    serde_json::from_value(json.clone()).map_err(|error| error.to_string())
}

fn millis(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

fn times() -> impl Strategy<Value = Duration> {
    (0_u64..1_000_000_000).prop_map(Duration::from_millis)
}

fn privacies() -> impl Strategy<Value = Privacy> {
    prop_oneof![Just(Privacy::Full), Just(Privacy::None), any::<usize>().prop_map(Privacy::Truncated)]
}

prop_compose! {
    fn configs()(
        sizes in prop::array::uniform4(0_usize..1 << 40),
        bytes in prop::array::uniform3(0_u64..1 << 50),
        times in prop::array::uniform4(times()),
        spool_dir in option::of("[a-z/]{1,20}"),
        privacy in privacies(),
        maintain_interval in option::of(times()),
    ) -> Config {
        let [queue_rows, queue_bytes, batch_rows, batch_bytes] = sizes;
        let [spool_max_bytes, spool_segment_bytes, dead_letter_max_bytes] = bytes;
        let [flush_interval, write_timeout, retry_min, retry_max] = times;
        Config {
            queue_rows, queue_bytes, batch_rows, batch_bytes, flush_interval,
            spool_dir: spool_dir.map(Into::into),
            spool_max_bytes, spool_segment_bytes, dead_letter_max_bytes,
            privacy, write_timeout, retry_min, retry_max, maintain_interval,
        }
    }
}

proptest! {
    #[test]
    fn every_field_is_read(config in configs()) {
        let json = json!({
            "queue_rows": config.queue_rows, "queue_bytes": config.queue_bytes,
            "batch_rows": config.batch_rows, "batch_bytes": config.batch_bytes,
            "flush_interval": millis(config.flush_interval), "spool_dir": config.spool_dir,
            "spool_max_bytes": config.spool_max_bytes, "spool_segment_bytes": config.spool_segment_bytes,
            "dead_letter_max_bytes": config.dead_letter_max_bytes, "privacy": config.privacy.to_string(),
            "write_timeout": millis(config.write_timeout), "retry_min": millis(config.retry_min),
            "retry_max": millis(config.retry_max), "maintain_interval": config.maintain_interval.map(millis),
        });
        prop_assert_eq!(read(&json), Ok(config));
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        let _ = serde_json::from_str::<Config>(&text);
        for field in ["privacy", "flush_interval", "spool_dir", "queue_rows"] {
            let _ = read(&json!({ field: text }));
        }
    }
}

#[test]
fn absent_fields_have_their_defaults() {
    assert_eq!(read(&json!({})), Ok(Config::default()));
}

#[test]
fn unknown_fields_and_wrong_values_are_errors() {
    for (json, problem) in [
        (json!({ "queue_row": 1 }), "unknown field `queue_row`"),
        (json!({ "flush_interval": 1 }), "expected a duration"),
        (json!({ "write_timeout": "-1s" }), "expected a duration"),
        (json!({ "queue_rows": -1 }), "invalid value"),
        (json!({ "privacy": "some" }), "must be full, truncated, truncated:N, hashed or none"),
        (json!({ "privacy": "hashed" }), "hashed needs a key"),
    ] {
        let error = read(&json).unwrap_err();
        assert!(error.contains(problem), "{json}: {error}");
    }
}
