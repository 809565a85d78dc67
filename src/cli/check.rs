//! `sealwire check`: whether the configuration, the server, the schema and KMS are fit to run, what
//! each protected column has room for, and the guard that closes it.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::paint::{Color, Paint, table};
use super::{Exit, Failure};
use crate::catalog::inspect::{self, Inspection};
use crate::catalog::verify::{self, Finding, Severity};
use crate::catalog::{self, Catalog, CatalogError, Column, ProtectedColumn, ServerFlavor, Snapshot, Watched, Width};
use crate::config::{BackendAddress, Config, KmsMode, Provider};
use crate::control::Control;
use crate::keys::providers::rights::{Excess, Right};
use crate::keys::{KeyError, Keys, KeysReport};

/// Checks everything and prints a report. [`Exit::Failed`] when something is wrong.
///
/// # Errors
/// The configuration is wrong; or the report cannot be printed.
pub fn check(path: &Path) -> Result<Exit, Failure> {
    let config = Arc::new(Config::load(path)?);
    let paint = Paint::for_stdout();
    let mut report = Report { paint, text: String::new(), errors: 0, warnings: 0 };
    let columns: usize = config.tables.values().map(|table| table.columns.len()).sum();
    report.step(
        "configuration",
        Ok(format!(
            "{}: {} in {}",
            path.display(),
            count(columns, "protected column"),
            count(config.tables.len(), "table")
        )),
    );
    if columns == 0 {
        report.finding(&note(
            Severity::Warning,
            "no table is configured: everything passes through unsealed",
            "list the columns to protect under `tables`",
        ));
    }
    match Control::start(&config) {
        Ok(control) => with_server(&config, control, &mut report)?,
        Err(error) => report.step("server", Err(error.to_string())),
    }
    report.summary();
    print!("{}", report.text);
    Ok(if report.errors == 0 { Exit::Fine } else { Exit::Failed })
}

fn with_server(config: &Arc<Config>, control: Control, report: &mut Report) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (server, keys) =
        runtime.block_on(async { (look(config, &control).await, round_trip(config, control.clone()).await) });
    match server {
        Ok((snapshot, inspection)) => {
            report.server(config, &snapshot, &inspection);
            report.kms(config, keys);
            report.columns(config, &snapshot, &inspection);
        }
        Err(error) => {
            report.step("server", Err(error.to_string()));
            report.kms(config, keys);
        }
    }
    Ok(())
}

async fn look(config: &Arc<Config>, control: &Control) -> Result<(Arc<Snapshot>, Inspection), CatalogError> {
    let catalog = Catalog::open(config.clone(), control.clone()).await?;
    let snapshot = catalog.current();
    let inspection = inspect::inspect(control, config, &snapshot).await?;
    Ok((snapshot, inspection))
}

async fn round_trip(config: &Arc<Config>, control: Control) -> Result<KeysReport, KeyError> {
    Keys::start(config, control)?.check().await
}

/// Why nobody should be able to wrap a key under the context of data keys.
const KNOWN_KEY: &str = ": whoever can write the vault as well could make the proxy seal under a key that he knows";
const REWRAPS: &str = ", which only the role that runs `keys rewrap` needs";

struct Report {
    paint: Paint,
    text: String,
    errors: usize,
    warnings: usize,
}

impl Report {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// One thing that was tried, and how it went.
    fn step(&mut self, what: &str, outcome: Result<String, String>) {
        let (mark, text) = match &outcome {
            Ok(text) => (self.paint.text(Color::Green, "ok    "), text),
            Err(text) => (self.paint.text(Color::Red, "FAILED"), text),
        };
        if outcome.is_err() {
            self.errors += 1;
        }
        let line = format!("{what:<13}  {mark}  {text}");
        self.line(&line);
    }

    fn finding(&mut self, finding: &Finding) {
        let mark = match finding.severity {
            Severity::Error => {
                self.errors += 1;
                self.paint.text(Color::Red, "error  ")
            }
            Severity::Warning => {
                self.warnings += 1;
                self.paint.text(Color::Yellow, "warning")
            }
        };
        let place = match (&finding.table, &finding.column) {
            (Some(table), Some(column)) => format!("{table}.{column}: "),
            (Some(table), None) => format!("{table}: "),
            _ => String::new(),
        };
        let text =
            format!("{mark}  {}{}\n         {}", self.paint.text(Color::Bold, &place), finding.message, finding.hint);
        self.line(&text);
    }

