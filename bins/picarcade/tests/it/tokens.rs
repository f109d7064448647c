//! Tokens of an issuer with a key set (JWKS): rotation, algorithms, and an issuer that is slow,
//! gone, or malformed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::failing_database::UNLIMITED;
use crate::identity::{claims, token};
use crate::service::{Service, until, with};

/// How an issuer answers a request for its keys.
#[derive(Clone)]
enum Mood {
    Answers(Vec<u8>),
    Fails,
    Hangs,
    Floods,
}

/// An issuer of tokens.
struct Issuer {
    url: String,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let mood = Arc::new(Mutex::new(Mood::Answers(br#"{"keys": []}"#.to_vec())));
        let asked = Arc::new(AtomicUsize::new(0));
        let (present, counted) = (Arc::clone(&mood), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mood = present.lock().unwrap().clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let answer = |status: &str, body: &[u8]| {
                        let length = body.len();
                        let head = format!(
                            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
                        );
                        [head.as_bytes(), body].concat()
                    };
                    match mood {
                        Mood::Answers(body) => drop(stream.write_all(&answer("200 OK", &body)).await),
                        Mood::Fails => drop(stream.write_all(&answer("500 Sorry", b"{}")).await),
                        Mood::Hangs => std::future::pending::<()>().await,
                        Mood::Floods => {
                            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[").await;
                            while stream.write_all(&[b' '; 4096]).await.is_ok() {}
                        }
                    }
                });
            }
        });
        Self { url, mood, asked }
    }

    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Replaces the keys of the issuer.
    fn publish(&self, keys: &[&Key]) {
        let keys: Vec<_> = keys.iter().map(|key| &key.public).collect();
        self.is(Mood::Answers(json!({ "keys": keys }).to_string().into_bytes()));
    }
}

/// A key pair.
struct Key {
    private: EncodingKey,
    public: Value,
    algorithm: Algorithm,
    id: &'static str,
}

impl Key {
    fn new(algorithm: Algorithm, id: &'static str) -> Self {
        let private = if algorithm == Algorithm::ES256 {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
            EncodingKey::from_ec_der(&pair.serialize_der())
        } else {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
            // The key itself (PKCS #1) begins after the 26 bytes that describe it (PKCS #8).
            EncodingKey::from_rsa_der(&pair.serialize_der()[26..])
        };
        let mut jwk = Jwk::from_encoding_key(&private, algorithm).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        Self { private, public: json!(jwk), algorithm, id }
    }

    fn sign(&self, changes: &Value) -> String {
        self.sign_as(self.id, changes)
    }

    fn sign_as(&self, id: &str, changes: &Value) -> String {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, &claims(changes), &self.private).unwrap()
    }
}

