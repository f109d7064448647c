//! Who may ask, and as whom.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::service::{PATIENCE, Service};

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

fn claims(changes: &Value) -> BTreeMap<String, Value> {
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
    claims
}

fn token(algorithm: Algorithm, secret: &str, changes: &Value) -> String {
    encode(&Header::new(algorithm), &claims(changes), &EncodingKey::from_secret(secret.as_bytes())).unwrap()
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

/// An issuer with one key at a time.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Value>>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let keys = Arc::new(Mutex::new(json!({"keys": []})));
        let served = Arc::clone(&keys);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let body = served.lock().unwrap().to_string();
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let head =
                    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes()).await;
            }
        });
        Self { url, keys }
    }

    /// Puts a new key of this id in the place of the old one.
    fn rotate(&self, id: &str) -> EncodingKey {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        *self.keys.lock().unwrap() = json!({"keys": [jwk]});
        key
    }
}

fn signed(key: &EncodingKey, id: &str, changes: &Value) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::ES256) };
    encode(&header, &claims(changes), key).unwrap()
}

#[tokio::test]
async fn keys_of_an_issuer_may_rotate() {
    let issuer = Issuer::start().await;
    let first = issuer.rotate("first");
    let service = Service::start(&[("PICARCADE_JWKS_URL", &issuer.url)]).await;
    let body = json!({"prompt": "a red fox"});
    let sent =
        async |token: &str| status(&service, &[("authorization", &format!("Bearer {token}"))], &body).await;
    assert_eq!(sent(&signed(&first, "first", &json!({}))).await, 200);
    assert_eq!(sent(&signed(&first, "unknown", &json!({}))).await, 401);
    assert_eq!(sent(&signed(&first, "first", &json!({"exp": 1_000_000}))).await, 401);
    // The public key as the secret of a symmetric token: the oldest trick there is.
    let public = issuer.keys.lock().unwrap()["keys"][0].to_string();
    assert_eq!(sent(&token(Algorithm::HS256, &public, &json!({}))).await, 401);

    let second = issuer.rotate("second");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    while sent(&signed(&second, "second", &json!({}))).await != 200 {
        assert!(tokio::time::Instant::now() < deadline, "the new key was never fetched");
        tick.tick().await;
    }
    assert_eq!(sent(&signed(&first, "first", &json!({}))).await, 401);
}

#[tokio::test]
async fn tokens_that_cannot_be_checked_are_no_reason_to_let_anybody_in() {
    let service = Service::start(&[("PICARCADE_JWKS_URL", "http://127.0.0.1:1/keys")]).await;
    let key = Issuer::start().await.rotate("first");
    let bearer = format!("Bearer {}", signed(&key, "first", &json!({})));
    assert_eq!(status(&service, &[("authorization", &bearer)], &json!({"prompt": "x"})).await, 503);
}
