//! The scenario with sqlx.

use futures_util::StreamExt;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::query::Query;
use sqlx::{Column, ConnectOptions, Connection, Either, Executor, MySql, Row, TypeInfo, ValueRef};

use crate::{env, filled, show, Param, Step};

async fn connect(tls: bool) -> MySqlConnection {
    let options = MySqlConnectOptions::new()
        .host(&env("CLIENT_HOST"))
        .port(env("CLIENT_PORT").parse().unwrap())
        .username(&env("CLIENT_USER"))
        .password(&env("CLIENT_PASSWORD"))
        .database(&env("CLIENT_SCHEMA"))
        .ssl_mode(if tls { MySqlSslMode::VerifyCa } else { MySqlSslMode::Disabled })
        .ssl_ca(env("CLIENT_CA"));
    options.connect().await.unwrap()
}

fn bind<'q>(mut query: Query<'q, MySql, MySqlArguments>, run: &'q [Param]) -> Query<'q, MySql, MySqlArguments> {
    for param in run {
        query = match param {
            Param::Null => query.bind(None::<String>),
            Param::Int(number) => query.bind(number),
            Param::Float(number) => query.bind(number),
            Param::Text(text) => query.bind(text),
            Param::Bytes(bytes) => query.bind(bytes),
        };
    }
    query
}

/// A value's type and its bytes as they came, text or binary.
fn cell(row: &MySqlRow, index: usize) -> String {
    let raw = row.try_get_raw(index).unwrap();
    let kind = raw.type_info().name().to_owned();
    if raw.is_null() {
        return format!("{kind} NULL");
    }
    let bytes: Vec<u8> = row.try_get_unchecked(index).unwrap();
    format!("{kind} {}", show(&bytes))
}

fn row(row: &MySqlRow) {
    let columns: Vec<String> = row.columns().iter().map(|column| format!("{} {}", column.name(), column.type_info().name())).collect();
    let values: Vec<String> = (0..columns.len()).map(|index| cell(row, index)).collect();
    println!("  columns {}", columns.join(", "));
    println!("  row {}", values.join(", "));
}

async fn answer<'q>(conn: &mut MySqlConnection, query: impl sqlx::Execute<'q, MySql> + 'q) -> Result<(), sqlx::Error> {
    let mut results = conn.fetch_many(query);
    while let Some(next) = results.next().await {
        match next? {
            Either::Left(done) => println!("  affected {} id {}", done.rows_affected(), done.last_insert_id()),
            Either::Right(found) => row(&found),
        }
    }
    Ok(())
}

pub async fn run(steps: impl Iterator<Item = Step>) {
    let mut conn = connect(false).await;
    for step in steps {
        let outcome = match step.does.as_str() {
            "section" => Ok(()),
            "connect" => {
                conn.close().await.unwrap();
                conn = connect(step.tls).await;
                Ok(())
            }
            "query" | "call" => answer(&mut conn, sqlx::raw_sql(&step.sql)).await,
            "text" => {
                let mut outcome = Ok(());
                for run in &step.runs {
                    outcome = answer(&mut conn, sqlx::raw_sql(&filled(&step.sql, run))).await;
                }
                outcome
            }
            "prepared" | "too_long" | "batch" => {
                let mut outcome = Ok(());
                for run in &step.runs {
                    outcome = answer(&mut conn, bind(sqlx::query(&step.sql), run)).await;
                }
                outcome
            }
            "begin" | "commit" | "rollback" => conn.execute(step.does.as_str()).await.map(drop),
            "ping" => conn.ping().await,
            other => panic!("unknown step {other}"),
        };
        match outcome {
            Ok(()) => {}
            Err(sqlx::Error::Database(error)) => println!("  error {:?} {}", error.code(), error),
            Err(other) => panic!("{other}"),
        }
    }
    conn.close().await.unwrap();
}
