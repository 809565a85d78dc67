//! What `check` asks the server beyond the snapshot: the control account's privileges, session
//! tracking, CHECK constraints, foreign keys, events. Not part of a refresh.

use std::collections::BTreeSet;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::grants::Grants;
use super::read::{by_name, literal_list, quote};
use super::verify::{Finding, Severity, names};
use super::{CatalogError, Physical, ServerFlavor, Snapshot};
use crate::config::{Cipher, Config, TableName, seals_table};
use crate::control::Control;
use crate::seal::GUARD_PATTERN;

/// The server as `check` shows it.
#[derive(Debug)]
pub struct Inspection {
    /// As `VERSION()` says it.
    pub version: String,
    /// `user@host` of the account that the control link was matched with.
    pub account: String,
    /// The cipher of the control link; `None` without TLS.
    pub tls: Option<String>,
    /// Whether the server says of itself what the proxy must know of a session.
    pub tracked: bool,
    /// Columns, in lower case, that have a guard.
    pub guarded: BTreeSet<(TableName, String)>,
    pub findings: Vec<Finding>,
}

/// Asks the server.
///
/// # Errors
/// The server cannot be reached, or refuses a query that every account may make.
pub async fn inspect(control: &Control, config: &Config, snapshot: &Snapshot) -> Result<Inspection, CatalogError> {
    let protected: Vec<Protected> = config
        .tables
        .iter()
        .map(|(name, table)| {
            let found = snapshot.table(name).flatten().map_or_else(|| name.clone(), |table| table.name.clone());
            Protected { name: found, columns: table.columns.keys().cloned().collect() }
        })
        .collect();
    let flavor = snapshot.version.flavor;
    let watched: Vec<String> = snapshot.watched.keys().cloned().collect();
    let searchable = searchable(snapshot);
    let mut vault = vec![config.vault.clone()];
    if config.tables.values().flat_map(|table| table.columns.values()).any(|column| column.cipher == Cipher::Gcm) {
        vault.push(seals_table(&config.vault));
    }
    // One that cannot be reached shows when its keys are counted.
    let elsewhere = config.vault_server.as_ref().map(|server| (std::mem::take(&mut vault), Control::to(server)));
    let pool = control.pool().clone();
    let work = async move {
        let mut conn = pool.get_conn().await?;
        let mut inspection = about_server(&mut conn).await?;
        privileges(&mut conn, flavor, &protected, &vault, &mut inspection).await?;
        constraints(&mut conn, flavor, &protected, &mut inspection).await?;
        foreign_keys(&mut conn, &protected, &mut inspection).await?;
        unsearchable_values(&mut conn, &searchable, &mut inspection).await?;
        events(&mut conn, &watched, &mut inspection).await?;
        drop(conn);
        Ok::<_, mysql_async::Error>(inspection)
    };
    let Some(result) = control.run(work).await else { return Err(CatalogError::ShuttingDown) };
    let mut inspection = result?;
    if let Some((vault, Ok(link))) = elsewhere {
        let pool = link.pool().clone();
        let work = async move { vault_elsewhere(&mut pool.get_conn().await?, &vault).await };
        match link.run(work).await {
            Some(findings) => inspection.findings.extend(findings?),
            None => return Err(CatalogError::ShuttingDown),
        }
    }
    Ok(inspection)
}

/// What the account of `vault_server` lacks there.
async fn vault_elsewhere(conn: &mut Conn, vault: &[TableName]) -> mysql_async::Result<Vec<Finding>> {
    let told: Option<(String, String)> = conn.query_first("SELECT VERSION(), CURRENT_USER()").await?;
    let (version, account) = told.unwrap_or_default();
    let flavor = match version.contains("MariaDB") {
        true => ServerFlavor::MariaDb,
        false => ServerFlavor::MySql,
    };
    let grants = grants(conn, flavor).await?;
    let mut findings = Vec::new();
    for table in vault {
        vault_privileges(conn, &grants, table, ("the control user of vault_server", &account), &mut findings).await?;
    }
    Ok(findings)
}

