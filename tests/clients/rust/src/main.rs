//! Runs the scenario with mysql_async or sqlx.

mod mysql_async_client;
mod sqlx_client;

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

/// A parameter of scenario.json.
#[derive(Clone)]
pub enum Param {
    Null,
    Int(i64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Param {
    fn read(encoded: &Json) -> Self {
        match encoded {
            Json::Null => Self::Null,
            Json::Bool(yes) => Self::Int(i64::from(*yes)),
            Json::Number(number) => number.as_i64().map_or_else(|| Self::Float(number.as_f64().unwrap()), Self::Int),
            Json::String(text) => Self::Text(text.clone()),
            Json::Object(object) => {
                let (kind, text) = object.iter().find(|(kind, _)| *kind != "times").unwrap();
                let text = text.as_str().unwrap().repeat(object.get("times").map_or(1, |n| n.as_u64().unwrap() as usize));
                match kind.as_str() {
                    "bytes" | "repeat_bytes" => Self::Bytes(hex::decode(text).unwrap()),
                    _ => Self::Text(text),
                }
            }
            Json::Array(_) => panic!("a parameter is no list"),
        }
    }
}

pub struct Step {
    pub does: String,
    pub sql: String,
    pub runs: Vec<Vec<Param>>,
    pub tls: bool,
}

/// Batches become runs of a prepared statement.
fn step(step: &Json) -> Step {
    let text = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
    let does = text("do");
    let params = step["params"].as_array().cloned().unwrap_or_default();
    let runs = if does == "batch" {
        (0..step["count"].as_u64().unwrap())
            .map(|i| {
                let fill = |param: &Json| match Param::read(param) {
                    Param::Text(text) => Param::Text(text.replace("{i}", &i.to_string())),
                    other => other,
                };
                params.iter().map(fill).collect()
            })
            .collect()
    } else {
        params.iter().map(|run| run.as_array().unwrap().iter().map(Param::read).collect()).collect()
    };
    let sql = text("sql");
    println!("{does} {}", if sql.is_empty() { text("name") } else { sql.chars().take(100).collect() });
    Step { does, sql, runs, tls: step["tls"].as_bool().unwrap_or_default() }
}

pub fn env(name: &str) -> String {
    std::env::var(name).unwrap()
}

pub fn show(bytes: &[u8]) -> String {
    if bytes.len() > 400 {
        return format!("{} bytes: sha256 {}", bytes.len(), hex::encode(Sha256::digest(bytes)));
    }
    std::str::from_utf8(bytes).map_or_else(|_| format!("hex {}", hex::encode(bytes)), |text| format!("{text:?}"))
}

/// A statement with literals in place of its parameters, as an application would build one.
pub fn filled(sql: &str, run: &[Param]) -> String {
    let mut parts = sql.split('?');
    let mut out = parts.next().unwrap().to_owned();
    for (part, param) in parts.zip(run) {
        match param {
            Param::Null => out += "NULL",
            Param::Int(number) => out += &number.to_string(),
            Param::Float(number) => out += &number.to_string(),
            Param::Text(text) => {
                out += &format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n"));
            }
            Param::Bytes(bytes) => out += &format!("x'{}'", hex::encode(bytes)),
        }
        out += part;
    }
    out
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let steps: Json = serde_json::from_slice(&std::fs::read(env("CLIENT_SCENARIO")).unwrap()).unwrap();
    let steps = steps.as_array().unwrap().iter().map(step);
    match std::env::args().nth(1).as_deref() {
        Some("mysql_async") => mysql_async_client::run(steps).await,
        Some("sqlx") => sqlx_client::run(steps).await,
        _ => panic!("which driver?"),
    }
    println!("end");
}
