//! `sealwire explain`: what would become of a statement ([`one`]) or of all statements of a log
//! ([`report`]), against a server or, offline, against a file of DDL. Nothing is sealed and no statement
//! is sent.

mod caret;
mod log;
mod one;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use mysql_async::prelude::Queryable;

use super::{Exit, Failure};
use crate::catalog::offline::{self, DdlProblem};
use crate::catalog::{Catalog, Snapshot};
use crate::config::Config;
use crate::control::Control;
use crate::sql::lex::{LexMode, TokenKind, lex};
use crate::sql::{Charset, Context, Outcome, Pass, Prefilter, Protocol, SqlMode, analyse};

/// What the analyser's workers have too.
const STACK: usize = 64 * 1024 * 1024;

/// Rounds of looking tables up, of which each may name further ones.
const ROUNDS: usize = 32;

/// A server's mode where none is asked: what both servers begin with.
const DEFAULT_SQL_MODE: &str = "STRICT_TRANS_TABLES";

#[derive(Args)]
pub struct Options {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// The current schema, with --ddl also that of the file; the configuration's if it has but one
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// Read the schema from a file (mysqldump --no-data) instead of a server
    #[arg(long, value_name = "FILE")]
    ddl: Option<PathBuf>,
    /// With --ddl: the server's version, such as 8.4.0 or 10.11.6-MariaDB; a dump says it itself
    #[arg(long, value_name = "VERSION", requires = "ddl")]
    server: Option<String>,
    /// The session's sql_mode; the server's own unless said
    #[arg(long, value_name = "MODES")]
    sql_mode: Option<String>,
    /// A general log, one statement a line, or JSON lines with "sql"; gzip too
    #[arg(long, value_name = "FILE", conflicts_with = "statement")]
    log: Option<PathBuf>,
    /// With --log: how many statements to show for each reason
    #[arg(long, value_name = "COUNT", default_value_t = 3, requires = "log")]
    examples: usize,
    /// The statement
    #[arg(value_name = "SQL", required_unless_present = "log")]
    statement: Option<String>,
}

/// Explains. [`Exit::Failed`]: the statement would be refused.
///
/// # Errors
/// The configuration is wrong, the schema or the log cannot be read.
pub fn explain(options: Options) -> Result<Exit, Failure> {
    let run = move || {
        let config = Arc::new(Config::load(&options.config)?);
        let mut analyst = Analyst::new(&config, &options)?;
        match (&options.log, &options.statement) {
            (Some(path), _) => report::run(&mut analyst, path, options.examples),
            (None, Some(statement)) => Ok(one::run(&mut analyst, statement)),
            (None, None) => Err(Failure::Input("give a statement, or --log FILE".into())),
        }
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run)?;
    thread.join().unwrap_or_else(|_| Err(Failure::Input("the analysis ended by a panic: please report it".into())))
}

/// Answers what the analyser makes of statements.
struct Analyst {
    snapshot: Arc<Snapshot>,
    prefilter: Prefilter,
    /// `None`: offline, so that what the file lacks does not exist.
    server: Option<(Catalog, tokio::runtime::Runtime)>,
    schema: Option<String>,
    sql_mode: SqlMode,
}

/// What becomes of a packet.
enum Verdict {
    /// The prefilter or the analyser found nothing protected.
    Untouched(Pass),
    Outcome(Outcome),
}

impl Analyst {
    fn new(config: &Arc<Config>, options: &Options) -> Result<Self, Failure> {
        let (snapshot, server, mode) = match &options.ddl {
            Some(path) => (Arc::new(from_ddl(config, path, options)?), None, None),
            None => {
                let control = Control::start(config)?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                let catalog = runtime.block_on(Catalog::open(config.clone(), control.clone()))?;
                let mode = runtime.block_on(server_mode(&control));
                (catalog.current(), Some((catalog, runtime)), mode)
            }
        };
        let mode = options.sql_mode.clone().or(mode).unwrap_or_else(|| DEFAULT_SQL_MODE.to_owned());
        Ok(Self {
            prefilter: Prefilter::new(&snapshot),
            snapshot,
            server,
            schema: options.schema.clone().or_else(|| only_schema(config).map(str::to_owned)),
            sql_mode: SqlMode::parse(&mode),
        })
    }

