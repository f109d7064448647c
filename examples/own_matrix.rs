//! How do I route by my own rules?
//!
//! Takes the path of a decision matrix and checks it like `picarcade rules check`. Without a path,
//! it takes the embedded matrix and sends every new picture to another model.
#![allow(clippy::print_stdout)]

use anyhow::Context;
use picarcade_intent::{Catalogue, Facts, Goal, Matrix};

fn main() -> anyhow::Result<()> {
    let catalogue = Catalogue::embedded();
    let csv = match std::env::args().nth(1) {
        Some(path) => std::fs::read(&path).with_context(|| format!("cannot read {path}"))?,
        None => {
            let ours = "NEW_IMAGE,black-forest-labs/flux-1.1-pro";
            let theirs = "NEW_IMAGE,black-forest-labs/flux-kontext-max";
            Matrix::embedded().to_csv().replace(ours, theirs).into_bytes()
        }
    };
    for problem in Matrix::check(&csv, &catalogue) {
        println!("{problem}");
    }
    let matrix = Matrix::parse(&csv, &catalogue).map_err(|_| anyhow::anyhow!("the matrix has errors"))?;
    let row = matrix.decide(Goal::CreateImage, Facts::default());
    println!("matrix {}: a new picture is {} by {}", matrix.version(), row.prompt_type, row.model);
    Ok(())
}
