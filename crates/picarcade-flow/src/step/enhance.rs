//! Step 6, the enhanced prompt: from its cache, the AI's answer, or the offline strategy.

use std::convert::Infallible;
use std::sync::Arc;

use picarcade_cache::{CacheSource, Loaded};
use picarcade_intent::Request;

use crate::caches::{Enhanced, enhancement_key, options, user_tag};
use crate::caller::Caller;
use crate::request::CacheControl;
use crate::rules::Rules;
use crate::service::FlowService;
use crate::step::resolved::Classification;

impl FlowService {
    /// Returns the enhanced prompt and its source. Never fails: a prompt that cannot be cached is
    /// enhanced again.
    pub(crate) async fn enhance(
        &self,
        request: &Arc<Request>,
        caller: &Caller,
        classification: &Classification,
        rules: &Arc<Rules>,
        control: CacheControl,
    ) -> (String, CacheSource) {
        let (inner, verdict) = (&self.inner, &classification.verdict);
        let key = enhancement_key(request, &caller.user, verdict, rules, &inner.classifier_id);
        if control == CacheControl::Use
            && let Some(hit) = inner.caches.enhancement.peek(&key)
        {
            return (hit.value.text.clone(), hit.source);
        }
        let is_fallback = classification.failed.is_some();
        let loader = {
            let (request, verdict, rules) = (Arc::clone(request), Arc::clone(verdict), Arc::clone(rules));
            move || async move {
                let text = rules.classifier.enhanced(&request, &verdict);
                let loaded = Loaded::new(Enhanced { text });
                // The next request must be able to get the AI's prompt.
                Ok::<_, Infallible>(if is_fallback { loaded.no_store() } else { loaded })
            }
        };
        let options = options(control).tag(user_tag(&caller.user));
        match inner.caches.enhancement.get_or_load_with(&key, options, loader).await {
            Ok(found) => (found.value.text.clone(), found.source),
            Err(_) => (rules.classifier.enhanced(request, verdict), CacheSource::Bypass),
        }
    }
}