    fn context<'a>(&'a self, sql: &[u8], schema: Option<&'a str>, sql_mode: SqlMode) -> Context<'a> {
        let mut ctx = Context {
            catalog: &self.snapshot,
            schema,
            sql_mode,
            character_set_client: Charset::Utf8mb4,
            character_set_connection: Charset::Utf8mb4,
            protocol: Protocol::Text,
            multi_statements: true,
            versions: crate::seal::versions::KeyVersions::NONE,
        };
        let placeholders = lex(sql, LexMode::of(&ctx))
            .is_ok_and(|tokens| tokens.iter().any(|token| token.kind == TokenKind::Placeholder));
        if placeholders {
            ctx.protocol = Protocol::Prepared;
        }
        ctx
    }

    fn judge(&mut self, sql: &[u8], schema: Option<&str>, sql_mode: SqlMode) -> Result<Verdict, Failure> {
        if !self.prefilter.hit(sql) {
            return Ok(Verdict::Untouched(Pass::default()));
        }
        for _ in 0..ROUNDS {
            match analyse(sql, &self.context(sql, schema, sql_mode)) {
                Outcome::Pass(pass) => return Ok(Verdict::Untouched(pass)),
                Outcome::NeedTables(names) => match &self.server {
                    Some((catalog, runtime)) => {
                        self.snapshot = runtime.block_on(catalog.ensure(&names))?;
                        if self.prefilter.generation() != self.snapshot.generation {
                            self.prefilter = Prefilter::new(&self.snapshot);
                        }
                    }
                    None => {
                        let Some(snapshot) = Arc::get_mut(&mut self.snapshot) else {
                            return Err(Failure::Input("the schema is in use elsewhere".into()));
                        };
                        for name in names {
                            let key = snapshot.key(&name);
                            snapshot.tables.entry(key).or_insert(None);
                        }
                    }
                },
                outcome => return Ok(Verdict::Outcome(outcome)),
            }
        }
        Err(Failure::Input("the statement names ever further tables".into()))
    }
}

async fn server_mode(control: &Control) -> Option<String> {
    let pool = control.pool().clone();
    let ask = async move {
        let mut conn = pool.get_conn().await.ok()?;
        conn.query_first("SELECT @@GLOBAL.sql_mode").await.ok()?
    };
    control.run(ask).await?
}

/// The schema of all configured tables, if it is one.
fn only_schema(config: &Config) -> Option<&str> {
    let mut schemas = config.tables.keys().map(|name| name.schema.as_str());
    let first = schemas.next()?;
    schemas.all(|schema| schema == first).then_some(first)
}

/// Prints what the file says that is not understood.
fn from_ddl(config: &Config, path: &Path, options: &Options) -> Result<Snapshot, Failure> {
    let version = match &options.server {
        None => None,
        Some(text) => match offline::parse_version(text) {
            Some(version) => Some(version),
            None => return Err(Failure::Input(format!("--server {text}: write 8.4.0 or 10.11.6-MariaDB"))),
        },
    };
    let text = log::contents(path)?;
    let place = |problem: &DdlProblem| format!("{}: {problem}", path.display());
    let offline = match offline::read_ddl(config, &text, options.schema.as_deref().or(only_schema(config)), version) {
        Ok(offline) => offline,
        Err(problems) => {
            return Err(Failure::Input(problems.iter().map(place).collect::<Vec<_>>().join("\nsealwire: ")));
        }
    };
    for problem in &offline.warnings {
        eprintln!("sealwire: {}; the table is taken as absent", place(problem));
    }
    let mut missing: Vec<String> =
        offline.snapshot.missing.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    missing.sort();
    for missing in missing {
        eprintln!("sealwire: {}: {missing}", path.display());
    }
    Ok(offline.snapshot)
}
