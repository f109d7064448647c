//! The issuer's public keys (JWKS, RFC 7517), cached.
//!
//! An unknown key id causes one fetch, and then none for a cool-down: a flood of tokens with made-up ids cannot become a
//! flood of requests to the issuer. While the issuer does not answer, the keys that are known go on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long keys are believed before they are fetched again.
const FRESH: Duration = Duration::from_secs(600);

/// The pause between two fetches.
const COOL_DOWN: Duration = Duration::from_secs(5);

/// How long a fetch may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// One key and the only algorithm that it verifies.
pub(crate) struct Key {
    pub(crate) key: DecodingKey,
    pub(crate) algorithm: Algorithm,
}

/// What became of looking for a key.
pub(crate) enum Lookup {
    Found(Arc<Key>),
    Unknown,
    /// The issuer has never answered.
    Unavailable,
}

/// The keys of one issuer.
#[derive(Debug)]
pub(crate) struct Jwks {
    url: String,
    client: reqwest::Client,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Option<HashMap<String, Arc<Key>>>,
    fetched: Option<Instant>,
    tried: Option<Instant>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("keys", &self.keys.as_ref().map(HashMap::len)).finish_non_exhaustive()
    }
}

impl Jwks {
    pub(crate) fn new(url: &str) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { url: url.to_owned(), client, state: Mutex::default() })
    }

    /// The key of this id; without an id the only key there is. Fetches when it must, one fetch at a time.
    pub(crate) async fn key(&self, id: Option<&str>) -> Lookup {
        let mut state = self.state.lock().await;
        let old = state.fetched.is_none_or(|at| at.elapsed() > FRESH);
        let rested = state.tried.is_none_or(|at| at.elapsed() > COOL_DOWN);
        if rested && (old || state.find(id).is_none()) {
            state.tried = Some(Instant::now());
            match self.fetch().await {
                Ok(keys) => {
                    state.keys = Some(keys);
                    state.fetched = Some(Instant::now());
                }
                Err(reason) => tracing::warn!(reason, "the issuer's keys could not be read"),
            }
        }
        match (&state.keys, state.find(id)) {
            (_, Some(key)) => Lookup::Found(key),
            (Some(_), None) => Lookup::Unknown,
            (None, None) => Lookup::Unavailable,
        }
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
        let set: JwkSet = serde_json::from_slice(&body).map_err(|_| "not a key set")?;
        Ok(set
            .keys
            .iter()
            .filter_map(|jwk| Some((jwk.common.key_id.clone().unwrap_or_default(), Arc::new(usable(jwk)?))))
            .collect())
    }
}

impl State {
    fn find(&self, id: Option<&str>) -> Option<Arc<Key>> {
        let keys = self.keys.as_ref()?;
        match id {
            Some(id) => keys.get(id).cloned(),
            None if keys.len() == 1 => keys.values().next().cloned(),
            None => None,
        }
    }
}

/// A public signature key with an algorithm that fits its type. A symmetric key in a public set is a mistake or an attack.
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
