//! Step 6, the words: the enhanced prompt from level 2, from the AI's answer, or from the offline strategy.

use std::convert::Infallible;
use std::sync::Arc;

use picarcade_cache::{Loaded, Source as CacheSource};
use picarcade_intent::Request;

use crate::caches::{Enhanced, enhancement_key, user_tag};
use crate::request::{CacheControl, Caller};
use crate::rules::Rules;
use crate::service::Shared;
use crate::step::intent::{Decided, options};

impl Shared {
    /// The text and where it came from. Never fails: what cannot be cached is written anew.
    pub(crate) async fn enhanced(
        &self,
        request: &Arc<Request>,
        caller: &Caller,
        decided: &Decided,
        rules: &Arc<Rules>,
        control: CacheControl,
    ) -> (String, CacheSource) {
        let verdict = &decided.verdict;
        let key = enhancement_key(request, &caller.user, verdict, rules, self.classifier_id());
        if control == CacheControl::Use
            && let Some(hit) = self.caches.enhancement.peek(&key)
        {
            return (hit.value.text.clone(), hit.source);
        }
        let keep = decided.failed.is_none();
        let loader = {
            let (request, verdict, rules) = (Arc::clone(request), Arc::clone(verdict), Arc::clone(rules));
            move || async move {
                let text = rules.classifier.enhanced(&request, &verdict);
                let loaded = Loaded::new(Enhanced { text });
                // A stand-in for an AI's prompt must not be what the next request gets.
                Ok::<_, Infallible>(if keep { loaded } else { loaded.no_store() })
            }
        };
        let options = options(control).tag(user_tag(&caller.user));
        match self.caches.enhancement.get_or_load_with(&key, options, loader).await {
            Ok(found) => (found.value.text.clone(), found.source),
            Err(_) => (rules.classifier.enhanced(request, verdict), CacheSource::Bypass),
        }
    }
}
