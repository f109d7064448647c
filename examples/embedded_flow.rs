//! How do I classify, route and enhance a request inside my own program, without a server?

use picarcade_flow::{CacheControl, Caller, FlowRequest, FlowService};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flow = FlowService::embedded("./picarcade-data").await?;
    let request = FlowRequest { active_image: true, ..FlowRequest::new("make the sky purple") };
    let answer = flow.process(request, &Caller::user("ann".parse()?), CacheControl::Use).await?.answer;
    println!("{} by {}: {}", answer.prompt_type, answer.model_to_use, answer.enhanced_prompt);
    flow.shutdown(std::time::Duration::from_secs(5)).await;
    Ok(())
}
