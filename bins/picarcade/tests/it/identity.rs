//! Who may ask, and as whom.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::service::Service;

const SECRET: &str = "a-secret-of-the-issuer-with-some-length";

fn ask(service: &Service, headers: &[(&str, &str)], body: &Value) -> RequestBuilder {
    let mut request = service.request(Method::POST, "/api/v2/process").json(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

async fn status(service: &Service, headers: &[(&str, &str)], body: &Value) -> u16 {
    ask(service, headers, body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn keys_are_needed_where_they_are_configured() {
    let service = Service::start(&[("PICARCADE_API_KEYS", "web:k-web,batch:k-batch")]).await;
    let body = json!({"prompt": "a red fox"});
    assert_eq!(status(&service, &[], &body).await, 401);
    assert_eq!(status(&service, &[("x-api-key", "wrong")], &body).await, 401);
    assert_eq!(status(&service, &[("authorization", "Bearer k-web")], &body).await, 200);
    assert_eq!(status(&service, &[("x-api-key", "k-batch"), ("x-user-id", "ann")], &body).await, 200);
    let usage =
        service.request(Method::GET, "/api/v2/usage").header("x-api-key", "k-web").header("x-user-id", "ann");
    let usage: Value = usage.send().await.unwrap().json().await.unwrap();
    assert_eq!((&usage["user_id"], &usage["limits"][0]["used"]), (&json!("ann"), &json!(1)));
    assert_eq!(service.request(Method::GET, "/health/ready").send().await.unwrap().status(), 200);
}

fn token(algorithm: Algorithm, secret: &str, changes: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims: BTreeMap<String, Value> = serde_json::from_value(
        json!({"sub": "ann", "role": "authenticated", "aud": "authenticated", "exp": now + 600}),
    )
    .unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.remove(name)
        } else {
            claims.insert(name.clone(), value.clone())
        };
    }
    encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

#[tokio::test]
async fn a_token_is_its_user_and_nobody_else() {
    let environment = [("PICARCADE_JWT_SECRET", SECRET), ("PICARCADE_JWT_AUDIENCE", "authenticated")];
    let service = Service::start(&environment).await;
    let body = json!({"prompt": "a red fox"});
    let sent = async |token: &str, body: &Value| {
        status(&service, &[("authorization", &format!("Bearer {token}"))], body).await
    };
    let good = token(Algorithm::HS256, SECRET, &json!({}));
    assert_eq!(sent(&good, &body).await, 200);
    assert_eq!(sent(&good, &json!({"prompt": "a red fox", "user_id": "ann"})).await, 200);
    assert_eq!(sent(&good, &json!({"prompt": "a red fox", "user_id": "bob"})).await, 403);
    let spoofed = [("authorization", &*format!("Bearer {good}")), ("x-user-id", "bob")];
    assert_eq!(status(&service, &spoofed, &body).await, 200);
    let usage = service.request(Method::GET, "/api/v2/usage").bearer_auth(&good);
    let usage: Value = usage.send().await.unwrap().json().await.unwrap();
    assert_eq!((&usage["user_id"], &usage["limits"][0]["used"]), (&json!("ann"), &json!(3)));

    let unsigned = {
        let mut parts: Vec<_> = good.split('.').collect();
        // {"alg":"none"}
        parts[0] = "eyJhbGciOiJub25lIn0";
        parts[2] = "";
        parts.join(".")
    };
    for bad in [
        token(Algorithm::HS256, "another secret", &json!({})),
        token(Algorithm::HS512, SECRET, &json!({})),
        token(Algorithm::HS256, SECRET, &json!({"exp": 1_000_000})),
        token(Algorithm::HS256, SECRET, &json!({"exp": null})),
        token(Algorithm::HS256, SECRET, &json!({"aud": "else"})),
        token(Algorithm::HS256, SECRET, &json!({"aud": null})),
        token(Algorithm::HS256, SECRET, &json!({"sub": ""})),
        token(Algorithm::HS256, SECRET, &json!({"sub": null})),
        token(Algorithm::HS256, SECRET, &json!({"role": "anon"})),
        token(Algorithm::HS256, SECRET, &json!({"role": "service_role"})),
        unsigned,
        "nonsense".to_owned(),
    ] {
        assert_eq!(sent(&bad, &body).await, 401, "{bad}");
    }
    assert_eq!(status(&service, &[], &body).await, 401);
}
