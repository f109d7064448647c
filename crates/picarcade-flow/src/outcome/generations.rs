//! Generations: those that this process has begun lately, in memory, and a log of all others.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use picarcade_analytics::GenerationRows;
use picarcade_intent::{Facts, PromptType, Source};

use crate::id::UserId;
use crate::session::store::StoreError;

/// How many generations a process remembers. At this bound the oldest is dropped and then looked up
/// in the log.
const REMEMBERED: usize = 50_000;

/// The data of a generation that a report needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The user that the generation belongs to.
    pub user_id: UserId,
    /// The model of the generation.
    pub model: Arc<str>,
    /// The type that was decided.
    pub prompt_type: PromptType,
    /// The source of the decision; `None` if the log does not have it.
    pub source: Option<Source>,
    /// The facts of the request; `None` if the log does not have them.
    pub facts: Option<Facts>,
    /// The estimated cost, in micro-dollars.
    pub estimated_cost_micros: u64,
    /// Whether the operator has reported the outcome.
    pub reported: bool,
}

/// A log of the generations of all processes.
#[async_trait]
pub trait GenerationLog: Send + Sync + std::fmt::Debug {
    /// Returns the generation with this id, if the log has it.
    async fn find(&self, generation_id: &str) -> Result<Option<Generation>, StoreError>;
}

/// A database of events is a log of generations.
#[async_trait]
impl<T: GenerationRows> GenerationLog for T {
    async fn find(&self, generation_id: &str) -> Result<Option<Generation>, StoreError> {
        let row = self.generation(generation_id).await;
        let row = row.map_err(|error| StoreError::Unavailable(Box::new(error)))?;
        let Some(row) = row else { return Ok(None) };
        // A text that is no id is the user of no caller.
        let Ok(user_id) = UserId::try_from(row.user_id) else { return Ok(None) };
        let Ok(prompt_type) = row.workflow_type.parse() else { return Ok(None) };
        Ok(Some(Generation {
            user_id,
            model: row.selected_model.into(),
            prompt_type,
            source: row.source.and_then(|source| source.parse().ok()),
            facts: row.media_facts.map(Facts::from_bits),
            estimated_cost_micros: row.estimated_cost_micros,
            reported: row.reported,
        }))
    }
}

/// The generations that this process has begun lately, in bounded memory.
#[derive(Debug, Default)]
pub(crate) struct Generations {
    recent: Mutex<Recent>,
    reported_by_users: Mutex<RecentIds>,
    with_feedback: Mutex<RecentIds>,
}

#[derive(Debug, Default)]
struct Recent {
    by_id: HashMap<Arc<str>, Generation>,
    order: VecDeque<Arc<str>>,
}

/// Generations on which users have reported or given feedback lately. They are separate from
/// [`Recent`], because a user may report before or after the operator.
#[derive(Debug, Default)]
struct RecentIds {
    ids: HashSet<Arc<str>>,
    order: VecDeque<Arc<str>>,
}

impl RecentIds {
    /// Adds an id. Returns false if it is here already.
    fn insert(&mut self, id: &str) -> bool {
        if self.ids.contains(id) {
            return false;
        }
        let id: Arc<str> = id.into();
        self.order.push_back(Arc::clone(&id));
        self.ids.insert(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

impl Generations {
    pub(crate) fn insert(&self, id: Arc<str>, generation: Generation) {
        let mut recent = self.recent.lock();
        if recent.by_id.insert(Arc::clone(&id), generation).is_none() {
            recent.order.push_back(id);
        }
        if recent.order.len() > REMEMBERED
            && let Some(oldest) = recent.order.pop_front()
        {
            recent.by_id.remove(&oldest);
        }
    }

    /// Remembers a generation that was looked up and returns it, or returns the one in memory,
    /// which may be newer.
    pub(crate) fn remember(&self, id: &str, generation: Generation) -> Generation {
        if let Some(known) = self.find(id) {
            return known;
        }
        self.insert(id.into(), generation.clone());
        generation
    }

    pub(crate) fn find(&self, id: &str) -> Option<Generation> {
        self.recent.lock().by_id.get(id).cloned()
    }

    /// Removes the generations of one user.
    pub(crate) fn forget_user(&self, user_id: &UserId) {
        self.recent.lock().by_id.retain(|_, generation| generation.user_id != *user_id);
    }

    /// Marks the generation as reported by the operator. Returns false if another report was first.
    pub(crate) fn claim(&self, id: &str) -> bool {
        match self.recent.lock().by_id.get_mut(id) {
            Some(generation) => !std::mem::replace(&mut generation.reported, true),
            None => true,
        }
    }

    /// Marks the generation as reported by its user. Returns false if this process remembers an
    /// earlier report of the user. The operator may still report.
    pub(crate) fn claim_for_user(&self, id: &str) -> bool {
        self.reported_by_users.lock().insert(id)
    }

    /// Marks the generation as one with feedback. Returns false if this process remembers earlier
    /// feedback.
    pub(crate) fn claim_feedback(&self, id: &str) -> bool {
        self.with_feedback.lock().insert(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation() -> Generation {
        Generation {
            user_id: "u".parse().unwrap(),
            model: "m".into(),
            prompt_type: PromptType::NewImage,
            source: Some(Source::Local),
            facts: Some(Facts::default()),
            estimated_cost_micros: 1,
            reported: false,
        }
    }

    #[test]
    fn the_oldest_generation_is_dropped_at_the_bound() {
        let generations = Generations::default();
        let generation = generation();
        for id in 0..=REMEMBERED {
            generations.insert(id.to_string().into(), generation.clone());
        }
        assert!(generations.find("0").is_none() && generations.find("1").is_some());
        assert!(generations.claim("1"));
        assert!(!generations.claim("1"));
    }

    #[test]
    fn a_report_of_the_user_does_not_claim_the_generation_for_the_operator() {
        let generations = Generations::default();
        let generation = generation();
        generations.insert("1".into(), generation);
        assert!(generations.claim_for_user("1") && !generations.claim_for_user("1"));
        assert!(!generations.find("1").unwrap().reported);
        assert!(generations.claim("1") && !generations.claim("1"));
        for id in 2..=REMEMBERED + 1 {
            assert!(generations.claim_for_user(&id.to_string()));
        }
        assert!(generations.claim_for_user("1"), "the oldest is dropped");
    }
}
