//! The result of the statistics query.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::usd;
use crate::Error;
use crate::timestamp::minute_of;

/// How far back statistics look: this duration, extended to the beginning of its first minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Period {
    /// The last 60 minutes.
    #[serde(rename = "1h")]
    Hour,
    /// The last 24 hours.
    #[default]
    #[serde(rename = "24h")]
    Day,
    /// The last 7 days.
    #[serde(rename = "7d")]
    Week,
}

impl Period {
    /// All periods, shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Week];

    /// Returns `1h`, `24h` or `7d`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// Returns the schema of the words.
    #[cfg(feature = "openapi")]
    fn words() -> utoipa::openapi::Object {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::Type::String)
            .enum_values(Some(Self::ALL.map(Self::as_str)))
            .build()
    }

    /// Returns the duration.
    pub const fn duration(self) -> Duration {
        const HOUR: u64 = 3_600;
        Duration::from_secs(match self {
            Self::Hour => HOUR,
            Self::Day => 24 * HOUR,
            Self::Week => 168 * HOUR,
        })
    }

    /// Returns where the period before `until` begins: at a whole minute, the unit of roll-ups. Any
    /// other beginning would read all rows of that minute.
    pub(crate) const fn start(self, until: i64) -> i64 {
        minute_of(until - self.duration().as_micros() as i64)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Period {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|period| period.as_str() == text)
            .ok_or_else(|| Error::Config(format!("the period must be 1h, 24h or 7d, not {text:?}")))
    }
}

/// Statistics over the classifications of a period. Averages and rates of an empty period are 0.
///
/// Percentiles come from a histogram and are within 1.6 % of the exact value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Statistics {
    /// The number of classifications.
    pub total_classifications: u64,
    /// The mean confidence, 0.0 to 1.0.
    pub avg_confidence: f64,
    /// The mean time from request to answer in milliseconds.
    pub avg_processing_time_ms: f64,
    /// The median time in milliseconds.
    pub p50_ms: f64,
    /// The 95th percentile in milliseconds.
    pub p95_ms: f64,
    /// The 99th percentile in milliseconds.
    pub p99_ms: f64,
    /// The percentage that the local classifier answered although an AI answer was wanted.
    pub fallback_rate: f64,
    /// The percentage answered from a cache.
    pub cache_hit_rate: f64,
    /// The percentage over a limit.
    pub rate_limited_rate: f64,
    /// Classifications by type.
    pub by_type: BTreeMap<String, u64>,
    /// Classifications by source.
    pub by_source: BTreeMap<String, u64>,
    /// Classifications by chosen model.
    pub by_model: BTreeMap<String, u64>,
    /// Micro-dollars spent, as far as known: the actual costs in `cost_tracking`. JSON shows them
    /// as `cost_spent`, in US dollars.
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    #[serde(rename = "cost_spent", with = "usd")]
    pub spent_micros: u64,
    /// Micro-dollars saved by cache hits. JSON shows them as `cost_saved`, in US dollars.
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    #[serde(rename = "cost_saved", with = "usd")]
    pub saved_micros: u64,
    /// `1h`, `24h` or `7d`.
    #[cfg_attr(feature = "openapi", schema(schema_with = Period::words))]
    pub period: String,
    /// The time of the query, RFC 3339 in UTC.
    #[cfg_attr(feature = "openapi", schema(format = DateTime))]
    pub generated_at: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn money_is_dollars_in_json_and_exact_after_it(micros in 0..1_u64 << 50) {
            let statistics = Statistics { spent_micros: micros, ..Statistics::default() };
            let json = serde_json::to_value(&statistics).unwrap();
            prop_assert_eq!(&json["cost_spent"], &serde_json::json!(micros as f64 / 1e6));
            prop_assert_eq!(serde_json::from_value::<Statistics>(json).unwrap(), statistics);
        }
    }

    #[test]
    fn periods_are_read_as_they_are_written() {
        for period in Period::ALL {
            assert_eq!(period.to_string().parse::<Period>().unwrap(), period);
            assert_eq!(serde_json::to_string(&period).unwrap(), format!("\"{period}\""));
        }
        for wrong in ["", "2h", "24H", "day"] {
            assert!(wrong.parse::<Period>().unwrap_err().to_string().contains("1h, 24h or 7d"));
        }
    }
}