/// What the account may do, by its roles too.
async fn grants(conn: &mut Conn, flavor: ServerFlavor) -> mysql_async::Result<Grants> {
    let roles: Option<Option<String>> = conn.query_first("SELECT CURRENT_ROLE()").await?;
    let roles = roles.flatten().filter(|roles| !roles.is_empty() && roles != "NONE");
    // MariaDB lists the privileges of the current role by itself.
    let sql = match (flavor, roles) {
        (ServerFlavor::MySql, Some(roles)) => format!("SHOW GRANTS FOR CURRENT_USER() USING {roles}"),
        _ => "SHOW GRANTS".to_owned(),
    };
    let lines: Vec<String> = conn.query(sql).await?;
    Ok(Grants::parse(lines.iter().map(String::as_str)))
}

struct Protected {
    name: TableName,
    columns: Vec<String>,
}

impl Protected {
    fn column(&self, name: &str) -> Option<&String> {
        self.columns.iter().find(|column| column.eq_ignore_ascii_case(name))
    }
}

fn error(table: Option<&TableName>, column: Option<&str>, message: String, hint: String) -> Finding {
    Finding {
        severity: Severity::Error,
        table: table.cloned(),
        column: column.map(str::to_owned),
        message,
        hint,
        fatal: false,
    }
}

fn warning(table: Option<&TableName>, column: Option<&str>, message: String, hint: String) -> Finding {
    Finding { severity: Severity::Warning, ..error(table, column, message, hint) }
}

async fn about_server(conn: &mut Conn) -> mysql_async::Result<Inspection> {
    let row: Option<(String, String, u8, Option<String>)> = conn
        .query_first(
            "SELECT VERSION(), CURRENT_USER(), @@GLOBAL.session_track_schema, @@GLOBAL.session_track_system_variables",
        )
        .await?;
    let (version, account, schema, variables) = row.unwrap_or_default();
    let variables = variables.unwrap_or_default().to_ascii_lowercase();
    let tracks = |name: &str| variables.split(',').any(|word| word.trim() == name || word.trim() == "*");
    let missing: Vec<&str> = ["character_set_client", "character_set_connection", "character_set_results"]
        .into_iter()
        .filter(|name| !tracks(name))
        .collect();
    let mut findings = Vec::new();
    if schema == 0 {
        findings.push(error(
            None,
            None,
            "the server does not report a session's current schema, so unqualified names cannot be resolved".into(),
            "SET GLOBAL session_track_schema = ON, and in the server's configuration file".into(),
        ));
    }
    if !missing.is_empty() {
        findings.push(error(
            None,
            None,
            format!("the server does not report changes of {}", missing.join(", ")),
            "add them to session_track_system_variables, or remove that setting: they are its default".into(),
        ));
    }
    let tls: Option<(String, String)> = conn.query_first("SHOW SESSION STATUS LIKE 'Ssl_cipher'").await?;
    Ok(Inspection {
        version,
        account,
        tls: tls.map(|(_, cipher)| cipher).filter(|cipher| !cipher.is_empty()),
        tracked: findings.is_empty(),
        guarded: BTreeSet::new(),
        findings,
    })
}

async fn privileges(
    conn: &mut Conn,
    flavor: ServerFlavor,
    protected: &[Protected],
    vault: &[TableName],
    inspection: &mut Inspection,
) -> mysql_async::Result<()> {
    let grants = grants(conn, flavor).await?;
    let to = format!("TO {}", quote_account(&inspection.account));
    for (privilege, hides) in [
        ("SELECT", "tables and columns"),
        ("SHOW VIEW", "the definitions of views"),
        ("TRIGGER", "triggers"),
        ("EVENT", "events"),
    ] {
        if grants.global(privilege) {
            continue;
        }
        let lacking = protected.iter().find(|table| !grants.on(privilege, &table.name));
        let hint = format!("GRANT {privilege} ON *.* {to}");
        inspection.findings.push(match lacking {
            Some(table) => error(
                None,
                None,
                format!("the control user lacks {privilege} on {}: {hides} look absent to the proxy", table.name),
                hint,
            ),
            None => warning(
                None,
                None,
                format!("the control user has {privilege} on some schemas only: {hides} of the others look absent"),
                hint,
            ),
        });
    }
    let bodies = match flavor {
        ServerFlavor::MySql => grants.global("SHOW_ROUTINE") || grants.global("SELECT"),
        ServerFlavor::MariaDb => {
            grants.on("SELECT", &TableName::new("mysql", "proc")) || grants.global("SHOW CREATE ROUTINE")
        }
    };
    if !bodies {
        let grant = match flavor {
            ServerFlavor::MySql => "SHOW_ROUTINE ON *.*",
            ServerFlavor::MariaDb => "SELECT ON mysql.proc",
        };
        inspection.findings.push(error(
            None,
            None,
            "the control user cannot read the bodies of routines: every call of one is refused".into(),
            format!("GRANT {grant} {to}"),
        ));
    }
    for table in vault {
        let who = ("the control user", inspection.account.as_str());
        vault_privileges(conn, &grants, table, who, &mut inspection.findings).await?;
    }
    Ok(())
}