    fn server(&mut self, config: &Config, snapshot: &Snapshot, inspection: &Inspection) {
        let address = match &config.backend.address {
            BackendAddress::Tcp(host, port) => format!("{host}:{port}"),
            BackendAddress::Unix(path) => path.display().to_string(),
        };
        let flavor = match snapshot.version.flavor {
            ServerFlavor::MariaDb => "MariaDB",
            ServerFlavor::MySql => "MySQL",
        };
        let version = inspection.version.split("-MariaDB").next().unwrap_or_default();
        let tls = inspection.tls.as_ref().map_or_else(|| "without TLS".to_owned(), |cipher| format!("TLS {cipher}"));
        self.step("server", Ok(format!("{flavor} {} at {address}, {tls}, as {}", version, inspection.account)));
        let mut seen: Vec<String> = Vec::new();
        for (kind, label) in [(0, "views"), (1, "routines"), (2, "tables that lead to them")] {
            let mut names: Vec<&str> = snapshot
                .watched
                .iter()
                .filter(|(_, watched)| {
                    matches!((kind, watched), (0, Watched::View) | (1, Watched::Routine) | (2, Watched::Carrier(_)))
                })
                .map(|(name, _)| name.as_str())
                .collect();
            names.sort_unstable();
            if !names.is_empty() {
                seen.push(format!("{label}: {}", shorten(&names)));
            }
        }
        let watched =
            if seen.is_empty() { "no view or routine touches a protected table".to_owned() } else { seen.join("; ") };
        self.step("watched", Ok(watched));
    }

    fn kms(&mut self, config: &Config, outcome: Result<KeysReport, KeyError>) {
        let report = match outcome {
            Ok(report) => report,
            Err(error) => return self.step("KMS", Err(format!("{}: {error}", error.sw_code()))),
        };
        if config.kms.provider == Provider::None {
            self.step("KMS", Ok("provider none".to_owned()));
            self.finding(&note(
                Severity::Warning,
                "provider none: the database holds plaintext",
                "for an application's own tests only",
            ));
            return;
        }
        // The local provider's keys start with its name.
        let named = report.key.as_ref().is_some_and(|key| key.starts_with(&format!("{}/", report.provider)));
        let mut text = if named { String::new() } else { report.provider.to_owned() };
        for part in [&report.key, &report.region, &report.endpoint].into_iter().flatten() {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{part}");
        }
        for (table, key) in &config.kms.keys {
            let _ = write!(text, ", {key} for {table}");
        }
        for mode in &report.modes {
            let _ = write!(text, ", {}", mode_name(*mode));
        }
        if !report.modes.is_empty() {
            let _ = write!(text, ": wrapped and unwrapped in {} ms", report.latency.as_millis().max(1));
        }
        self.step("KMS", Ok(text));
        for (table, excess) in &report.excess {
            self.excess(table.as_deref(), excess);
        }
        if report.modes.contains(&KmsMode::Envelope) {
            let text = match report.data_keys {
                Some(keys) => {
                    format!("{}, {}", config.vault, count(usize::try_from(keys).unwrap_or(usize::MAX), "data key"))
                }
                None => format!("{} is made at the first sealed value", config.vault),
            };
            let server = config.vault_server.as_ref().map_or_else(String::new, |server| match &server.address {
                BackendAddress::Tcp(host, port) => format!(", on {host}:{port}"),
                BackendAddress::Unix(path) => format!(", on {}", path.display()),
            });
            self.step("key vault", Ok(text + &server));
        }
    }

    /// What the role may do with KMS that it should not. `table`: the one that has that KMS key for its own.
    fn excess(&mut self, table: Option<&str>, excess: &Excess) {
        let whose = table.map_or_else(String::new, |table| format!(", with the key of {table}"));
        let all = [
            ("kms:Encrypt", &excess.encrypt, KNOWN_KEY),
            ("kms:GenerateDataKey", &excess.generate_data_key, KNOWN_KEY),
            ("kms:ReEncryptFrom and kms:ReEncryptTo", &excess.re_encrypt, REWRAPS),
        ];
        if all.iter().all(|(_, right, _)| **right == Right::Denied) {
            self.step("KMS rights", Ok(format!("what the role does not need is denied to it{whose}")));
        }
        let unknown: Vec<&str> =
            all.iter().filter(|(_, right, _)| **right == Right::Unknown).map(|(action, ..)| *action).collect();
        if !unknown.is_empty() {
            let text = format!("KMS does not tell whether the role may call {}{whose} (no DryRun)", unknown.join(", "));
            self.step("KMS rights", Ok(text));
        }
        for (action, _, why) in all.iter().filter(|(_, right, _)| **right == Right::Allowed) {
            let message = format!("the role may call {action} under the context of data keys{whose}{why}");
            self.finding(&note(Severity::Warning, &message, "deny it in the key's policy: docs/keys.md, deploy/"));
        }
    }

