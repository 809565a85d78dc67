//! Session tracking: the proxy always asks the server for it, and a client that did not ask sees the very
//! bytes that the server would have sent it.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::raw::lenenc;
use crate::support::{Backend, Proxy, Raw, Schema, Server, caps};

/// Each changes something that servers track, or stands between statements that do. The schema's name is
/// put for `{s}`.
const STATEMENTS: &[&str] = &[
    "SELECT 1",
    "USE {s}",
    "USE information_schema",
    "SET NAMES latin1",
    "SET NAMES utf8mb4",
    "SET autocommit = 0",
    "SET autocommit = 1",
    "SET time_zone = '+01:00'",
    "BEGIN",
    "SELECT 1 FROM {s}.plain",
    "COMMIT",
    "USE {s}",
    "INSERT INTO plain VALUES (1), (2), (3)",
    "INSERT INTO plain (id) SELECT id + 10 FROM plain",
    "UPDATE plain SET id = id + 100 WHERE id = 13",
    "USE information_schema; USE {s}; SELECT 1; SET NAMES utf8mb4; SELECT 2; SET time_zone = '+00:00'",
    "CALL switching()",
    "SET @x = 1; CALL switching(); SET NAMES latin1; SELECT nothing; SET NAMES utf8mb4",
    "SET NAMES utf8mb4",
    "SET session_track_transaction_info = 'CHARACTERISTICS'",
    "START TRANSACTION READ ONLY",
    "SELECT COUNT(*) FROM plain",
    "ROLLBACK",
    "SET session_track_transaction_info = 'OFF'",
    "SET session_track_state_change = 1",
    "SET @y = 2",
    "DO 1",
    "SET session_track_state_change = 0",
    "DELETE FROM plain",
];

/// Executed by the binary protocol, each prepared for itself.
const PREPARED: &[&str] = &[
    "SET NAMES latin1",
    "SET NAMES utf8mb4",
    "SET time_zone = '+02:00'",
    "SET autocommit = 0",
    "SELECT * FROM plain",
    "INSERT INTO plain VALUES (7)",
    "COMMIT",
    "SET autocommit = 1",
    "CALL switching()",
    "DELETE FROM plain",
];

async fn prepare_schema(backend: &Backend) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    let mut direct = schema.direct().await;
    direct.query_drop("CREATE TABLE plain (id int PRIMARY KEY)").await.unwrap();
    direct.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191))").await.unwrap();
    direct
        .query_drop(
            "CREATE PROCEDURE switching() BEGIN SELECT 1; SET time_zone = '+03:00'; SELECT 2; \
             SET character_set_results = latin1; SELECT 3; SET character_set_results = utf8mb4; END",
        )
        .await
        .unwrap();
    let proxy = Proxy::builder(&schema).column("users", "email", "{}").start();
    (schema, proxy)
}

/// Every packet that the connection reads while it runs all of the above, by what was sent.
async fn packets(schema: &Schema, raw: &mut Raw) -> Vec<(String, Vec<(u8, Vec<u8>)>)> {
    let mut all = Vec::new();
    for text in STATEMENTS {
        let text = text.replace("{s}", &schema.name);
        raw.trace.clear();
        raw.query(&text).await;
        all.push((text, std::mem::take(&mut raw.trace)));
    }
    for text in PREPARED {
        let statement = raw.prepare(text).await.unwrap_or_else(|error| panic!("{text}: {error:?}"));
        raw.trace.clear();
        raw.execute(statement.id, &[]).await;
        all.push((format!("prepared {text}"), std::mem::take(&mut raw.trace)));
    }
    let init_db = [&[0x02], schema.name.as_bytes()].concat();
    let commands: [&[u8]; 5] = [b"\x02information_schema", &init_db, &[0x0E], &[0x1B, 1, 0], &[0x1F]];
    for command in commands {
        raw.trace.clear();
        raw.short(command).await;
        all.push((format!("command {:#04x}", command[0]), std::mem::take(&mut raw.trace)));
    }
    all
}

/// MariaDB lists variables that changed together in no fixed order.
fn in_order(packet: Vec<u8>) -> Vec<u8> {
    let mut rest = &packet[1..];
    if !matches!(packet[0], 0x00 | 0xFE) || packet.len() < 8 {
        return packet;
    }
    let _counts = (lenenc(&mut rest), lenenc(&mut rest));
    if rest.len() < 5 || rest[1] & 0x40 == 0 {
        return packet;
    }
    rest = &rest[4..];
    let info = lenenc(&mut rest) as usize;
    rest = &rest[info..];
    let start = packet.len() - rest.len();
    let length = lenenc(&mut rest) as usize;
    assert_eq!(length, rest.len(), "{packet:02x?}");
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let mut tail = &rest[1..];
        let length = lenenc(&mut tail) as usize;
        let end = rest.len() - tail.len() + length;
        entries.push(rest[..end].to_vec());
        rest = &rest[end..];
    }
    entries.sort();
    [&packet[..start], &entries.concat()].concat()
}

