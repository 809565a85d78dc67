//! The command line: one file per subcommand.

pub mod check;
pub mod explain;
pub mod keys;
pub mod logging;
mod paint;
pub mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::admin::metrics::MetricsError;
use crate::catalog::CatalogError;
use crate::config::ConfigErrors;
use crate::control::ControlError;
use crate::keys::KeyError;
use crate::session::listen::ListenError;
use crate::session::tls::TlsError;

/// A MySQL proxy that encrypts designated columns with keys from AWS KMS.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Verify the configuration, the server, the schema and KMS, and print what protects each column
    Check {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Show what would become of a statement, or of the statements of a log
    Explain(explain::Options),
    /// Show and change the data keys in the vault: list, rotate, rewrap, retire, shred
    #[command(subcommand)]
    Keys(keys::Command),
    /// Serve: listen for MySQL clients and relay them to the database
    Run {
        /// The configuration file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// How the program ended without failing to start: fine, or with findings that were printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Fine,
    Failed,
}

/// Why a subcommand could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("{}: {error}", error.sw_code())]
    Keys {
        #[from]
        error: KeyError,
    },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error("{0}")]
    Input(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// A core dump would hold data keys and values. The limit keeps it off the disk; a pipe to a crash handler
/// ignores the limit, but not that the process is not dumpable.
fn no_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = setrlimit(Resource::Core, none).and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = limited {
        eprintln!("sealwire: core dumps cannot be switched off: {error}");
    }
}

/// Parses the arguments, runs the subcommand, prints what went wrong. Exit status: 0 fine, 1 failed,
/// 2 the configuration or the arguments are wrong.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    no_core_dumps();
    let outcome = match arguments.command {
        Command::Check { config } => check::check(&config),
        Command::Explain(options) => explain::explain(options),
        Command::Keys(command) => keys::keys(command),
        Command::Run { config } => run::run(&config),
    };
    match outcome {
        Ok(Exit::Fine) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        Err(failure) => {
            if let Failure::Config(errors) = failure {
                eprintln!("{errors}");
                return ExitCode::from(2);
            }
            eprintln!("sealwire: {failure}");
            ExitCode::from(1)
        }
    }
}
