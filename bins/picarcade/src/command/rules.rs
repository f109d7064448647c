//! `picarcade rules check` and `picarcade rules show`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use picarcade_intent::{Matrix, MatrixRow};

use crate::command::{Failure, load_without_ai};
use crate::wiring;

/// Prints every problem of the file with line and column. Exits with 1 if one of them is an error.
pub(crate) fn check(file: &Path) -> Result<ExitCode, Failure> {
    let config = load_without_ai(None)?;
    let catalogue = wiring::catalogue(&config).map_err(|error| Failure::wiring(&config, &error))?;
    let bytes =
        std::fs::read(file).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
    let mut out = std::io::stdout().lock();
    let checked = Matrix::parse(&bytes, &catalogue);
    let problems = checked.as_ref().map_or_else(Vec::as_slice, Matrix::warnings);
    for problem in problems {
        let _ = writeln!(out, "{}: {problem}", file.display());
    }
    let Ok(matrix) = &checked else { return Ok(ExitCode::from(1)) };
    let (rows, version) = (matrix.rows().len(), matrix.version());
    let _ = writeln!(out, "{}: {rows} rows, version {version}, good", file.display());
    Ok(ExitCode::SUCCESS)
}

/// Prints the matrix in force.
pub(crate) fn show(csv: bool) -> Result<ExitCode, Failure> {
    let config = load_without_ai(None)?;
    let rules = wiring::rules(&config).map_err(|error| Failure::wiring(&config, &error))?;
    let text = if csv { rules.matrix.to_csv() } else { table(rules.matrix.rows(), rules.matrix.version()) };
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[MatrixRow], version: &str) -> String {
    let head = ["#", "goal", "active_image", "active_video", "references", "prompt type", "model"];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        let goals: Vec<_> = row.goals.iter().map(|goal| goal.as_str()).collect();
        [
            row.number.to_string(),
            if goals.is_empty() { "-".to_owned() } else { goals.join(", ") },
            fact(row.active_image),
            fact(row.active_video),
            fact(row.references),
            row.prompt_type.to_string(),
            row.model.clone(),
        ]
    }));
    let mut widths = [0; 7];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for line in &lines {
        let cells: Vec<_> = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text.push_str("version ");
    text.push_str(version);
    text.push('\n');
    text
}

fn fact(value: Option<bool>) -> String {
    match value {
        Some(true) => "YES",
        Some(false) => "NO",
        None => "-",
    }
    .to_owned()
}