async fn compare(schema: &Schema, through: &mut Raw, directly: &mut Raw) {
    let expected = packets(schema, directly).await;
    let got = packets(schema, through).await;
    for (got, expected) in got.into_iter().zip(expected) {
        let sorted = |packets: Vec<(u8, Vec<u8>)>| {
            let sort = |(sequence, packet)| {
                (sequence, if directly.has(caps::SESSION_TRACK) { in_order(packet) } else { packet })
            };
            packets.into_iter().map(sort).collect::<Vec<_>>()
        };
        assert_eq!(sorted(got.1), sorted(expected.1), "{}", got.0);
    }
}

on_every_server! {
    async fn every_packet_is_the_servers_whether_the_client_asked_for_tracking_or_not(backend: Backend) {
        let (schema, proxy) = prepare_schema(&backend).await;
        for asked in [0, caps::SESSION_TRACK] {
            for eof in [0, caps::DEPRECATE_EOF] {
                let flags = caps::USUAL | caps::MULTI_STATEMENTS | asked | eof;
                let mut through = Raw::through(&proxy, &schema, flags).await;
                let mut directly = Raw::directly(&schema, flags).await;
                assert_eq!(through.has(caps::SESSION_TRACK), asked != 0);
                compare(&schema, &mut through, &mut directly).await;
            }
        }
    }

    async fn a_client_that_did_not_ask_learns_nothing_after_protected_statements_either(backend: Backend) {
        let (schema, proxy) = prepare_schema(&backend).await;
        for eof in [0, caps::DEPRECATE_EOF] {
            let flags = caps::USUAL | caps::MULTI_STATEMENTS | eof;
            let mut through = Raw::through(&proxy, &schema, flags).await;
            let mut directly = Raw::directly(&schema, flags).await;
            through.one("INSERT INTO users VALUES (1, 'tracked')").await.ok();
            assert_eq!(through.one("SELECT email FROM users").await.text(), [[Some("tracked".to_owned())]]);
            compare(&schema, &mut through, &mut directly).await;
            // The server reports sql_mode now; the client does not see it.
            for text in ["SET sql_mode = ''", "SET sql_mode = 'ANSI_QUOTES'; SELECT 1", "SET sql_mode = DEFAULT"] {
                let mut traces = Vec::new();
                for raw in [&mut through, &mut directly] {
                    raw.trace.clear();
                    raw.query(text).await;
                    traces.push(std::mem::take(&mut raw.trace));
                }
                assert_eq!(traces[0], traces[1], "{text}");
            }
            through.one("DELETE FROM users").await.ok();
        }
    }

    async fn the_servers_redirect_url_leads_nobody_around_the_proxy(backend: Backend) {
        if backend.server != Server::MariaDb118 {
            return;
        }
        let (schema, proxy) = prepare_schema(&backend).await;
        for eof in [0, caps::DEPRECATE_EOF] {
            let flags = caps::USUAL | caps::SESSION_TRACK | eof;
            let url = "mariadb://elsewhere.example:3306";
            for (around, mut raw) in [
                (true, Raw::directly(&schema, flags).await),
                (false, Raw::through(&proxy, &schema, flags).await),
            ] {
                raw.trace.clear();
                // Beside a variable that the client is to be told of.
                raw.one(format!("SET redirect_url = '{url}', time_zone = '+05:00'")).await.ok();
                let packet = raw.trace.pop().expect("an OK").1;
                let text = String::from_utf8_lossy(&packet).into_owned();
                assert_eq!(text.contains(url), around, "{text}");
                assert!(text.contains("time_zone"), "{text}");
                let mut rest = &packet[7..];
                assert_eq!(lenenc(&mut rest), 0, "no info");
                assert_eq!(lenenc(&mut rest) as usize, rest.len(), "the state's length is that of its entries");
                // Alone, it leaves nothing to tell.
                raw.one("SET redirect_url = 'mariadb://other.example:3306'").await.ok();
                let packet = raw.trace.pop().expect("an OK").1;
                assert_eq!(packet.len() > 7, around, "{packet:02x?}");
                assert_eq!(packet[4] & 0x40 != 0, around, "SESSION_STATE_CHANGED in {packet:02x?}");
            }
        }
    }
}
