//! The text forms of limits, windows and scopes, and their forms in configuration files.

use std::time::Duration;

use picarcade_ratelimit::{Limit, Limiter, MAX_AMOUNT, Scope, Window};
use proptest::prelude::*;

fn parse(text: &str) -> Result<Limit, String> {
    text.parse().map_err(|error: picarcade_ratelimit::ParseError| error.to_string())
}

fn windows() -> impl Strategy<Value = Window> {
    // 1 ms to 366 days.
    let length = (1000_u64..=31_622_400_000_000).prop_map(Duration::from_micros);
    prop_oneof![
        length.clone().prop_map(Window::Sliding),
        Just(Window::UtcDay),
        (length, any::<u64>()).prop_map(|(period, burst)| Window::Smooth { period, burst }),
    ]
}

fn limits() -> impl Strategy<Value = Limit> {
    let name = proptest::option::of("[A-Za-z0-9._-]{1,39}");
    let sliding = (1000_u64..=31_622_400_000_000).prop_map(|us| Window::Sliding(Duration::from_micros(us)));
    let window = prop_oneof![sliding, Just(Window::UtcDay)];
    let scope = proptest::sample::select(Scope::ALL.to_vec());
    (name, scope, any::<bool>(), 1..=MAX_AMOUNT, window).prop_map(|(name, scope, cost, amount, window)| {
        let limit = if cost { Limit::cost } else { Limit::requests }(scope, amount, window);
        match name {
            Some(name) => limit.named(name),
            None => limit,
        }
    })
}

proptest! {
    #[test]
    fn a_window_is_read_back_from_its_text_and_from_json(window in windows()) {
        prop_assert_eq!(window.to_string().parse(), Ok(window));
        let json = serde_json::to_string(&window).unwrap();
        prop_assert_eq!(serde_json::from_str::<Window>(&json).unwrap(), window);
    }

    #[test]
    fn a_limit_is_read_back_from_its_text_and_from_json(limit in limits()) {
        prop_assert_eq!(parse(&limit.to_string()), Ok(limit.clone()));
        let json = serde_json::to_string(&limit).unwrap();
        prop_assert_eq!(serde_json::from_str::<Limit>(&json).unwrap(), limit);
    }

    #[test]
    fn any_text_is_parsed_without_a_panic(text in any::<String>()) {
        let _ = text.parse::<Window>();
        let _ = text.parse::<Scope>();
        let _ = parse(&text);
    }

    #[test]
    fn text_of_the_right_characters_is_a_valid_limit_or_an_error(
        text in "(user|key|a: global|endpoint) [$0-9.]{0,24}/[0-9]{0,24}(us|ms|s|m|h|d|-smooth\\([0-9]{0,24}\\))?"
    ) {
        if let Ok(limit) = parse(&text) {
            prop_assert!(Limiter::builder().limit(limit).build().is_ok());
        }
    }
}

#[test]
fn every_scope_is_read_back_from_its_text_and_from_json() {
    for scope in Scope::ALL {
        assert_eq!(scope.to_string().parse(), Ok(scope));
        assert_eq!(scope.to_string().to_lowercase().parse(), Ok(scope));
        let json = serde_json::to_string(&scope).unwrap();
        assert_eq!(serde_json::from_str::<Scope>(&json).unwrap(), scope);
    }
}

#[test]
fn windows_are_read_in_the_units_that_people_write() {
    for (text, seconds) in [("60s", 60), ("1m", 60), ("2h", 7200), ("7d", 604_800), ("1000ms", 1)] {
        assert_eq!(text.parse(), Ok(Window::Sliding(Duration::from_secs(seconds))), "{text}");
    }
    let smooth = Window::Smooth { period: Duration::from_secs(60), burst: 5 };
    assert_eq!("1m-smooth(5)".parse(), Ok(smooth));
}

#[test]
fn a_wrong_window_is_an_error_that_shows_the_right_form() {
    for text in [
        "",
        "m",
        "1",
        "1 m",
        "-1m",
        "+1m",
        "1.5m",
        "1M",
        "1min",
        "utc",
        "1m-smooth",
        "1m-smooth()",
        "1m-smooth(-1)",
        "１m",
        "99999999999999999999s",
        "18446744073709551615d",
    ] {
        let error = text.parse::<Window>().unwrap_err().to_string();
        assert!(error.contains("must be like"), "{text}: {error}");
    }
    assert_eq!("0s".parse::<Window>().unwrap_err().to_string(), "the window is zero");
    assert_eq!("367d".parse::<Window>().unwrap_err().to_string(), "the window is longer than 366 days");
}

#[test]
fn a_wrong_limit_is_an_error_that_names_the_part() {
    for (text, part) in [
        ("100/1m", "a limit must be like"),
        ("user 100", "a limit must be like"),
        ("user -1/1m", "a limit must be like"),
        ("user $1.0000001/1m", "a limit must be like"),
        ("user $/1m", "a limit must be like"),
        ("user $1./1m", "a limit must be like"),
        ("team 100/1m", "a scope must be"),
        ("user 100/soon", "a window must be like"),
        ("user 0/1m", "limit is zero"),
        ("user 9007199254740993/1m", "limit is more than 2^53"),
        ("a b: user 1/1m", "name is not"),
        ("user 5/1m-smooth(5)", "burst is not from 1 to below the limit"),
        ("user $5/1m-smooth(2)", "is smooth, which is for requests only"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn dollars_are_exact_in_both_directions() {
    for (text, micros) in [("$0.02", 20_000), ("$50", 50_000_000), ("$0.000001", 1), ("$1.5", 1_500_000)] {
        let limit = parse(&format!("user {text}/1h")).unwrap();
        assert_eq!(limit.limit(), micros);
        assert_eq!(limit.to_string(), format!("user {text}/3600s"));
    }
}

#[test]
fn a_limit_in_a_file_has_known_fields_and_one_amount() {
    let read = |json: &str| serde_json::from_str::<Limit>(json).map_err(|error| error.to_string());
    let night = read(r#"{"name": "night", "scope": "USER", "cost_micros": 50, "window": "utc-day"}"#);
    assert_eq!(night, Ok(Limit::cost(Scope::User, 50, Window::UtcDay).named("night")));
    for (json, problem) in [
        (r#"{"scope": "user", "requests": 1, "window": "1m", "burst": 3}"#, "unknown field `burst`"),
        (r#"{"scope": "user", "requests": 1}"#, "missing field `window`"),
        (r#"{"scope": "user", "window": "1m"}"#, "either requests or cost_micros"),
        (r#"{"scope": "user", "requests": 1, "cost_micros": 1, "window": "1m"}"#, "either requests"),
        (r#"{"scope": "user", "requests": 0, "window": "1m"}"#, "limit is zero"),
        (r#"{"scope": "user", "requests": -1, "window": "1m"}"#, "invalid value"),
        (r#"{"scope": "user", "requests": 1, "window": 60}"#, "expected a string"),
        ("100", "expected a limit such as"),
        (r#"["user"]"#, "expected a limit such as"),
    ] {
        let error = read(json).unwrap_err();
        assert!(error.contains(problem), "{json}: {error}");
    }
}
