//! A store in memory, for tests, for a service that stores nothing, and as the reference model of
//! the databases.
//!
//! It scans all rows where the databases use roll-ups and indexes. Its size is unbounded.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use uuid::Uuid;

use super::lookup::{FeedbackRow, FeedbackRows, GenerationRow, GenerationRows, SessionRow, SessionRows};
use super::schema::SchemaState;
use super::store::{Maintained, Store};
use crate::event::{ClassificationEvent, CostEvent, FeedbackEvent, OutcomeEvent};
use crate::record::{Record, created_at, paired_id};
use crate::statistics::Tally;
use crate::timestamp::micros;
use crate::{Error, Event, Period, Statistics, limits};

/// Rows in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    rows: BTreeMap<Uuid, Event>,
    sessions: HashMap<String, SessionRow>,
}

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns all rows in the order of their ids. Outcomes have been applied to the rows they
    /// complete.
    pub fn rows(&self) -> Vec<Record> {
        self.inner.lock().rows.iter().map(|(&id, event)| Record { id, event: event.clone() }).collect()
    }

    fn tally(&self, user: Option<&str>, from: i64, until: i64) -> Tally {
        let mut tally = Tally::default();
        for (&id, event) in &self.inner.lock().rows {
            if !(from..until).contains(&created_at(id)) || user.is_some_and(|user| owner(event) != Some(user))
            {
                continue;
            }
            match event {
                Event::Classification(event) => tally.observe(event),
                Event::Cost(cost) => tally.spend(cost.actual_cost_micros.unwrap_or(0)),
                _ => {}
            }
        }
        tally
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn write(&self, batch: &[Record]) -> Result<(), Error> {
        if !batch.iter().all(|record| limits::fits(&record.event)) {
            return Err(rejected("a value is out of range"));
        }
        let mut inner = self.inner.lock();
        for record in batch {
            match &record.event {
                Event::Feedback(feedback) => inner.replace_feedback(record.id, feedback),
                event => {
                    inner.rows.entry(record.id).or_insert_with(|| event.clone());
                }
            }
        }
        for record in batch {
            if let Event::Outcome(outcome) = &record.event {
                inner.apply(record.id, outcome);
            }
        }
        Ok(())
    }

    async fn statistics(&self, period: Period, now: SystemTime) -> Result<Statistics, Error> {
        let until = micros(now);
        Ok(self.tally(None, period.start(until), until).statistics(period, until))
    }

    async fn user_statistics(
        &self,
        user_id: &str,
        period: Period,
        now: SystemTime,
    ) -> Result<Statistics, Error> {
        let until = micros(now);
        Ok(self.tally(Some(user_id), period.start(until), until).statistics(period, until))
    }

    async fn spent_since(&self, from: SystemTime, now: SystemTime) -> Result<u64, Error> {
        Ok(self.tally(None, micros(from), micros(now)).spent())
    }

    async fn ping(&self) -> Result<Duration, Error> {
        Ok(Duration::ZERO)
    }

    async fn forget_user(&self, user_id: &str) -> Result<u64, Error> {
        let mut inner = self.inner.lock();
        let before = inner.rows.len() + inner.sessions.len();
        inner.rows.retain(|_, event| owner(event) != Some(user_id));
        inner.sessions.retain(|_, session| session.user_id != user_id);
        Ok((before - inner.rows.len() - inner.sessions.len()) as u64)
    }

    async fn migrate(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn schema(&self) -> Result<SchemaState, Error> {
        Ok(SchemaState::Current { version: 0 })
    }

    async fn maintain(&self, now: SystemTime) -> Result<Maintained, Error> {
        let mut inner = self.inner.lock();
        let before = inner.sessions.len();
        inner.sessions.retain(|_, session| !session.is_expired(now));
        let sessions_expired = (before - inner.sessions.len()) as u64;
        let outcomes: Vec<(Uuid, OutcomeEvent)> = inner
            .rows
            .iter()
            .filter_map(|(&id, event)| match event {
                Event::Outcome(outcome) => Some((id, outcome.clone())),
                _ => None,
            })
            .collect();
        let mut outcomes_applied = 0;
        for (id, outcome) in outcomes {
            outcomes_applied += u64::from(inner.apply(id, &outcome));
        }
        Ok(Maintained { outcomes_applied, sessions_expired, ..Maintained::default() })
    }
}

impl Inner {
    /// Stores the feedback unless newer feedback on its generation exists.
    fn replace_feedback(&mut self, id: Uuid, feedback: &FeedbackEvent) {
        let same = |event: &Event| matches!(event, Event::Feedback(other) if other.generation_id == feedback.generation_id);
        let old = self.rows.iter().find_map(|(&old, event)| same(event).then_some(old));
        if old.is_none_or(|old| old < id) {
            old.map(|old| self.rows.remove(&old));
            self.rows.insert(id, Event::Feedback(feedback.clone()));
        }
    }

    /// Returns the classification of a generation of this user.
    fn classification(&self, generation_id: Uuid, user: &str) -> Option<&ClassificationEvent> {
        match self.rows.get(&generation_id) {
            Some(Event::Classification(event)) if *event.user_id == *user => Some(event),
            _ => None,
        }
    }

    /// Completes the rows of a generation. Returns whether its selection was present and still
    /// open.
    fn apply(&mut self, id: Uuid, outcome: &OutcomeEvent) -> bool {
        let mut completed = None;
        for event in self.rows.values_mut() {
            if let Event::ModelSelection(selection) = event
                && selection.generation_id == outcome.generation_id
                && selection.user_id == outcome.user_id
                && selection.success.is_none()
            {
                selection.success = Some(outcome.success);
                selection.actual_cost_micros = outcome.actual_cost_micros;
                selection.actual_time = outcome.actual_time;
                selection.error_message.clone_from(&outcome.error_message);
                completed = Some(selection.clone());
            }
        }
        let Some(selection) = completed else { return false };
        let mut has_cost = false;
        for event in self.rows.values_mut() {
            if let Event::Cost(cost) = event
                && cost.generation_id.as_ref() == Some(&outcome.generation_id)
                && cost.user_id == outcome.user_id
            {
                has_cost = true;
                if cost.success.is_none() {
                    cost.success = Some(outcome.success);
                    cost.actual_cost_micros = outcome.actual_cost_micros;
                    cost.error_message.clone_from(&outcome.error_message);
                }
            }
        }
        if !has_cost {
            // The id of the row follows from the id of the outcome, so the row can be created only
            // once.
            let id = paired_id(id);
            let cost = CostEvent {
                user_id: selection.user_id,
                operation_type: "generation".into(),
                generation_id: Some(selection.generation_id),
                estimated_cost_micros: selection.estimated_cost_micros,
                actual_cost_micros: outcome.actual_cost_micros,
                model_used: selection.selected_model,
                success: Some(outcome.success),
                error_message: outcome.error_message.clone(),
            };
            self.rows.entry(id).or_insert(Event::Cost(cost));
        }
        true
    }
}

#[async_trait]
impl SessionRows for MemoryStore {
    async fn session(&self, session_id: &str) -> Result<Option<SessionRow>, Error> {
        let row = self.inner.lock().sessions.get(session_id).cloned();
        Ok(row.filter(|row| !row.is_expired(SystemTime::now())))
    }

    async fn put_session(&self, row: &SessionRow) -> Result<bool, Error> {
        if row.current_working_image.is_some() && row.current_working_video.is_some() {
            return Err(rejected("both a working image and a working video"));
        }
        let mut inner = self.inner.lock();
        let foreign = inner
            .sessions
            .get(&row.session_id)
            .is_some_and(|old| old.user_id != row.user_id && !old.is_expired(SystemTime::now()));
        if !foreign {
            inner.sessions.insert(row.session_id.clone(), row.clone());
        }
        Ok(!foreign)
    }

    async fn delete_session(&self, session_id: &str, user_id: &str) -> Result<bool, Error> {
        let mut inner = self.inner.lock();
        let owned = inner.sessions.get(session_id).is_some_and(|row| row.user_id == user_id);
        if owned {
            inner.sessions.remove(session_id);
        }
        Ok(owned)
    }
}

#[async_trait]
impl GenerationRows for MemoryStore {
    async fn generation(&self, generation_id: &str) -> Result<Option<GenerationRow>, Error> {
        let inner = self.inner.lock();
        let selection = inner.rows.values().find_map(|event| match event {
            Event::ModelSelection(selection) if *selection.generation_id == *generation_id => Some(selection),
            _ => None,
        });
        let has_outcome = |user: &str| {
            inner.rows.values().any(|event| {
                matches!(event, Event::Outcome(outcome)
                    if *outcome.generation_id == *generation_id && *outcome.user_id == *user)
            })
        };
        Ok(selection.map(|selection| {
            let id = Uuid::parse_str(generation_id).ok();
            let decision = id.and_then(|id| inner.classification(id, &selection.user_id));
            GenerationRow {
                user_id: selection.user_id.to_string(),
                selected_model: selection.selected_model.to_string(),
                workflow_type: selection.workflow_type.to_string(),
                source: decision.map(|decision| decision.source.to_string()),
                media_facts: decision.and_then(|decision| decision.media_facts),
                estimated_cost_micros: selection.estimated_cost_micros,
                reported: selection.success.is_some() || has_outcome(&selection.user_id),
            }
        }))
    }
}

#[async_trait]
impl FeedbackRows for MemoryStore {
    async fn feedback(&self, since: SystemTime, after: Uuid, limit: u32) -> Result<Vec<FeedbackRow>, Error> {
        let inner = self.inner.lock();
        let mut rows = BTreeMap::new();
        for (&id, event) in &inner.rows {
            if let Event::Feedback(feedback) = event
                && created_at(id) >= micros(since)
                && feedback.generation_id > after
            {
                let decision = inner.classification(feedback.generation_id, &feedback.user_id);
                let whole = decision.filter(|decision| decision.prompt_is_whole);
                let row = FeedbackRow {
                    generation_id: feedback.generation_id,
                    decided_type: feedback.decided_type.to_string(),
                    source: feedback.source.to_string(),
                    right_type: feedback.right_type.to_string(),
                    comment: feedback.comment.as_deref().map(str::to_owned),
                    prompt: whole.map(|decision| decision.prompt.to_string()),
                    media_facts: decision.and_then(|decision| decision.media_facts),
                };
                rows.insert(feedback.generation_id, row);
            }
        }
        Ok(rows.into_values().take(limit as usize).collect())
    }
}

fn owner(event: &Event) -> Option<&str> {
    match event {
        Event::Classification(e) => Some(&e.user_id),
        Event::Cost(e) => Some(&e.user_id),
        Event::ModelSelection(e) => Some(&e.user_id),
        Event::Outcome(e) => Some(&e.user_id),
        Event::Feedback(e) => Some(&e.user_id),
        Event::SystemPerformance(_) => None,
    }
}

fn rejected(why: &'static str) -> Error {
    Error::Rejected { code: "check".to_owned(), source: why.into() }
}
