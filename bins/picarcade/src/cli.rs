//! The command line, as clap parses it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Understands, routes and enhances requests for images and videos.
#[derive(Debug, Parser)]
#[command(name = "picarcade", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the service
    Serve(ServeArguments),
    /// Classify one prompt, or a file of requests
    Classify(ClassifyArguments),
    /// Check or show the decision matrix
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Report how often the classifier without an AI is right on labeled prompts
    Evaluate(EvaluateArguments),
    /// Check or export labeled prompts that teach the classifier without an AI
    #[command(subcommand)]
    Examples(ExamplesCommand),
    /// Apply database migrations
    Migrate(MigrateArguments),
    /// Print the effective configuration and where each value comes from, or check it
    Config(ShowArguments),
    /// Exit 0 when the service is ready: for container probes
    Health {
        /// Where the service listens; PICARCADE_LISTEN by default
        #[arg(long)]
        url: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    /// A TOML file with settings; the environment wins over it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// Check the settings and every file that they name, and print no settings
    #[arg(long)]
    pub(crate) check: bool,
    /// Also connect to every store and provider; no call is paid
    #[arg(long, requires = "check")]
    pub(crate) connect: bool,
    /// Allow a service that listens beyond loopback although no caller has to identify itself
    #[arg(long, requires = "check")]
    pub(crate) insecure: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EvaluateArguments {
    /// Prompts with right_type or goal, one per line as JSON, or CSV with a header
    pub(crate) file: PathBuf,
    /// Also print every wrong answer
    #[arg(long)]
    pub(crate) errors: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExamplesCommand {
    /// Validate a file of examples, and report contradictions and effects
    Check(ExamplesCheckArguments),
    /// Write feedback as labeled prompts, one per line as JSON
    Export(ExportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Where to write the examples; standard output by default
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the output file if it exists
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    /// Only feedback of the last days
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) since: Option<u32>,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// The longest wait for a lock that another session of PostgreSQL holds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) lock_timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
    /// The address to listen on; port 0 takes any free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// Listen beyond loopback although no caller has to identify itself
    #[arg(long)]
    pub(crate) insecure: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ClassifyArguments {
    /// The user's prompt
    #[arg(required_unless_present = "batch", conflicts_with = "batch")]
    pub(crate) prompt: Option<OsString>,
    /// A working image is open
    #[arg(long, conflicts_with = "batch")]
    pub(crate) active_image: bool,
    /// A working video is open
    #[arg(long, conflicts_with = "batch")]
    pub(crate) active_video: bool,
    /// The user uploaded an image
    #[arg(long, conflicts_with = "batch")]
    pub(crate) uploaded_image: bool,
    /// The prompt names stored references
    #[arg(long, conflicts_with = "batch")]
    pub(crate) referenced_image: bool,
    /// The end user
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
    /// Print the response as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Requests, one per line as JSON, or CSV with a header; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) batch: Option<PathBuf>,
    /// Where to write the results; standard output by default
    #[arg(long, value_name = "FILE", requires = "batch")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the output file if it exists
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    /// Continue an output file that was interrupted, after the rows that it has
    #[arg(long, requires = "output", conflicts_with = "force")]
    pub(crate) resume: bool,
    /// The format of the results
    #[arg(long, value_enum, default_value_t = Format::Jsonl, requires = "batch")]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Jsonl,
    Csv,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    /// Validate a decision matrix; every problem with line and column
    Check {
        /// The CSV file
        file: PathBuf,
    },
    /// Print the matrix in force
    Show {
        /// As CSV
        #[arg(long)]
        csv: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ExamplesCheckArguments {
    /// Prompts with right_type or goal, one per line as JSON, or CSV with a header
    pub(crate) file: PathBuf,
    /// Also report what the examples change in these labeled prompts
    #[arg(long, value_name = "LABELED")]
    pub(crate) evaluate: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArguments,
}

/// Prints the text of a parse error. Help and version go to standard output and are a success;
/// every other error is one line on standard error.
#[expect(clippy::print_stderr, reason = "this is the command line's answer")]
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            let text = error.to_string();
            let lines: Vec<_> = text
                .lines()
                .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect();
            eprintln!("{}", lines.join(" "));
            ExitCode::from(2)
        }
    }
}
