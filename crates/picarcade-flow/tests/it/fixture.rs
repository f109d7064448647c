//! What the tests share: an embedded flow in a directory of its own, with or without the mock
//! provider.

use std::sync::Arc;
use std::time::Duration;

use picarcade_flow::{
    CacheControl, Caller, FlowBuilder, FlowError, FlowRequest, FlowService, Policy, Response,
};
use picarcade_intent::Anthropic;
use picarcade_testkit::MockProvider;
use tempfile::TempDir;

pub struct House {
    pub flow: FlowService,
    pub mock: Option<MockProvider>,
    _directory: TempDir,
}

pub fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.classification_timeout = Duration::from_secs(60);
    policy
}

pub async fn local() -> House {
    build(None, |builder| builder).await
}

pub async fn local_with(change: impl FnOnce(FlowBuilder) -> FlowBuilder) -> House {
    build(None, change).await
}

pub async fn with_mock(change: impl FnOnce(FlowBuilder) -> FlowBuilder) -> House {
    let mock = MockProvider::start().await.unwrap();
    build(Some(mock), change).await
}

async fn build(mock: Option<MockProvider>, change: impl FnOnce(FlowBuilder) -> FlowBuilder) -> House {
    let directory = TempDir::new().unwrap();
    let mut builder = FlowService::embedded_builder(directory.path()).await.unwrap().policy(policy());
    if let Some(mock) = &mock {
        let provider = Anthropic::builder("test-key".to_owned().into()).base_url(mock.url()).build().unwrap();
        builder = builder.provider(Arc::new(provider));
    }
    House { flow: change(builder).build().unwrap(), mock, _directory: directory }
}

impl House {
    pub fn mock(&self) -> &MockProvider {
        self.mock.as_ref().unwrap()
    }

    pub async fn ask(&self, request: FlowRequest) -> Response {
        self.try_ask(request, &Caller::user("ann")).await.unwrap()
    }

    pub async fn try_ask(&self, request: FlowRequest, caller: &Caller) -> Result<Response, FlowError> {
        self.flow.process(request, caller, CacheControl::Use).await.map(|processed| processed.answer)
    }
}

pub fn edit(prompt: &str) -> FlowRequest {
    FlowRequest { active_image: true, ..FlowRequest::new(prompt) }
}
