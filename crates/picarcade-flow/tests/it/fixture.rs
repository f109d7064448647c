//! The fixture of the tests: an embedded flow, with or without a mock provider.

use std::sync::Arc;
use std::time::Duration;

use picarcade_flow::{
    CacheControl, Caller, FlowBuilder, FlowError, FlowRequest, FlowService, Policy, Response,
};
use picarcade_intent::Anthropic;
use picarcade_testkit::MockProvider;
use tempfile::TempDir;

/// A flow, its directory and its mock provider.
pub struct Fixture {
    pub flow: FlowService,
    pub mock: Option<MockProvider>,
    _directory: TempDir,
}

pub fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.classification_timeout = Duration::from_secs(60);
    policy
}

pub async fn local() -> Fixture {
    build(None, |builder| builder).await
}

pub async fn local_with(change: impl FnOnce(FlowBuilder) -> FlowBuilder) -> Fixture {
    build(None, change).await
}

pub async fn with_mock(change: impl FnOnce(FlowBuilder) -> FlowBuilder) -> Fixture {
    let mock = MockProvider::start().await.unwrap();
    build(Some(mock), change).await
}

async fn build(mock: Option<MockProvider>, change: impl FnOnce(FlowBuilder) -> FlowBuilder) -> Fixture {
    let directory = TempDir::new().unwrap();
    let mut builder = FlowService::embedded_builder(directory.path()).await.unwrap().policy(policy());
    if let Some(mock) = &mock {
        let provider = Anthropic::builder("test-key".to_owned().into()).base_url(mock.url()).build().unwrap();
        builder = builder.provider(Arc::new(provider));
    }
    Fixture { flow: change(builder).build().unwrap(), mock, _directory: directory }
}

impl Fixture {
    pub fn mock(&self) -> &MockProvider {
        self.mock.as_ref().unwrap()
    }

    pub async fn process(&self, request: FlowRequest) -> Response {
        self.try_process(request, &caller("ann")).await.unwrap()
    }

    pub async fn try_process(&self, request: FlowRequest, caller: &Caller) -> Result<Response, FlowError> {
        self.flow.process(request, caller, CacheControl::Use).await.map(|processed| processed.answer)
    }
}

pub fn caller(user: &str) -> Caller {
    Caller::user(user.parse().unwrap())
}

pub fn edit(prompt: &str) -> FlowRequest {
    FlowRequest { active_image: true, ..FlowRequest::new(prompt) }
}
