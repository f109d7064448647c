//! The issuer's public keys (JWKS, RFC 7517), cached.
//!
//! An unknown key id causes one fetch, and then none for a cool-down: a flood of tokens with made-up ids cannot become a
//! flood of requests to the issuer. Who has a key that is known never waits for a fetch that others have caused, however long
//! the issuer takes: old keys are renewed in the background, and only very old ones are waited for. While the issuer does
//! not answer, the keys that are known go on.
//!
//! A fetch is a task of its own, so that a caller who leaves does not end it for the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long keys are believed before they are fetched again.
const FRESH: Duration = Duration::from_secs(600);

/// How old keys may be that are used while they are fetched again.
const USABLE: Duration = Duration::from_secs(1800);

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
    source: Arc<Source>,
    state: Mutex<State>,
}

/// Where the keys come from.
#[derive(Debug)]
struct Source {
    url: String,
    client: reqwest::Client,
    /// The keys that are known; none before the first answer.
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
    /// Closed when the fetch that is under way has ended.
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
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let source = Arc::new(Source { url: url.to_owned(), client, keys: watch::Sender::new(None) });
        Ok(Self { source, state: Mutex::default() })
    }

    /// The key of this id; without an id the only key there is. Fetches when it must, one fetch at a time.
    pub(crate) async fn key(&self, id: Option<&str>) -> Lookup {
        let known = self.source.keys.borrow().clone();
        let found = known.as_ref().and_then(|keys| keys.find(id).map(|key| (key, keys.fetched.elapsed())));
        match found {
            Some((key, age)) if age <= FRESH => return Lookup::Found(key),
            Some((key, age)) => {
                // Who was told no the last time would not be told better now.
                let failing = self.state.lock().tried.is_some_and(|tried| tried.elapsed() < age);
                let running = self.renew();
                if age <= USABLE || failing {
                    return Lookup::Found(key);
                }
                ended(running).await;
            }
            None => ended(self.renew()).await,
        }
        match &*self.source.keys.borrow() {
            Some(keys) => keys.find(id).map_or(Lookup::Unknown, Lookup::Found),
            None => Lookup::Unavailable,
        }
    }

    /// Begins a fetch, unless one is under way or the last one was just now. What is under way now, if anything is.
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

/// Waits until the fetch has ended, if there is one.
async fn ended(running: Option<watch::Receiver<()>>) {
    if let Some(mut running) = running {
        // The only change is the end of the sender.
        let _ = running.changed().await;
    }
}

impl Source {
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

impl Keys {
    fn find(&self, id: Option<&str>) -> Option<Arc<Key>> {
        match id {
            Some(id) => self.by_id.get(id).cloned(),
            None if self.by_id.len() == 1 => self.by_id.values().next().cloned(),
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
