//! The corpus on real servers, beside a twin schema where nothing is protected.

use mysql_async::prelude::{Protocol, Queryable};
use mysql_async::{Conn, Params, QueryResult, Row, Value};
use sealwire::catalog::ServerFlavor;

use super::{Case, PROTECTED, cases, text};
use crate::on_every_server;
use crate::support::{Backend, Proxy, Schema, Server, assert_no_plaintext};

const TABLES: [&str; 6] = ["users", "orders", "plain", "blobs", "letters", "parcels"];

/// What a client sees of a statement.
#[derive(Debug, PartialEq)]
enum Answer {
    /// Rows in no order; the server's count where the plaintext determines it.
    Rows {
        names: Vec<String>,
        rows: Vec<Vec<Value>>,
        affected: Option<u64>,
        warnings: u16,
    },
    Error(u16),
}

async fn ask(conn: &mut Conn, case: &Case, schema: &str) -> Answer {
    let sql = case.sql_in(schema);
    let verb = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    // An update to the same plaintext is a change where values are randomised.
    let counted = matches!(verb.as_str(), "INSERT" | "DELETE") && !sql.contains("ON DUPLICATE");
    let outcome = match &case.params {
        Some(_) => match conn.exec_iter(&sql, Params::Positional(case.values())).await {
            Ok(result) => collect(result, schema).await,
            Err(error) => Err(error),
        },
        None => match conn.query_iter(&sql).await {
            Ok(result) => collect(result, schema).await,
            Err(error) => Err(error),
        },
    };
    // MySQL warns of the character set of N'…', which a sealed value no longer has.
    let warnings = if sql.contains("N'") { 0 } else { conn.get_warnings() };
    match outcome {
        Ok((names, rows)) => Answer::Rows { names, rows, affected: counted.then(|| conn.affected_rows()), warnings },
        Err(mysql_async::Error::Server(error)) => Answer::Error(error.code),
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// Columns' names and the rows, sorted. The schema's own name is that of no schema.
async fn collect<P: Protocol>(
    mut result: QueryResult<'_, '_, P>,
    schema: &str,
) -> mysql_async::Result<(Vec<String>, Vec<Vec<Value>>)> {
    let names = result.columns_ref().iter().map(|column| column.name_str().replace(schema, "{s}")).collect();
    let rows: Vec<Row> = result.collect().await?;
    result.drop_result().await?;
    let mut rows: Vec<Vec<Value>> = rows.into_iter().map(Row::unwrap).collect();
    rows.sort_by_key(|row| format!("{row:?}"));
    Ok((names, rows))
}

/// Everything the tables hold, as this connection sees it.
async fn contents(conn: &mut Conn, schema: &str) -> Vec<Vec<Vec<Value>>> {
    let mut all = Vec::new();
    for table in TABLES {
        let rows: Vec<Row> = conn.query(format!("SELECT * FROM {schema}.{table} ORDER BY 1")).await.unwrap();
        all.push(rows.into_iter().map(Row::unwrap).collect());
    }
    all
}

/// Every value that protected columns hold on the server is NULL or sealed; committed or not.
async fn assert_sealed(direct: &mut Conn, what: &str) {
    for (table, column, _) in PROTECTED {
        let values: Vec<Option<Vec<u8>>> = direct.query(format!("SELECT {column} FROM {table}")).await.unwrap();
        for value in values.into_iter().flatten() {
            let sealed = value.starts_with(b"pQ") && value.ends_with(b".") || value.first() == Some(&0xA5);
            assert!(sealed, "{what}: {table}.{column} holds a value that is not sealed");
        }
    }
}

async fn lay_out(schema: &Schema) {
    let mut conn = schema.direct().await;
    for statement in text("schema.sql").split(";\n").filter(|statement| statement.contains("CREATE")) {
        conn.query_drop(statement).await.unwrap();
    }
}

fn proxy(schema: &Schema) -> Proxy {
    let builder = Proxy::builder(schema);
    PROTECTED.iter().fold(builder, |builder, (table, column, settings)| builder.column(table, column, settings)).start()
}

fn flavor(backend: &Backend) -> ServerFlavor {
    if backend.server == Server::MySql97 { ServerFlavor::MySql } else { ServerFlavor::MariaDb }
}

on_every_server! {
    async fn an_accepted_statement_answers_and_stores_what_it_does_unprotected(backend: Backend) {
        let (schema, twin) = (Schema::create(&backend).await, Schema::create(&backend).await);
        lay_out(&schema).await;
        lay_out(&twin).await;
        let proxy = proxy(&schema);
        let (mut conn, mut other, mut direct) = (proxy.connect().await, twin.direct_app().await, schema.direct().await);
        direct.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED").await.unwrap();
        for row in text("rows.sql").lines() {
            conn.query_drop(row).await.unwrap();
            other.query_drop(row).await.unwrap();
        }
        let mut different = Vec::new();
        for case in cases("accepted.txt").iter().filter(|case| case.runs_on(flavor(&backend))) {
            conn.query_drop("START TRANSACTION").await.unwrap();
            other.query_drop("START TRANSACTION").await.unwrap();
            let (here, there) = (ask(&mut conn, case, &schema.name).await, ask(&mut other, case, &twin.name).await);
            if here != there || matches!(here, Answer::Error(_)) {
                different.push(format!("{}\n  protected {here:?}\n  twin      {there:?}", case.line()));
            }
            let writes = ["INSERT", "REPLACE", "UPDATE", "DELETE"].iter().any(|verb| case.sql.contains(verb));
            if writes {
                assert_sealed(&mut direct, &case.sql).await;
                let (here, there) = (contents(&mut conn, &schema.name).await, contents(&mut other, &twin.name).await);
                if here != there {
                    different.push(format!("{}\n  protected {here:?}\n  twin      {there:?}", case.line()));
                }
            }
            conn.query_drop("ROLLBACK").await.unwrap();
            other.query_drop("ROLLBACK").await.unwrap();
        }
        assert!(different.is_empty(), "{}:\n{}", different.len(), different.join("\n"));
    }

    async fn a_refused_statement_is_refused_with_its_code_and_changes_nothing(backend: Backend) {
        let schema = Schema::create(&backend).await;
        lay_out(&schema).await;
        let proxy = proxy(&schema);
        let (mut conn, mut direct) = (proxy.connect().await, schema.direct().await);
        for row in text("rows.sql").lines() {
            conn.query_drop(row).await.unwrap();
        }
        let before = contents(&mut direct, &schema.name).await;
        let canary = format!("canary{}x{}", std::process::id(), backend.port);
        let mut wrong = Vec::new();
        for case in cases("refused.txt").into_iter().filter(|case| case.runs_on(flavor(&backend))) {
            let marked = |text: &str| text.replace("canary", &canary);
            let case = Case { sql: marked(&case.sql), params: case.params.as_deref().map(marked), ..case };
            let sql = case.sql_in(&schema.name);
            let outcome = match &case.params {
                Some(_) => conn.exec_drop(&sql, Params::Positional(case.values())).await,
                None => conn.query_drop(&sql).await,
            };
            match outcome {
                Err(mysql_async::Error::Server(error)) if error.message.starts_with(&format!("sealwire {}: ", case.expected)) => {
                    assert!(!error.message.contains(&canary), "{}: {}", case.line(), error.message);
                }
                other => wrong.push(format!("{}: {other:?}", case.line())),
            }
        }
        assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
        assert_eq!(contents(&mut direct, &schema.name).await, before);
        let rows: Vec<(u32, String)> = conn.query("SELECT id, name FROM users ORDER BY id").await.unwrap();
        assert_eq!(rows.len(), 4, "the connection goes on");
        assert_no_plaintext(&backend, &[&canary]).await;
    }
}
