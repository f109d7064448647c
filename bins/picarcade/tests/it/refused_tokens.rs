//! A refused token names its reason, and a refused API key does not.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::Algorithm;
use reqwest::Method;
use serde_json::json;

use crate::identity::{SECRET, token};
use crate::service::Service;

#[tokio::test]
async fn the_reason_is_in_the_challenge_and_in_the_log() {
    let service = Service::start(&[
        ("PICARCADE_JWT_SECRET", SECRET),
        ("PICARCADE_JWT_AUDIENCE", "authenticated"),
        ("PICARCADE_JWT_ISSUER", "https://issuer.example"),
        ("PICARCADE_API_KEYS", "web:a-key-of-the-web"),
    ])
    .await;
    let signed = |changes: serde_json::Value| {
        let mut all = json!({"iss": "https://issuer.example"});
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        token(Algorithm::HS256, SECRET, &all)
    };
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 300;
    let good = signed(json!({}));
    let mut cases = vec![
        (signed(json!({"exp": 1_000_000})), "the token is expired"),
        (signed(json!({"nbf": soon})), "the token is not yet valid"),
        (signed(json!({"exp": null})), "the token has no expiry"),
        (signed(json!({"aud": "secret-else"})), "the token is for another audience"),
        (signed(json!({"aud": null})), "the token is for another audience"),
        (signed(json!({"iss": "https://secret-else"})), "the token is from another issuer"),
        (signed(json!({"sub": null})), "the token has no subject"),
        (signed(json!({"sub": ""})), "the token has no subject"),
        (signed(json!({"sub": 7})), "the token has no subject"),
        (signed(json!({"sub": "secret\u{7}"})), "the subject of the token is not a usable user id"),
        (signed(json!({"role": "anon"})), "the token is not an end user's"),
        (token(Algorithm::HS256, "another secret", &json!({})), "the signature of the token is wrong"),
        (token(Algorithm::HS512, SECRET, &json!({})), "the algorithm of the token is not accepted"),
        (format!("{good}{}", "x".repeat(9_000)), "the token is too long"),
    ];
    cases.push(("secret.secret.secret".to_owned(), "the token is malformed"));
    for (token, reason) in cases {
        let request = service.request(Method::GET, "/api/v2/usage").bearer_auth(&token);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 401, "{reason}");
        let expected = format!("Bearer error=\"invalid_token\", error_description=\"{reason}\"");
        assert_eq!(response.headers()["www-authenticate"], expected, "{token}");
    }
    let logged = service.records("a token was refused");
    assert!(logged.iter().any(|record| record["reason"] == "the token is expired"), "{logged:?}");
    // A flood of tokens is no flood of lines.
    assert!(logged.len() <= 10 * (service.log_bound() / 150), "{logged:?}");
    assert!(!service.log().join("").contains("secret"), "{:#?}", service.log());

    for request in [
        service.request(Method::GET, "/api/v2/usage"),
        service.request(Method::GET, "/api/v2/usage").bearer_auth("a-wrong-key"),
        service.request(Method::GET, "/api/v2/usage").header("x-api-key", "a-wrong-key"),
    ] {
        let response = request.send().await.unwrap();
        assert!(
            response.status() == 401 && response.headers()["www-authenticate"] == "Bearer",
            "{response:?}"
        );
    }
    let request = service.request(Method::GET, "/api/v2/usage").bearer_auth(&good);
    assert_eq!(request.send().await.unwrap().status(), 200);
}