/// What the control account needs on one table of the vault.
async fn vault_privileges(
    conn: &mut Conn,
    grants: &Grants,
    vault: &TableName,
    (who, account): (&str, &str),
    findings: &mut Vec<Finding>,
) -> mysql_async::Result<()> {
    let to = format!("TO {}", quote_account(account));
    let lacking: Vec<&str> =
        ["SELECT", "INSERT", "UPDATE"].into_iter().filter(|privilege| !grants.on(privilege, vault)).collect();
    if !lacking.is_empty() {
        findings.push(error(
            None,
            None,
            format!("{who} lacks {} on the key vault {vault}", lacking.join(", ")),
            format!("GRANT SELECT, INSERT, UPDATE, CREATE ON `{}`.* {to}", vault.schema),
        ));
    }
    let exists: Option<u8> = conn
        .exec_first(
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
            (&vault.schema, &vault.table),
        )
        .await?;
    if exists.is_none() && !grants.on("CREATE", vault) {
        findings.push(error(
            None,
            None,
            format!("the key vault {vault} does not exist and {who} may not create it"),
            format!("GRANT CREATE ON `{}`.* {to}", vault.schema),
        ));
    }
    Ok(())
}

/// `user@host` as `CURRENT_USER()` prints it, quoted for a GRANT.
fn quote_account(account: &str) -> String {
    let (user, host) = account.rsplit_once('@').unwrap_or((account, "%"));
    format!("'{}'@'{}'", user.replace('\'', "''"), host.replace('\'', "''"))
}

/// Guards that are there, and other CHECKs that would judge ciphertext.
async fn constraints(
    conn: &mut Conn,
    flavor: ServerFlavor,
    protected: &[Protected],
    inspection: &mut Inspection,
) -> mysql_async::Result<()> {
    let tables: Vec<TableName> = protected.iter().map(|table| table.name.clone()).collect();
    let sql = match flavor {
        ServerFlavor::MariaDb => format!(
            "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, CHECK_CLAUSE, 'YES' \
             FROM information_schema.CHECK_CONSTRAINTS WHERE {}",
            by_name("CONSTRAINT_SCHEMA", "TABLE_NAME", &tables)
        ),
        ServerFlavor::MySql => format!(
            "SELECT t.TABLE_SCHEMA, t.TABLE_NAME, c.CONSTRAINT_NAME, c.CHECK_CLAUSE, t.ENFORCED \
             FROM information_schema.TABLE_CONSTRAINTS t JOIN information_schema.CHECK_CONSTRAINTS c \
               ON c.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = t.CONSTRAINT_NAME \
             WHERE t.CONSTRAINT_TYPE = 'CHECK' AND ({})",
            by_name("t.TABLE_SCHEMA", "t.TABLE_NAME", &tables)
        ),
    };
    let rows: Vec<(String, String, String, String, String)> = conn.query(sql).await?;
    for (schema, table, name, clause, enforced) in rows {
        let table_name = TableName::new(schema, table);
        let Some(table) = protected.iter().find(|table| table.name == table_name) else { continue };
        for column in table.columns.iter().filter(|column| names(&clause, column)) {
            // The pattern as written, or as the server escapes it when it prints an expression.
            let text_guard = clause.contains(GUARD_PATTERN) || clause.contains("pQ[EIM][A-Za-z0-9+/]{44,}");
            let binary_guard = clause.to_ascii_lowercase().contains("a501");
            if text_guard || binary_guard {
                if enforced == "YES" {
                    inspection.guarded.insert((table_name.clone(), column.to_lowercase()));
                }
            } else {
                inspection.findings.push(error(
                    Some(&table_name),
                    Some(column),
                    format!("the CHECK constraint {name} would judge ciphertext and refuse every value"),
                    format!("drop the constraint ({clause})"),
                ));
            }
        }
    }
    Ok(())
}

