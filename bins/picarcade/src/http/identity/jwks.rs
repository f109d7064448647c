//! The issuer's public keys (JWKS, RFC 7517), cached.
//!
//! An unknown key id causes one fetch, and then none for a cool-down. So a flood of tokens with
//! made-up ids cannot become a flood of requests to the issuer. A token of a known key never waits
//! for a fetch that another token caused. Old keys are renewed in the background, and a token waits
//! only for very old ones. If the issuer does not answer, or answers without a usable key, the last
//! good keys stay in force for a day.
//!
//! A fetch is a task of its own, so that a client that disconnects does not end it for the others.
//! An entry that cannot be used (malformed, of an unknown type, not for signatures) is skipped and
//! affects no other entry.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long keys are used before they are fetched again.
const FRESH: Duration = Duration::from_secs(600);

/// How old keys may be that are used during a fetch.
const USABLE: Duration = Duration::from_secs(1800);

/// How old keys may be that are used because the issuer gives no others. It is long enough for an
/// outage of the issuer, and limited because a leaked key must not be accepted forever.
const LAST_GOOD: Duration = Duration::from_secs(86_400);

/// The pause between two fetches.
const COOL_DOWN: Duration = Duration::from_secs(5);

/// How long a fetch may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// One key and the only algorithm that it verifies.
pub(crate) struct Key {
    pub(crate) key: DecodingKey,
    pub(crate) algorithm: Algorithm,
}

/// The result of looking for a key.
pub(crate) enum Lookup {
    Found(Arc<Key>),
    Unknown,
    /// The issuer has never answered, or not for a long time.
    Unavailable,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct Jwks {
    source: Arc<Source>,
    state: Mutex<State>,
}

/// The source of the keys.
#[derive(Debug)]
struct Source {
    url: String,
    client: reqwest::Client,
    /// The known keys; `None` before the first answer.
    keys: watch::Sender<Option<Keys>>,
}

#[derive(Clone)]
struct Keys {
    by_id: Arc<HashMap<String, Arc<Key>>>,
    fetched: Instant,
}

#[derive(Debug, Default)]
struct State {
    tried: Option<Instant>,
    /// Closed when the current fetch has ended.
    running: Option<watch::Receiver<()>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("count", &self.by_id.len()).finish_non_exhaustive()
    }
}

impl Jwks {
    pub(crate) fn new(url: &str) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let source = Arc::new(Source { url: url.to_owned(), client, keys: watch::Sender::new(None) });
        Ok(Self { source, state: Mutex::default() })
    }

    /// Returns the key of this id; without an id the only key, if there is just one. Fetches if
    /// necessary, one fetch at a time.
    pub(crate) async fn key(&self, id: Option<&str>) -> Lookup {
        let known = self.source.keys.borrow().clone();
        let found = known.as_ref().and_then(|keys| keys.find(id).map(|key| (key, keys.fetched.elapsed())));
        match found {
            Some((key, age)) if age <= FRESH => return Lookup::Found(key),
            Some((key, age)) => {
                // A fetch that failed before would most likely fail again, so the token does not
                // wait for it.
                let failing = self.state.lock().tried.is_some_and(|tried| tried.elapsed() < age);
                let running = self.renew();
                if age <= USABLE || (failing && age <= LAST_GOOD) {
                    return Lookup::Found(key);
                }
                ended(running).await;
            }
            None => ended(self.renew()).await,
        }
        match &*self.source.keys.borrow() {
            Some(keys) if keys.fetched.elapsed() <= LAST_GOOD => {
                keys.find(id).map_or(Lookup::Unknown, Lookup::Found)
            }
            _ => Lookup::Unavailable,
        }
    }

    /// Starts a fetch, unless one is running or the last one was just now. Returns the running
    /// fetch, if there is one.
    fn renew(&self) -> Option<watch::Receiver<()>> {
        let mut state = self.state.lock();
        if let Some(running) = state.running.as_ref().filter(|running| running.has_changed().is_ok()) {
            return Some(running.clone());
        }
        if state.tried.is_some_and(|tried| tried.elapsed() <= COOL_DOWN) {
            return None;
        }
        state.tried = Some(Instant::now());
        let (done, running) = watch::channel(());
        state.running = Some(running.clone());
        let source = Arc::clone(&self.source);
        tokio::spawn(async move {
            match source.fetch().await {
                Ok(by_id) if by_id.is_empty() && source.has_keys() => {
                    tracing::warn!("the issuer's key set has no usable key; the last keys stay in force");
                }
                Ok(by_id) => {
                    let keys = Keys { by_id: Arc::new(by_id), fetched: Instant::now() };
                    source.keys.send_replace(Some(keys));
                }
                Err(reason) => tracing::warn!(reason, "the issuer's keys could not be read"),
            }
            drop(done);
        });
        Some(running)
    }
}

