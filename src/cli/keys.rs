//! `sealwire keys`: the data keys in the vault, and what can be done to them. The work is in
//! [`crate::keys::life`].

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::paint::{Color, Paint, table};
use super::{Exit, Failure};
use crate::config::Config;
use crate::control::Control;
use crate::keys::Keys;
use crate::keys::life::{KeyVersion, LifeError};

#[derive(Subcommand)]
pub enum Command {
    /// Show every data key: version, state, KMS key, and whether it unwraps and is as it was written
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// Count the values that are sealed with each; reads the protected tables
        #[arg(long)]
        count: bool,
    },
    /// Seal new values of a table under a new version of its data key; old values open as before
    Rotate {
        #[command(flatten)]
        config: ConfigFile,
        /// The table as it was sealed: schema.table
        scope: String,
    },
    /// Have KMS wrap data keys with `kms.key` that a key of `kms.previous` wrapped
    Rewrap {
        #[command(flatten)]
        config: ConfigFile,
        /// The table as it was sealed, schema.table; all unless given
        scope: Option<String>,
    },
    /// End the use of a version that no value is sealed with any longer; it stays in the vault
    Retire {
        #[command(flatten)]
        config: ConfigFile,
        /// The table as it was sealed: schema.table
        scope: String,
        /// The version's number
        version: u32,
        /// Let a retired version open again, for values from an old backup
        #[arg(long)]
        undo: bool,
    },
    /// Destroy a table's data keys in the vault: its values can never be read again
    Shred {
        #[command(flatten)]
        config: ConfigFile,
        /// The table as it was sealed: schema.table
        scope: String,
        /// The table's name once more, in place of typing it when asked
        #[arg(long, value_name = "SCOPE")]
        confirm: Option<String>,
    },
}

#[derive(Args)]
pub struct ConfigFile {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs one of them.
///
/// # Errors
/// The configuration is wrong, the server or KMS cannot be reached, or what was asked for must not be done.
pub fn keys(command: Command) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match command {
        Command::List { config, count } => {
            let (_, keys) = start(&config)?;
            Ok(list(&runtime.block_on(keys.versions(count))?))
        }
        Command::Rotate { config, scope } => {
            let (config, keys) = start(&config)?;
            let wait = config.kms.cache.ttl;
            runtime.block_on(rotate(&keys, &scope, wait))
        }
        Command::Rewrap { config, scope } => {
            let (_, keys) = start(&config)?;
            let done = runtime.block_on(keys.rewrap(scope.as_deref()))?;
            println!("{} rewrapped, {} were wrapped by kms.key already", done.rewrapped, done.untouched);
            if done.rewrapped > 0 {
                println!("Backups of the vault still need the previous KMS key: keep it as long as you keep them.");
            }
            Ok(Exit::Fine)
        }
        Command::Retire { config, scope, version, undo: false } => {
            let (config, keys) = start(&config)?;
            println!("Counting what is sealed with version {version} of {scope}, more than once: some seconds.");
            runtime.block_on(keys.retire(&scope, version))?;
            println!("Version {version} of {scope} is retired: no value is sealed with it, and one that is put back");
            println!(
                "does not open, {} from now at the latest. Its row stays, for old backups.",
                human(config.kms.cache.ttl)
            );
            Ok(Exit::Fine)
        }
        Command::Retire { config, scope, version, undo: true } => {
            let (_, keys) = start(&config)?;
            runtime.block_on(keys.unretire(&scope, version))?;
            println!("Version {version} of {scope} opens again.");
            Ok(Exit::Fine)
        }
        Command::Shred { config, scope, confirm } => {
            let (config, keys) = start(&config)?;
            shred(&runtime, &config, &keys, &scope, confirm)
        }
    }
}

fn start(file: &ConfigFile) -> Result<(Arc<Config>, Keys), Failure> {
    let config = Arc::new(Config::load(&file.config)?);
    let control = Control::start(&config)?;
    let keys = Keys::start(&config, control)?;
    Ok((config, keys))
}

