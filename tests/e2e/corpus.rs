//! The corpus: statements with what must become of them (`tests/corpus/`), judged offline for each flavor
//! of server, and run on every server next to a twin schema where nothing is protected.
//!
//! `SEALWIRE_WRITE_DOCS=1 cargo test --test e2e corpus` writes expectations and `docs/sql-support.md` anew.

mod live;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sealwire::catalog::offline::{parse_version, read_ddl};
use sealwire::catalog::{ServerFlavor, ServerVersion, Snapshot};
use sealwire::config::{Config, TableName};
use sealwire::sql::{
    COMPARED, Charset, Context, Outcome, ParamRole, Piece, Plan, Protocol, ResultRoles, SqlMode, analyse,
};

/// The schema that stands for `{s}` offline.
const SCHEMA: &str = "shop";

const PROTECTED: [(&str, &str, &str); 8] = [
    ("users", "email", "{}"),
    ("users", "name", "{}"),
    ("users", "tax", "{ search: exact }"),
    ("orders", "code", "{ search: exact }"),
    ("blobs", "data", "{}"),
    ("letters", "body", "{ bind: [code] }"),
    ("letters", "topic", "{ bind: [office, number], cipher: aes-256-gcm }"),
    ("parcels", "content", "{ bind: code, pad: 8 }"),
];

/// One line of a corpus file.
#[derive(Clone, Debug)]
struct Case {
    heading: String,
    /// Only for this flavor.
    flavor: Option<ServerFlavor>,
    /// What the plan says, or the code of the refusal.
    expected: String,
    /// `{s}` is the schema.
    sql: String,
    /// Literals for the placeholders.
    params: Option<String>,
}

impl Case {
    fn runs_on(&self, flavor: ServerFlavor) -> bool {
        self.flavor.is_none_or(|only| only == flavor)
    }

    fn sql_in(&self, schema: &str) -> String {
        self.sql.replace("{s}", schema)
    }

