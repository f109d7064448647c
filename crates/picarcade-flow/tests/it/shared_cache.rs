//! The use of the second cache level.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use picarcade_cache::{Key, KeyVersion, Record, Remote, RemoteError, RemoteEvent, Scope, TagVersion};
use picarcade_flow::{FlowBuilder, FlowRequest, RemoteWatch};
use picarcade_testkit::Answer;
use tokio::sync::mpsc;

use crate::fixture::{Fixture, caller, edit, local_with, with_mock};

/// An empty second level that keeps nothing and counts acquired leases.
#[derive(Debug, Default)]
struct Counting {
    leases: AtomicUsize,
}

type Answered<T> = Result<T, RemoteError>;

#[async_trait]
impl Remote for Counting {
    async fn read(&self, _: &str, _: &Key) -> Answered<Record> {
        Ok(Record::default())
    }
    async fn write(&self, _: &str, _: &Key, _: Bytes, _: Duration, _: KeyVersion) -> Answered<bool> {
        Ok(true)
    }
    async fn replace(&self, _: &str, _: &Key, _: Bytes, _: Duration) -> Answered<()> {
        Ok(())
    }
    async fn remove(&self, _: &str, _: &Key, _: Duration) -> Answered<()> {
        Ok(())
    }
    async fn tag_versions(&self, _: &str, scopes: &[Scope]) -> Answered<Vec<TagVersion>> {
        Ok(vec![TagVersion::NONE; scopes.len()])
    }
    async fn invalidate(&self, _: &str, _: Scope, _: Duration) -> Answered<()> {
        Ok(())
    }
    async fn acquire(&self, _: &str, _: &Key, _: u64, _: Duration) -> Answered<bool> {
        self.leases.fetch_add(1, Ordering::SeqCst);
        Ok(true)
    }
    async fn renew(&self, _: &str, _: &Key, _: u64, _: Duration) -> Answered<bool> {
        Ok(true)
    }
    async fn release(&self, _: &str, _: &Key, _: u64) -> Answered<()> {
        Ok(())
    }
    async fn publish(&self, _: &str, _: Bytes) -> Answered<()> {
        Ok(())
    }
    fn subscribe(&self, _: &str) -> mpsc::Receiver<RemoteEvent> {
        let (sender, receiver) = mpsc::channel(1);
        // A subscription that ends is repeated, so this one stays open without a message.
        tokio::spawn(async move { sender.closed().await });
        receiver
    }
}

#[derive(Debug)]
struct Up;

impl RemoteWatch for Up {
    fn is_up(&self) -> bool {
        true
    }
    fn latency(&self) -> Option<Duration> {
        None
    }
    fn last_error(&self) -> Option<String> {
        None
    }
    fn is_on_backup(&self) -> bool {
        false
    }
}

fn over(remote: &Arc<Counting>) -> impl FnOnce(FlowBuilder) -> FlowBuilder {
    let remote = Arc::clone(remote);
    move |builder| builder.remote(remote, Arc::new(Up))
}

#[tokio::test]
async fn only_requests_that_call_the_ai_take_a_lease() {
    let remote = Arc::new(Counting::default());
    let local = local_with(over(&remote)).await;
    local.process(edit("make the sky purple")).await;
    local.process(FlowRequest::new("a red fox")).await;
    local.flow.session("s1", &caller("ann")).await.unwrap_err();
    local.flow.stats(picarcade_analytics::Period::Day).await.unwrap();
    assert_eq!(remote.leases.load(Ordering::SeqCst), 0, "a load without a paid call takes no lease");

    let with_ai = with_mock(over(&remote)).await;
    with_ai.mock().answer_with(Answer::of("EDIT_IMAGE"));
    with_ai.process(edit("make the sea green")).await;
    assert_eq!((with_ai.mock().count(), remote.leases.load(Ordering::SeqCst)), (1, 1));
}

async fn enhanced(fixture: &Fixture, user: &str) -> (String, &'static str) {
    let answer = fixture.try_process(edit("make the sky purple"), &caller(user)).await.unwrap();
    (answer.enhanced_prompt, answer.cache.enhancement)
}

#[tokio::test]
async fn two_users_with_the_same_prompt_share_no_enhanced_prompt() {
    let fixture = with_mock(|builder| builder).await;
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE").enhanced("for ann: a purple sky"));
    assert_eq!(enhanced(&fixture, "ann").await, ("for ann: a purple sky".to_owned(), "miss"));
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE").enhanced("for bob: a purple sky"));
    assert_eq!(enhanced(&fixture, "bob").await, ("for bob: a purple sky".to_owned(), "miss"));
    assert_eq!(enhanced(&fixture, "ann").await, ("for ann: a purple sky".to_owned(), "l1"));
}

#[tokio::test]
async fn a_new_answer_of_the_ai_is_not_replaced_by_an_older_enhanced_prompt() {
    let fixture = with_mock(|builder| builder).await;
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE").enhanced("the first text"));
    assert_eq!(enhanced(&fixture, "ann").await.0, "the first text");
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE").enhanced("the second text"));
    fixture.flow.caches().remove_user(&caller("ann").user).await;
    assert_eq!(enhanced(&fixture, "ann").await, ("the second text".to_owned(), "miss"));
    // The same holds if only the entry of the intent cache expires, as it does after an hour.
    fixture.mock().answer_with(Answer::of("EDIT_IMAGE").enhanced("the third text"));
    let fresh = picarcade_flow::CacheControl::NoCache;
    fixture.flow.process(edit("make the sky purple"), &caller("ann"), fresh).await.unwrap();
    assert_eq!(enhanced(&fixture, "ann").await, ("the third text".to_owned(), "l1"));
}
