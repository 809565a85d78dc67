//! A client, `mysql_async`, for connections through the proxy and directly to the server.

use mysql_async::prelude::Queryable;
use mysql_async::{Column, Conn, Opts, OptsBuilder, Row, Value};

use super::Account;

/// Options for one TCP connection without TLS; the client never moves to the unix socket by itself.
pub fn opts(host: &str, port: u16, account: Account, schema: Option<&str>) -> OptsBuilder {
    OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(port)
        .user(Some(account.user))
        .pass(Some(account.password))
        .db_name(schema)
        .prefer_socket(false)
        .stmt_cache_size(0)
}

/// One connection; a failure to connect fails the test.
pub async fn connect(opts: OptsBuilder) -> Conn {
    Conn::new(Opts::from(opts)).await.expect("the client connects")
}

/// All that a client learns from one statement; two of them compare equal when the application cannot
/// tell them apart.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Done {
        affected_rows: u64,
        last_insert_id: Option<u64>,
        warnings: u16,
        info: String,
    },
    Rows {
        columns: Vec<Metadata>,
        rows: Vec<Vec<Value>>,
        warnings: u16,
    },
    Error {
        code: u16,
        state: String,
        message: String,
    },
    /// The connection failed.
    Broken(String),
}

/// A column definition as the client sees it.
#[derive(Debug, PartialEq)]
pub struct Metadata {
    pub schema: String,
    pub table: String,
    pub org_table: String,
    pub name: String,
    pub org_name: String,
    pub column_type: String,
    pub character_set: u16,
    pub length: u32,
    pub flags: u16,
    pub decimals: u8,
}

impl From<&Column> for Metadata {
    fn from(column: &Column) -> Self {
        Self {
            schema: column.schema_str().into_owned(),
            table: column.table_str().into_owned(),
            org_table: column.org_table_str().into_owned(),
            name: column.name_str().into_owned(),
            org_name: column.org_name_str().into_owned(),
            column_type: format!("{:?}", column.column_type()),
            character_set: column.character_set(),
            length: column.column_length(),
            flags: column.flags().bits(),
            decimals: column.decimals(),
        }
    }
}

/// `ok`, or the proxy's code for its refusal of a statement; another's error or a broken connection fails the test.
pub async fn code(conn: &mut Conn, statement: &str) -> String {
    match answer(conn, statement).await {
        Answer::Error { message, .. } => {
            let at = message.find("SW-").unwrap_or_else(|| panic!("{statement}: {message}"));
            message[at..at + 7].to_owned()
        }
        Answer::Broken(error) => panic!("{statement}: the connection broke: {error}"),
        _ => "ok".into(),
    }
}

/// Sends one statement by the text protocol and collects everything it answers.
pub async fn answer(conn: &mut Conn, statement: &str) -> Answer {
    let outcome = async {
        let mut result = conn.query_iter(statement).await?;
        let columns = result.columns();
        let rows: Vec<Row> = result.collect().await?;
        drop(result);
        Ok::<_, mysql_async::Error>((columns, rows))
    };
    match outcome.await {
        Ok((Some(columns), rows)) if !columns.is_empty() => Answer::Rows {
            columns: columns.iter().map(Metadata::from).collect(),
            rows: rows.into_iter().map(Row::unwrap).collect(),
            warnings: conn.get_warnings(),
        },
        Ok(_) => Answer::Done {
            affected_rows: conn.affected_rows(),
            last_insert_id: conn.last_insert_id(),
            warnings: conn.get_warnings(),
            info: conn.info().into_owned(),
        },
        Err(mysql_async::Error::Server(error)) => {
            Answer::Error { code: error.code, state: error.state, message: error.message }
        }
        Err(other) => Answer::Broken(other.to_string()),
    }
}

/// The rows of a statement as text, `NULL` as `None`; an error fails the test.
pub async fn text_rows(conn: &mut Conn, statement: &str) -> Vec<Vec<Option<String>>> {
    let rows: Vec<Row> = conn.query(statement).await.expect("the statement succeeds");
    rows.into_iter()
        .map(|row| {
            row.unwrap()
                .into_iter()
                .map(|value| match value {
                    Value::NULL => None,
                    Value::Bytes(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
                    other => Some(other.as_sql(true)),
                })
                .collect()
        })
        .collect()
}