    /// The values of the placeholders, as the statement's text would have them.
    fn values(&self) -> Vec<mysql_async::Value> {
        let text = self.params.as_deref().unwrap_or_default();
        text.split(", ")
            .filter(|word| !word.is_empty())
            .map(|word| match word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')) {
                Some(text) => text.into(),
                None if word == "NULL" => mysql_async::Value::NULL,
                None => word.parse::<i64>().expect("a number, a string or NULL").into(),
            })
            .collect()
    }

    fn line(&self) -> String {
        let tag = match self.flavor {
            None => "",
            Some(ServerFlavor::MariaDb) => "[mariadb] ",
            Some(ServerFlavor::MySql) => "[mysql] ",
        };
        let params = self.params.as_ref().map(|params| format!(" <- {params}")).unwrap_or_default();
        format!("{tag}{} | {}{params}", self.expected, self.sql)
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

fn cases(name: &str) -> Vec<Case> {
    let mut heading = String::new();
    let mut found = Vec::new();
    for line in text(name).lines() {
        if let Some(title) = line.strip_prefix("# ") {
            title.clone_into(&mut heading);
            continue;
        }
        if line.trim().is_empty() {
            continue;
        }
        let tagged = [("[mariadb] ", ServerFlavor::MariaDb), ("[mysql] ", ServerFlavor::MySql)];
        let tag = tagged.into_iter().find(|(tag, _)| line.starts_with(tag));
        let rest = tag.map_or(line, |(tag, _)| line.strip_prefix(tag).unwrap());
        let (expected, sql) = rest.split_once(" | ").unwrap_or(("", rest));
        let (sql, params) = match sql.split_once(" <- ") {
            Some((sql, params)) => (sql, Some(params.to_owned())),
            None => (sql, None),
        };
        found.push(Case {
            heading: heading.clone(),
            flavor: tag.map(|(_, flavor)| flavor),
            expected: expected.to_owned(),
            sql: sql.to_owned(),
            params,
        });
    }
    found
}

/// The schema of the corpus on a server of this version, without the server.
fn snapshot(version: ServerVersion) -> Snapshot {
    let mut yaml = "listen: 127.0.0.1:0\nbackend: { address: \"127.0.0.1:1\", control: { user: a, password: b } }\n\
                    kms: { provider: local, keyring: k }\ntables:\n"
        .to_owned();
    for table in ["users", "orders", "blobs", "letters", "parcels"] {
        let columns: Vec<String> = PROTECTED
            .iter()
            .filter(|(of, _, _)| *of == table)
            .map(|(_, column, settings)| format!("{column}: {settings}"))
            .collect();
        writeln!(yaml, "  {SCHEMA}.{table}: {{ columns: {{ {} }} }}", columns.join(", ")).unwrap();
    }
    let config = Config::parse(&yaml, Path::new("c.yaml"), &|_| None).unwrap();
    let offline = read_ddl(&config, text("schema.sql").as_bytes(), Some(SCHEMA), Some(version)).unwrap();
    assert!(offline.warnings.is_empty() && offline.snapshot.missing.is_empty());
    offline.snapshot
}

/// What the analyser makes of a case: the text of an expectation.
fn judge(case: &Case, snapshot: &mut Snapshot) -> String {
    let sql = case.sql_in(SCHEMA);
    loop {
        let context = Context {
            catalog: snapshot,
            schema: Some(SCHEMA),
            sql_mode: SqlMode { strict_trans_tables: true, ..SqlMode::default() },
            character_set_client: Charset::Utf8mb4,
            character_set_connection: Charset::Utf8mb4,
            protocol: if case.params.is_some() { Protocol::Prepared } else { Protocol::Text },
            multi_statements: false,
            versions: sealwire::seal::versions::KeyVersions::NONE,
        };
        match analyse(sql.as_bytes(), &context) {
            Outcome::Pass(_) => return "-".to_owned(),
            Outcome::Refuse(refusal) => return refusal.code.to_string(),
            Outcome::Plan(plan) => return summary(&plan),
            Outcome::NeedTables(names) => {
                for name in names {
                    let key: TableName = snapshot.key(&name);
                    snapshot.tables.insert(key, None);
                }
            }
        }
    }
}

/// `seal users.email users.name; match users.tax; open 2 users.email`, or `-`.
fn summary(plan: &Plan) -> String {
    let mut found: [Vec<String>; 3] = Default::default();
    let mut note = |row: u32, column: &sealwire::catalog::ProtectedColumn| {
        let name = format!("{}.{}", column.table.table, column.name);
        let list = &mut found[usize::from(row == COMPARED)];
        if !list.contains(&name) {
            list.push(name);
        }
    };
    for piece in plan.edits.iter().flat_map(|edit| &edit.pieces) {
        if let Piece::Seal(literal) = piece {
            note(literal.row, &literal.column);
        }
    }
    for param in &plan.params {
        if let ParamRole::Seal(param) = param {
            note(param.row, &param.column);
        }
    }
    for statement in &plan.statements {
        let ResultRoles::Columns(columns) = &statement.result else { continue };
        for (n, column) in columns.iter().enumerate() {
            if let Some(open) = &column.open {
                found[2].push(format!("{} {}.{}", n + 1, open.table.table, open.name));
            }
        }
    }
    let parts = ["seal", "match", "open"].iter().zip(&found).filter(|(_, list)| !list.is_empty());
    let parts: Vec<String> = parts.map(|(verb, list)| format!("{verb} {}", list.join(", "))).collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join("; ") }
}

fn versions() -> [ServerVersion; 3] {
    ["10.11.6-MariaDB", "11.8.2-MariaDB", "9.7.0"].map(|text| parse_version(text).unwrap())
}