async fn foreign_keys(
    conn: &mut Conn,
    protected: &[Protected],
    inspection: &mut Inspection,
) -> mysql_async::Result<()> {
    let tables: Vec<TableName> = protected.iter().map(|table| table.name.clone()).collect();
    let child = by_name("TABLE_SCHEMA", "TABLE_NAME", &tables);
    let parent = by_name("REFERENCED_TABLE_SCHEMA", "REFERENCED_TABLE_NAME", &tables);
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, CONSTRAINT_NAME, REFERENCED_TABLE_SCHEMA, \
           REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE \
         WHERE REFERENCED_TABLE_NAME IS NOT NULL AND (({child}) OR ({parent}))"
    );
    let rows: Vec<(String, String, String, String, String, String, String)> = conn.query(sql).await?;
    for (schema, table, column, key, parent_schema, parent_table, parent_column) in rows {
        let ends =
            [(TableName::new(schema, table), column), (TableName::new(parent_schema, parent_table), parent_column)];
        for (table, column) in ends {
            let Some(found) = protected.iter().find(|found| found.name == table) else { continue };
            let Some(column) = found.column(&column) else { continue };
            inspection.findings.push(error(
                Some(&table),
                Some(column),
                format!(
                    "it is part of the FOREIGN KEY {key}: equal values are sealed differently, so they never match"
                ),
                "refer to another key, or leave the column unprotected".into(),
            ));
        }
    }
    Ok(())
}

/// Columns that are searched, and how a value is recognised there that was sealed with a random nonce.
fn searchable(snapshot: &Snapshot) -> Vec<(TableName, String, &'static str)> {
    let tables = snapshot.tables.values().flatten();
    let columns = tables.flat_map(|table| &table.columns).filter_map(|column| column.protected.as_ref());
    let found = columns.filter(|column| column.searchable()).map(|column| {
        let condition = match column.physical {
            // Uses an index that begins with the column.
            Physical::Text => "LIKE 'pQE%'",
            Physical::Binary => "BETWEEN x'a501' AND x'a501ffffffff'",
        };
        (column.table.clone(), column.name.clone(), condition)
    });
    let mut found: Vec<_> = found.collect();
    found.sort();
    found
}

/// Values that were sealed before their column was searchable: no search finds them.
async fn unsearchable_values(
    conn: &mut Conn,
    searchable: &[(TableName, String, &'static str)],
    inspection: &mut Inspection,
) -> mysql_async::Result<()> {
    for (table, column, condition) in searchable {
        let (schema, name, quoted) = (quote(&table.schema), quote(&table.table), quote(column));
        let found: Option<u8> =
            conn.query_first(format!("SELECT 1 FROM {schema}.{name} WHERE {quoted} {condition} LIMIT 1")).await?;
        if found.is_some() {
            inspection.findings.push(error(
                Some(table),
                Some(column),
                "it holds values that were sealed before it was searchable: no search finds them, and UNIQUE and \
                 GROUP BY take each for another value"
                    .into(),
                "read and write these rows again through the proxy".into(),
            ));
        }
    }
    Ok(())
}

async fn events(conn: &mut Conn, watched: &[String], inspection: &mut Inspection) -> mysql_async::Result<()> {
    let rows: Vec<Row> = conn
        .query(format!(
            "SELECT EVENT_SCHEMA, EVENT_NAME, EVENT_DEFINITION FROM information_schema.EVENTS \
             WHERE EVENT_SCHEMA NOT IN ({})",
            literal_list(&["mysql", "sys"])
        ))
        .await?;
    for row in rows {
        let (schema, name, body): (String, String, Option<String>) = mysql_async::from_row(row);
        let body = body.unwrap_or_default();
        if body.is_empty() || watched.iter().any(|word| names(&body, word)) {
            inspection.findings.push(warning(
                None,
                None,
                format!(
                    "the event {schema}.{name} touches protected tables, and runs inside the server around the proxy"
                ),
                "make sure that it neither writes nor reads protected columns".into(),
            ));
        }
    }
    Ok(())
}