/// Fetches the keys of an issuer once, and returns how many are usable.
pub(crate) async fn count_issuer_keys(url: &str) -> Result<usize, String> {
    let jwks = Jwks::new(url).map_err(|_| "no HTTP client".to_owned())?;
    jwks.source.fetch().await.map(|keys| keys.len()).map_err(str::to_owned)
}

/// Waits until the fetch has ended, if there is one.
async fn ended(running: Option<watch::Receiver<()>>) {
    if let Some(mut running) = running {
        // The only change is the end of the sender.
        let _ = running.changed().await;
    }
}

/// A key set. Its entries are parsed one by one, so that a malformed entry affects no other.
#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Source {
    /// Returns whether there are keys that an empty set must not replace.
    fn has_keys(&self) -> bool {
        let known = self.keys.borrow();
        known.as_ref().is_some_and(|keys| !keys.by_id.is_empty() && keys.fetched.elapsed() <= LAST_GOOD)
    }

    async fn fetch(&self) -> Result<HashMap<String, Arc<Key>>, &'static str> {
        let mut response = self.client.get(&self.url).send().await.map_err(|_| "no answer")?;
        if !response.status().is_success() {
            return Err("not a success");
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| "half an answer")? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err("too large");
            }
            body.extend_from_slice(&chunk);
        }
        read(&body).ok_or("not a key set")
    }
}

/// Returns the usable keys of a set, by id.
fn read(body: &[u8]) -> Option<HashMap<String, Arc<Key>>> {
    let set: Set = serde_json::from_slice(body).ok()?;
    let keys = set.keys.into_iter().filter_map(|entry| {
        let jwk: Jwk = serde_json::from_value(entry).ok()?;
        let key = usable(&jwk)?;
        Some((jwk.common.key_id.unwrap_or_default(), Arc::new(key)))
    });
    Some(keys.collect())
}

impl Keys {
    fn find(&self, id: Option<&str>) -> Option<Arc<Key>> {
        match id {
            Some(id) => self.by_id.get(id).cloned(),
            None if self.by_id.len() == 1 => self.by_id.values().next().cloned(),
            None => None,
        }
    }
}

/// Returns a public signature key with an algorithm that fits its type. A symmetric key in a public
/// set is a mistake or an attack.
fn usable(jwk: &Jwk) -> Option<Key> {
    if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return None;
    }
    let natural = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => Algorithm::ES256,
            EllipticCurve::P384 => Algorithm::ES384,
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
        _ => return None,
    };
    let algorithm = match jwk.common.key_algorithm {
        None => natural,
        Some(stated) => Algorithm::try_from(stated).ok()?,
    };
    if algorithm.family() != natural.family() {
        return None;
    }
    Some(Key { key: DecodingKey::from_jwk(jwk).ok()?, algorithm })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good(id: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "kid": id,
               "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn ids(keys: &[Value]) -> Vec<String> {
        let mut ids: Vec<_> =
            read(json!({ "keys": keys }).to_string().as_bytes()).unwrap().into_keys().collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn an_unusable_entry_is_skipped() {
        for entry in [
            json!(null),
            json!(7),
            json!([]),
            json!({}),
            json!({"kid": "x"}),
            json!({"kty": "OKP", "crv": "Ed25519", "kid": 7, "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            json!({"kty": "quantum", "kid": "x"}),
            json!({"kty": "EC", "crv": "P-999", "kid": "x", "x": "", "y": ""}),
            json!({"kty": "RSA", "kid": "x", "n": "!", "e": "AQAB"}),
            json!({"kty": "oct", "kid": "x", "k": "c2VjcmV0"}),
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "x", "use": "enc",
                   "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            json!({"kty": "OKP", "crv": "Ed25519", "kid": "x", "alg": "HS256",
                   "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        ] {
            assert_eq!(ids(&[good("a"), entry.clone(), good("b")]), ["a", "b"], "{entry}");
        }
        for body in ["{}", "[]", "null", r#"{"keys": null}"#, r#"{"keys": {}}"#, "<html>"] {
            assert!(read(body.as_bytes()).is_none(), "{body}");
        }
    }

    /// Returns keys that were fetched now, from an issuer that does not answer any more.
    fn unreachable() -> Jwks {
        let jwks = Jwks::new("http://127.0.0.1:1/keys").unwrap();
        let by_id = read(json!({ "keys": [good("a")] }).to_string().as_bytes()).unwrap();
        jwks.source.keys.send_replace(Some(Keys { by_id: Arc::new(by_id), fetched: Instant::now() }));
        jwks
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_keys_serve_for_a_day_without_the_issuer() {
        let jwks = unreachable();
        for hours in [1, 10, 12] {
            tokio::time::advance(Duration::from_secs(3600 * hours)).await;
            assert!(matches!(jwks.key(Some("a")).await, Lookup::Found(_)), "{hours}");
        }
        tokio::time::advance(Duration::from_secs(3600 * 2)).await;
        assert!(matches!(jwks.key(Some("a")).await, Lookup::Unavailable));
    }
}