/// Compares a file's expectations with the analyser, or writes them.
fn check(name: &str, refused: bool) -> Vec<Case> {
    let mut cases = cases(name);
    let write = std::env::var_os("SEALWIRE_WRITE_DOCS").is_some();
    let mut wrong = Vec::new();
    for version in versions() {
        let mut snapshot = snapshot(version);
        for case in cases.iter_mut().filter(|case| case.runs_on(version.flavor)) {
            let found = judge(case, &mut snapshot);
            if write {
                found.clone_into(&mut case.expected);
            }
            if found != case.expected || found.starts_with("SW-") != refused {
                wrong.push(format!("{version:?}: {} but {found}", case.line()));
            }
        }
    }
    if write {
        let mut out = String::new();
        let mut heading = "";
        for case in &cases {
            if heading != case.heading {
                let gap = if heading.is_empty() { "" } else { "\n" };
                writeln!(out, "{gap}# {}", case.heading).unwrap();
                heading = &case.heading;
            }
            writeln!(out, "{}", case.line()).unwrap();
        }
        std::fs::write(path(name), out).unwrap();
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    cases
}

#[test]
fn what_the_corpus_accepts_is_planned_as_it_says() {
    assert!(check("accepted.txt", false).len() >= 250);
}

#[test]
fn what_the_corpus_refuses_is_refused_with_its_code() {
    assert!(check("refused.txt", true).len() >= 250);
}

/// `docs/sql-support.md`.
#[test]
fn the_page_on_sql_is_what_the_corpus_says() {
    let mut page = String::from(
        "# What SQL works on protected tables\n\n\
         Written from the corpus in `tests/corpus`, each statement of which runs on MariaDB 10.11, MariaDB 11.8 and \
         MySQL 9.7 in the tests and is compared with the same statement on tables where nothing is protected. \
         Statements that name nothing protected are not analysed at all.\n\n\
         The tables: `users (id, email, name, tax, note, age)` with `email` and `name` protected and `tax` protected \
         with `search: exact`; `orders (id, user_id, code, total, placed)` with `code` protected with \
         `search: exact`; `blobs (id, data, size)` with `data` protected; `letters (code, office, number, body, topic, \
         seen)` with `body` protected and bound to rows by `code`, `topic` by `office` and `number`; `parcels (code, \
         content, weight)` with `content` protected and bound by `code`; `plain (id, email, note)` is not protected; \
         `v_users` is a view over `users`.\n\n\
         Figures over statements that others wrote are in [Measured](#measured), what is refused and why below, and \
         every code in [errors.md](errors.md). `sealwire explain` tells the same of your own statements \
         ([explain.md](explain.md)).\n",
    );
    let mut section = |title: &str, lead: &str, name: &str| {
        write!(page, "\n## {title}\n\n{lead}\n").unwrap();
        let mut heading = String::new();
        for case in cases(name) {
            if heading != case.heading {
                heading.clone_from(&case.heading);
                write!(page, "\n### {heading}\n\n| statement | |\n|---|---|\n").unwrap();
            }
            let only = match case.flavor {
                None => "",
                Some(ServerFlavor::MariaDb) => " (MariaDB)",
                Some(ServerFlavor::MySql) => " (MySQL)",
            };
            let sql = case.sql_in(SCHEMA).replace('|', "\\|");
            let ticks = if sql.contains('`') { "``" } else { "`" };
            let pad = if ticks.len() == 2 { " " } else { "" };
            let what = if case.expected == "-" { "as it is" } else { &case.expected };
            writeln!(page, "| {ticks}{pad}{sql}{pad}{ticks} | {what}{only} |").unwrap();
        }
    };
    let accepted = "`seal`: a value is sealed; `match`: a value is sealed to be compared; `open`: the values of that \
                    result column are opened.";
    section("Accepted", accepted, "accepted.txt");
    section("Refused", "Each with its code; nothing of it reaches the server.", "refused.txt");
    page.push_str(&text("measured.md"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sql-support.md");
    if std::env::var_os("SEALWIRE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    assert!(std::fs::read_to_string(path).unwrap_or_default() == page, "docs/sql-support.md is not up to date");
}
