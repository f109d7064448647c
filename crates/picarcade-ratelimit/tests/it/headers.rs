//! The header fields, read by an independent parser of Structured Fields.

use picarcade_ratelimit::{Limit, MAX_AMOUNT, Scope, Window, headers};
use sfv::{BareItem, ListEntry, Parser};

use crate::setup::{Setup, ada, denied, passes, secs, sliding};

/// Returns the string and the integer parameters of each member.
fn parse(field: &str) -> Vec<(String, Vec<(String, i64)>)> {
    let list: sfv::List = Parser::new(field).parse().unwrap();
    list.iter()
        .map(|entry| {
            let ListEntry::Item(item) = entry else { panic!("an inner list in {field}") };
            let BareItem::String(name) = &item.bare_item else { panic!("not a string in {field}") };
            let integers = item.params.iter().filter_map(|(key, value)| match value {
                BareItem::Integer(number) => Some((key.to_string(), i64::from(*number))),
                _ => None,
            });
            (name.to_string(), integers.collect())
        })
        .collect()
}

fn member(name: &str, parameters: &[(&str, i64)]) -> (String, Vec<(String, i64)>) {
    (name.to_owned(), parameters.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect())
}

#[tokio::test]
async fn policy_and_limit_are_valid_structured_fields() {
    let setup = Setup::memory();
    let limiter = setup.limiter([
        Limit::requests(Scope::User, 100, sliding(60)),
        Limit::cost(Scope::Global, MAX_AMOUNT, Window::UtcDay),
        Limit::requests(Scope::Endpoint, 10, Window::Sliding(std::time::Duration::from_millis(1500)))
            .named("short.one"),
    ]);
    assert!(passes(&limiter, &ada(), 3).await);
    let report = limiter.usage(&ada().endpoint("e")).await.unwrap();
    assert_eq!(
        parse(&headers::policy(&report)),
        [
            member("user-requests-60s", &[("q", 100), ("w", 60)]),
            member("short.one", &[("q", 10), ("w", 2)]),
            member("global-cost-utc-day", &[("q", 999_999_999_999_999), ("w", 86_400)]),
        ]
    );
    assert!(headers::policy(&report).ends_with(";qu=\"micro-dollars\""));
    assert_eq!(
        parse(&headers::limit(&report)),
        [
            member("user-requests-60s", &[("r", 97), ("t", 61)]),
            member("short.one", &[("r", 10), ("t", 0)]),
            member("global-cost-utc-day", &[("r", 999_999_999_999_999), ("t", 0)]),
        ]
    );
}

#[tokio::test]
async fn retry_after_is_rounded_up_to_whole_seconds() {
    let setup = Setup::memory();
    let limiter = setup.limiter([Limit::requests(Scope::User, 2, sliding(60))]);
    setup.pass(std::time::Duration::from_millis(300));
    assert!(passes(&limiter, &ada(), 2).await);
    let denial = denied(&limiter, &ada(), 1, 0).await;
    let wait: u64 = headers::retry_after(&denial).parse().unwrap();
    assert_eq!(wait, 61);
    setup.pass(secs(wait));
    assert!(passes(&limiter, &ada(), 1).await);
}

#[test]
fn without_limits_the_fields_are_empty() {
    let report = picarcade_ratelimit::Report::default();
    assert_eq!((headers::policy(&report), headers::limit(&report)), (String::new(), String::new()));
}
