//! `GET /api/v2/models/available` and `GET /api/v2/decision-matrix`: the rules in force.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::http::app::App;
use crate::http::identity::Admitted;

pub(crate) async fn models(State(app): State<App>, _: Admitted) -> Json<Value> {
    let models = app.flow.models();
    let available = models.iter().filter(|model| model.available).count();
    Json(json!({ "models": models, "total": models.len(), "available": available }))
}

pub(crate) async fn matrix(State(app): State<App>, _: Admitted) -> Json<Value> {
    let rules = app.flow.rules();
    Json(json!({
        "version": rules.matrix.version(),
        "rows": rules.matrix.rows(),
        "catalogue_version": rules.catalogue.version(),
    }))
}
