//! The scenario with mysql_async.

use mysql_async::prelude::{Protocol, Queryable};
use mysql_async::{Conn, Error, OptsBuilder, QueryResult, SslOpts, Value};

use crate::{env, filled, show, Param, Step};

async fn connect(tls: bool) -> Conn {
    let ssl = tls.then(|| {
        let ca = std::path::PathBuf::from(env("CLIENT_CA"));
        SslOpts::default().with_root_certs(vec![ca.into()]).with_danger_tls_hostname_override(Some("localhost"))
    });
    let opts = OptsBuilder::default()
        .ip_or_hostname(env("CLIENT_HOST"))
        .tcp_port(env("CLIENT_PORT").parse().unwrap())
        .user(Some(env("CLIENT_USER")))
        .pass(Some(env("CLIENT_PASSWORD")))
        .db_name(Some(env("CLIENT_SCHEMA")))
        .prefer_socket(false)
        .max_allowed_packet(Some(64 << 20))
        .ssl_opts(ssl);
    let conn = Conn::new(opts).await.unwrap();
    println!("  server {:?}", conn.server_version());
    conn
}

fn value(param: &Param) -> Value {
    match param {
        Param::Null => Value::NULL,
        Param::Int(number) => Value::Int(*number),
        Param::Float(number) => Value::Double(*number),
        Param::Text(text) => Value::Bytes(text.as_bytes().to_vec()),
        Param::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}

fn failed(error: &Error) {
    match error {
        Error::Server(error) => println!("  error {} {} {}", error.code, error.state, error.message),
        other => panic!("{other}"),
    }
}

async fn answer<P: Protocol>(mut result: QueryResult<'_, 'static, P>) -> Result<(), Error> {
    while !result.is_empty() {
        for column in result.columns_ref() {
            println!(
                "  column {} {} {} {} {} {:?} {:?} {} {} {}",
                column.schema_str(), column.table_str(), column.org_table_str(), column.name_str(), column.org_name_str(),
                column.column_type(), column.flags(), column.column_length(), column.decimals(), column.character_set()
            );
        }
        for row in result.collect::<mysql_async::Row>().await? {
            let shown: Vec<String> = row
                .unwrap()
                .iter()
                .map(|value| if let Value::Bytes(bytes) = value { show(bytes) } else { format!("{value:?}") })
                .collect();
            println!("  row {}", shown.join(", "));
        }
    }
    println!("  affected {} id {:?} warnings {} info {}", result.affected_rows(), result.last_insert_id(), result.warnings(), result.info());
    result.drop_result().await
}

async fn prepared(conn: &mut Conn, step: &Step) -> Result<(), Error> {
    let statement = conn.prep(step.sql.as_str()).await?;
    for run in &step.runs {
        let run: Vec<Value> = run.iter().map(value).collect();
        let params = if run.is_empty() { mysql_async::Params::Empty } else { run.into() };
        answer(conn.exec_iter(&statement, params).await?).await?;
    }
    conn.close(statement).await
}

pub async fn run(steps: impl Iterator<Item = Step>) {
    let mut conn = connect(false).await;
    for step in steps {
        let outcome = match step.does.as_str() {
            "section" => Ok(()),
            "connect" => {
                conn.disconnect().await.unwrap();
                conn = connect(step.tls).await;
                Ok(())
            }
            "query" | "call" => match conn.query_iter(step.sql.as_str()).await {
                Ok(result) => answer(result).await,
                Err(error) => Err(error),
            },
            "text" => {
                let mut outcome = Ok(());
                for run in &step.runs {
                    outcome = match conn.query_iter(filled(&step.sql, run)).await {
                        Ok(result) => answer(result).await,
                        Err(error) => Err(error),
                    };
                }
                outcome
            }
            "prepared" | "too_long" | "batch" => prepared(&mut conn, &step).await,
            "begin" | "commit" | "rollback" => conn.query_drop(&step.does).await,
            "ping" => match conn.ping().await {
                Ok(()) => conn.reset().await.map(|done| println!("  reset {done}")),
                Err(error) => Err(error),
            },
            other => panic!("unknown step {other}"),
        };
        if let Err(error) = outcome {
            failed(&error);
        }
    }
    conn.disconnect().await.unwrap();
}