fn list(versions: &[KeyVersion]) -> Exit {
    let paint = Paint::for_stdout();
    let counted = versions.iter().any(|key| key.values.is_some());
    let mut head = vec!["TABLE", "PURPOSE", "VERSION", "STATE", "ID", "MADE (UTC)", "KMS KEY"];
    if counted {
        head.push("VALUES");
    }
    head.push("RESULT");
    let rows: Vec<Vec<String>> = versions
        .iter()
        .map(|key| {
            let mut row = vec![
                key.scope.clone(),
                key.purpose.clone(),
                key.version.to_string(),
                key.state.clone(),
                key.id.to_string(),
                key.created_at.clone(),
                key.kms_key.clone(),
            ];
            if counted {
                row.push(key.values.map_or_else(|| "-".into(), |values| values.to_string()));
            }
            row.push(match &key.problem {
                None => paint.text(Color::Green, "ok"),
                Some(problem) => paint.text(Color::Red, &format!("{}: {problem}", problem.sw_code())),
            });
            row
        })
        .collect();
    if rows.is_empty() {
        println!("The vault is empty: the first sealed value makes the first key.");
    } else {
        print!("{}", table(&head, &rows, paint));
    }
    if versions.iter().all(|key| key.problem.is_none()) { Exit::Fine } else { Exit::Failed }
}

async fn rotate(keys: &Keys, scope: &str, wait: Duration) -> Result<Exit, Failure> {
    let version = keys.begin_rotation(scope).await?;
    println!("Version {version} of {scope} is pending: every proxy can open it. It becomes active in {},", human(wait));
    println!("kms.cache.ttl, when every proxy has seen it. Interrupted, the same command goes on from here.");
    tokio::time::sleep(wait).await;
    let active = keys.activate(scope).await?;
    println!("Version {active} of {scope} is active: proxies seal with it from their next refresh on. Values sealed");
    println!("before open as they did; they take the new version when they are written again.");
    Ok(Exit::Fine)
}

fn shred(
    runtime: &tokio::runtime::Runtime,
    config: &Config,
    keys: &Keys,
    scope: &str,
    confirm: Option<String>,
) -> Result<Exit, Failure> {
    println!("This destroys the data keys of {scope} in the vault {}. No value of it can be read again,", config.vault);
    println!("by anybody, unless a copy of the vault's rows is somewhere: in a backup, a binary log, a replica.");
    let typed = match confirm {
        Some(typed) => typed,
        None => {
            print!("Type {scope} to go on: ");
            std::io::stdout().flush()?;
            let mut line = String::new();
            std::io::stdin().lock().read_line(&mut line)?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    if typed != scope {
        return Err(Failure::Input(format!("that is not {scope}: nothing was done")));
    }
    let count = runtime.block_on(keys.shred(scope))?;
    println!("{count} destroyed in the vault. Running proxies forget theirs within {}.", human(config.kms.cache.ttl));
    println!();
    println!("What survives: backups, binary logs and replicas of the vault hold the wrapped keys, and open with the");
    println!(
        "KMS key until that is deleted. So that KMS refuses, add this statement to the key's policy, and keep it:"
    );
    println!();
    let context = |name: &str| format!("kms:EncryptionContext:{name}");
    let statement = serde_json::json!({
        "Sid": "Shredded",
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["kms:Decrypt", "kms:ReEncryptFrom"],
        "Resource": "*",
        "Condition": { "StringEquals": { context("purpose"): "sealwire-data-key", context("table"): scope } },
    });
    println!("{}", serde_json::to_string_pretty(&statement).unwrap_or_default());
    println!();
    println!("Whoever may change the policy may take that back. Only the deletion of the KMS key is for good.");
    match key_of_its_own(config, scope) {
        Some(key) => {
            println!("{key} is that of no other table here: have KMS delete it. Copies of the vault from before");
            println!("the table had it open with the KMS key of that time.");
        }
        None => println!("A table that must be destroyed alone needs a KMS key of its own (kms.keys)."),
    }
    Ok(Exit::Fine)
}

fn key_of_its_own<'c>(config: &'c Config, scope: &str) -> Option<&'c str> {
    let key = config.kms.keys.get(scope)?;
    let others = config.kms.keys.iter().filter(|(table, _)| *table != scope).map(|(_, key)| key);
    let mut others = others.chain(&config.kms.key).chain(&config.kms.previous);
    (!others.any(|other| other == key)).then_some(key)
}

fn human(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}

impl From<LifeError> for Failure {
    fn from(error: LifeError) -> Self {
        match error {
            LifeError::Keys { error } => Self::Keys { error },
            LifeError::Refused(reason) => Self::Input(reason),
        }
    }
}