    fn columns(&mut self, config: &Config, snapshot: &Snapshot, inspection: &Inspection) {
        let mut findings = verify::verify(snapshot, config);
        findings.extend(inspection.findings.iter().cloned());
        findings.sort_by(|a, b| (b.severity, &a.table, &a.column).cmp(&(a.severity, &b.table, &b.column)));
        let mut rows = Vec::new();
        let mut guards = Vec::new();
        for (name, settings) in &config.tables {
            let found = snapshot.table(name).flatten();
            for column_name in settings.columns.keys() {
                let about = |severity| {
                    let here = |finding: &&Finding| {
                        finding.severity == severity
                            && finding.table.as_ref().is_some_and(|table| same(table, name))
                            && finding.column.as_ref().is_none_or(|column| column.eq_ignore_ascii_case(column_name))
                    };
                    findings.iter().filter(here).count()
                };
                let verdict = match (about(Severity::Error), about(Severity::Warning)) {
                    (0, 0) => self.paint.text(Color::Green, "ok"),
                    (0, warnings) => self.paint.text(Color::Yellow, &count(warnings, "warning")),
                    (errors, _) => self.paint.text(Color::Red, &count(errors, "error")),
                };
                let column = found.and_then(|table| table.column(column_name));
                let mut row = vec![name.to_string(), column_name.clone()];
                match (found, column) {
                    (Some(table), Some(column)) => {
                        let guarded = inspection.guarded.contains(&(table.name.clone(), column.name.to_lowercase()));
                        let guard = catalog::guard_sql(table, column, config.is_mixed(name, column_name))
                            .filter(|_| verify::room(column).is_some());
                        row.push(type_name(column));
                        row.push(column.protected.as_deref().map(mode_of).unwrap_or_default());
                        row.push(room(column));
                        row.push(match (&guard, guarded) {
                            (Some(_), true) => "in place".to_owned(),
                            (Some(_), false) => "missing".to_owned(),
                            (None, _) => "none".to_owned(),
                        });
                        if let (Some(guard), false) = (guard, guarded) {
                            guards.push(guard);
                        }
                    }
                    _ => row.extend(["-", "-", "-", "-"].map(str::to_owned)),
                }
                row.push(verdict);
                rows.push(row);
            }
        }
        if !rows.is_empty() {
            let head = ["TABLE", "COLUMN", "TYPE", "MODE", "HOLDS", "GUARD", "RESULT"];
            let text = format!("\n{}", table(&head, &rows, self.paint));
            self.line(&text);
        }
        for finding in &findings {
            self.finding(finding);
        }
        if !findings.is_empty() {
            self.line("");
        }
        if !guards.is_empty() {
            self.line("Guards to add: with them the server itself refuses plaintext and cut values, whoever writes.");
            self.line("Rows that hold plaintext must be sealed first.");
            if !config.kms.accept_contexts.is_empty() {
                self.line(
                    "Values that an application encrypted with KMS itself pass, as kms.accept_contexts has them read;",
                );
                self.line("once they are written anew, drop that and add the guards that check prints then.");
            }
            for guard in guards {
                self.line(&format!("  {guard};"));
            }
            self.line("");
        }
    }

    fn summary(&mut self) {
        let text = match (self.errors, self.warnings) {
            (0, 0) => self.paint.text(Color::Green, "Everything is fine."),
            (0, warnings) => self.paint.text(Color::Yellow, &format!("Fine, with {}.", count(warnings, "warning"))),
            (errors, 0) => self.paint.text(Color::Red, &format!("{}.", count(errors, "error"))),
            (errors, warnings) => {
                self.paint.text(Color::Red, &format!("{}, {}.", count(errors, "error"), count(warnings, "warning")))
            }
        };
        self.line(&text);
    }
}

fn same(a: &crate::config::TableName, b: &crate::config::TableName) -> bool {
    a.schema.eq_ignore_ascii_case(&b.schema) && a.table.eq_ignore_ascii_case(&b.table)
}

fn note(severity: Severity, message: &str, hint: &str) -> Finding {
    Finding { severity, table: None, column: None, message: message.into(), hint: hint.into(), fatal: false }
}

/// How values of a column are sealed.
fn mode_of(column: &ProtectedColumn) -> String {
    let bound = if column.bind.is_empty() { "" } else { ", bound" };
    format!("{}{bound}", mode_name(column.mode))
}

fn mode_name(mode: KmsMode) -> &'static str {
    match mode {
        KmsMode::Envelope => "envelope",
        KmsMode::Direct => "direct",
    }
}

fn type_name(column: &Column) -> String {
    // The comment that MariaDB writes behind a compressed column's type.
    column.column_type.split(" /*").next().unwrap_or_default().to_owned()
}

/// How many bytes of plaintext fit, as a person reads it.
fn room(column: &Column) -> String {
    if column.width == Width::None {
        return "nothing".to_owned();
    }
    let Some(protected) = &column.protected else { return "-".to_owned() };
    let about = if protected.mode == KmsMode::Direct { "about " } else { "" };
    match verify::room(column) {
        None => "nothing".to_owned(),
        Some(1) => format!("{about}1 byte"),
        Some(bytes) if bytes < 10_000 => format!("{about}{bytes} bytes"),
        Some(bytes) if bytes < 10_000_000 => format!("{about}{} KiB", bytes / 1024),
        Some(bytes) => format!("{about}{} MiB", bytes / 1_048_576),
    }
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// At most eight names.
fn shorten(names: &[&str]) -> String {
    match names.get(8..) {
        Some(rest) if !rest.is_empty() => {
            format!("{} and {} more", names.get(..8).unwrap_or_default().join(", "), rest.len())
        }
        _ => names.join(", "),
    }
}