async fn status_with(service: &Service, token: &str) -> u16 {
    let request = service.request(Method::GET, "/api/v2/usage").bearer_auth(token);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn keys_may_rotate_and_verify_only_their_own_algorithm() {
    let issuer = Issuer::start().await;
    let (first, second) = (Key::new(Algorithm::ES256, "first"), Key::new(Algorithm::RS256, "second"));
    issuer.publish(&[&first]);
    let service = Service::start(&with(&[("PICARCADE_JWKS_URL", &*issuer.url)], &UNLIMITED)).await;
    assert_eq!(status_with(&service, &first.sign(&json!({}))).await, 200);
    for changes in [json!({"exp": 1_000_000}), json!({"sub": null}), json!({"role": "anon"})] {
        assert_eq!(status_with(&service, &first.sign(&changes)).await, 401, "{changes}");
    }
    // A flood of made-up ids is no flood of requests to the issuer: there is one in each pause
    // between two fetches.
    let started = Instant::now();
    let strangers = (0..50).map(|index| first.sign_as(&format!("made-up-{index}"), &json!({})));
    let strangers: Vec<_> = strangers.collect();
    let asks = strangers.iter().map(|token| status_with(&service, token));
    assert!(futures_util::future::join_all(asks).await.into_iter().all(|status| status == 401));
    let most = 2 + started.elapsed().as_secs() as usize / 5;
    assert!(issuer.asked() <= most, "{} of at most {most}", issuer.asked());

    issuer.publish(&[&second]);
    let rotated = second.sign(&json!({}));
    until("the new key is fetched", async || status_with(&service, &rotated).await == 200).await;
    assert_eq!(status_with(&service, &first.sign(&json!({}))).await, 401);
    // The public key, in every form it is published in, as the secret of a symmetric token: the
    // oldest attack.
    let public = &second.public;
    for secret in [public.to_string(), public["n"].as_str().unwrap().to_owned()] {
        let header = Header { kid: Some("second".to_owned()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(secret.as_bytes());
        assert_eq!(status_with(&service, &encode(&header, &claims(&json!({})), &key).unwrap()).await, 401);
        assert_eq!(status_with(&service, &token(Algorithm::HS256, &secret, &json!({}))).await, 401);
    }
    // The right key with another algorithm of its family, and under the id of another key.
    let header = Header { kid: Some("second".to_owned()), ..Header::new(Algorithm::RS512) };
    assert_eq!(
        status_with(&service, &encode(&header, &claims(&json!({})), &second.private).unwrap()).await,
        401
    );
    let forged = Key::new(Algorithm::ES256, "second");
    assert_eq!(status_with(&service, &forged.sign(&json!({}))).await, 401);
}

#[tokio::test]
async fn tokens_are_refused_until_the_keys_have_been_fetched() {
    let issuer = Issuer::start().await;
    let key = Key::new(Algorithm::ES256, "first");
    issuer.is(Mood::Fails);
    let service = Service::start(&with(&[("PICARCADE_JWKS_URL", &*issuer.url)], &UNLIMITED)).await;
    let token = key.sign(&json!({}));
    for mood in [Mood::Fails, Mood::Answers(b"<html>".to_vec()), Mood::Floods] {
        issuer.is(mood);
        let before = issuer.asked();
        until("the issuer is asked again", async || {
            let status = status_with(&service, &token).await;
            assert_eq!(status, 503);
            issuer.asked() > before
        })
        .await;
    }
    issuer.publish(&[&key]);
    until("the keys are read", async || status_with(&service, &token).await == 200).await;
    assert!(service.memory() < 300, "{} MiB", service.memory());
}

#[tokio::test]
async fn a_token_of_a_known_key_does_not_wait_for_an_issuer_that_hangs() {
    let issuer = Issuer::start().await;
    let key = Key::new(Algorithm::ES256, "first");
    issuer.publish(&[&key]);
    let service = Service::start(&with(&[("PICARCADE_JWKS_URL", &*issuer.url)], &UNLIMITED)).await;
    assert_eq!(status_with(&service, &key.sign(&json!({}))).await, 200);
    issuer.is(Mood::Hangs);
    let stranger = key.sign_as("unknown", &json!({}));
    let before = issuer.asked();
    until("the issuer is asked for the stranger's key", async || {
        let hanging = status_with(&service, &stranger);
        let known = async {
            // After the cool-down the request with the unknown key waits for the issuer; this one
            // must not.
            while issuer.asked() == before {
                tokio::task::yield_now().await;
                if status_with(&service, &key.sign(&json!({}))).await != 200 {
                    return false;
                }
            }
            status_with(&service, &key.sign(&json!({}))).await == 200
        };
        tokio::select! {
            biased;
            status = hanging => { assert_eq!(status, 401); false }
            answered = known => { assert!(answered); true }
        }
    })
    .await;
}

#[tokio::test]
async fn a_malformed_entry_is_skipped_and_an_empty_key_set_changes_nothing() {
    let issuer = Issuer::start().await;
    let (first, second) = (Key::new(Algorithm::ES256, "first"), Key::new(Algorithm::ES256, "second"));
    let mut numeric = second.public.clone();
    numeric["kid"] = json!(7);
    let entries = json!([null, 7, {}, {"kty": "quantum", "kid": "x"}, numeric, first.public]);
    issuer.is(Mood::Answers(json!({ "keys": entries }).to_string().into_bytes()));
    let service = Service::start(&[("PICARCADE_JWKS_URL", &issuer.url)]).await;
    assert_eq!(status_with(&service, &first.sign(&json!({}))).await, 200);
    assert_eq!(status_with(&service, &second.sign(&json!({}))).await, 401);
    for broken in [&br#"{"keys": []}"#[..], br#"{"keys": [null]}"#, br#"{"keys": null}"#, b"<html>"] {
        issuer.is(Mood::Answers(broken.to_vec()));
        let before = issuer.asked();
        // A token of an unknown key causes a fetch.
        until("the set is fetched", async || {
            assert_eq!(status_with(&service, &first.sign_as("unknown", &json!({}))).await, 401);
            issuer.asked() > before
        })
        .await;
        assert_eq!(status_with(&service, &first.sign(&json!({}))).await, 200);
    }
    issuer.publish(&[&second]);
    until("the new key is fetched", async || status_with(&service, &second.sign(&json!({}))).await == 200)
        .await;
    assert_eq!(status_with(&service, &first.sign(&json!({}))).await, 401);
}
