//! What the proxy keeps in memory is bounded by what it works on, not by what passes through it.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::on_every_server;
use crate::support::{Backend, Proxy, Raw, Schema, caps};

/// KiB that a result of any size may add: buffers of both legs, and a batch of rows being opened.
const FOR_A_RESULT: u64 = 48 * 1024;

async fn tables(backend: &Backend) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    let mut conn = schema.direct().await;
    conn.query_drop("CREATE TABLE sealed (id int PRIMARY KEY, v longtext)").await.unwrap();
    conn.query_drop("CREATE TABLE plain (id int PRIMARY KEY, v longtext)").await.unwrap();
    let proxy = Proxy::builder(&schema).column("sealed", "v", "{}").start();
    let mut app = proxy.connect().await;
    for table in ["sealed", "plain"] {
        for id in 0..8 {
            app.exec_drop(format!("INSERT INTO {table} VALUES (?, ?)"), (id, "v".repeat(64 * 1024))).await.unwrap();
        }
    }
    (schema, proxy)
}

/// 2,048 rows of 64 KiB.
fn large(table: &str) -> String {
    format!(
        "SELECT a.v FROM {table} a, {table} b, {table} c, (SELECT 1 AS n UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL \
         SELECT 4) d"
    )
}

on_every_server! {
    async fn a_large_result_for_a_client_that_reads_slowly_waits_on_the_server(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        for table in ["plain", "sealed"] {
            let mut raw = Raw::through(&proxy, &schema, caps::USUAL | caps::DEPRECATE_EOF).await;
            let before = proxy.resident_kib();
            raw.send_query(large(table)).await;
            let (mut total, mut most, mut buffer) = (0usize, 0, vec![0; 1 << 20]);
            // A client that reads nothing, then little, then all.
            for wait in [500, 200, 200] {
                sleep(Duration::from_millis(wait)).await;
                most = most.max(proxy.resident_kib());
                total += raw.stream.read(&mut buffer).await.unwrap();
            }
            assert!(total < 16 << 20, "the client did not read slowly");
            while total < 2048 * 64 * 1024 {
                let read = timeout(Duration::from_secs(60), raw.stream.read(&mut buffer)).await.unwrap().unwrap();
                assert!(read > 0, "ended after {total} bytes");
                total += read;
                most = most.max(proxy.resident_kib());
            }
            let grown = most.saturating_sub(before);
            println!("{table}: a result of 128 MiB added {grown} KiB at most");
            assert!(grown < FOR_A_RESULT, "{table}: {grown} KiB");
        }
    }

    async fn a_large_parameter_is_held_a_few_times_and_given_back(backend: Backend) {
        let (_schema, proxy) = tables(&backend).await;
        const MIB: u64 = 32;
        let value = "p".repeat(MIB as usize * 1024 * 1024);
        for (table, times) in [("plain", 3), ("sealed", 10)] {
            let mut app = proxy.connect().await;
            let before = proxy.resident_kib();
            let mut most = before;
            {
                let running = app.exec_drop(format!("INSERT INTO {table} VALUES (100, ?)"), (&value,));
                tokio::pin!(running);
                loop {
                    tokio::select! {
                        result = &mut running => break result.unwrap(),
                        () = sleep(Duration::from_millis(5)) => most = most.max(proxy.resident_kib()),
                    }
                }
            }
            let length: u64 = app.query_first(format!("SELECT LENGTH(v) FROM plain WHERE id = 100 AND '{table}' = 'plain'"))
                .await.unwrap().unwrap_or(value.len() as u64);
            assert_eq!(length, value.len() as u64);
            if table == "sealed" {
                let read: String = app.query_first("SELECT v FROM sealed WHERE id = 100").await.unwrap().unwrap();
                assert!(read == value);
            }
            app.disconnect().await.unwrap();
            sleep(Duration::from_millis(200)).await;
            let (grown, left) = (most.saturating_sub(before), proxy.resident_kib().saturating_sub(before));
            println!("{table}: a parameter of {MIB} MiB added {grown} KiB at most, and left {left} KiB");
            assert!(grown < times * MIB * 1024, "{table}: {grown} KiB");
            assert!(left < 2 * MIB * 1024, "{table}: {left} KiB are not given back");
        }
    }

    async fn a_command_beyond_max_allowed_packet_is_not_held(backend: Backend) {
        // The tests' servers take 64 MiB; this would be 400.
        const LIMIT: u64 = 64 * 1024;
        let (schema, proxy) = tables(&backend).await;
        for head in [&b"\x03INSERT INTO plain VALUES (1, '"[..], b"\x03INSERT INTO sealed VALUES (1, '", b"\x16SELECT '"] {
            let mut raw = Raw::through(&proxy, &schema, caps::USUAL).await;
            let before = proxy.resident_kib();
            let mut payload = head.to_vec();
            for sequence in 0..25u8 {
                payload.resize(0xFF_FFFF, b'x');
                let sent = raw.stream.write_all(&[&[0xFF, 0xFF, 0xFF, sequence], payload.as_slice()].concat()).await;
                payload.clear();
                if sent.is_err() {
                    break;
                }
            }
            // Numbered on from the packets that were read.
            let mut packet = Vec::new();
            let _ = timeout(Duration::from_secs(60), raw.stream.read_to_end(&mut packet)).await.expect("closed");
            assert_eq!(packet[4..7], [0xFF, 0x81, 0x04], "1153: {}", String::from_utf8_lossy(&packet));
            let grown = proxy.peak_kib().saturating_sub(before);
            println!("a command of 400 MiB added {grown} KiB at most");
            assert!(grown < 3 * LIMIT, "{grown} KiB");
        }
        let mut raw = Raw::through(&proxy, &schema, caps::USUAL).await;
        assert_eq!(raw.one("SELECT 1").await.text(), [[Some("1".to_owned())]]);
    }

    async fn idle_connections_cost_little(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        const SESSIONS: u64 = 100;
        let before = proxy.resident_kib();
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            let mut raw = Raw::through(&proxy, &schema, caps::USUAL).await;
            // Work makes buffers large; rest gives them back.
            raw.one("SELECT REPEAT('x', 100000)").await;
            raw.one("SELECT v FROM sealed WHERE id = 1").await;
            sessions.push(raw);
        }
        sleep(Duration::from_millis(300)).await;
        let each = proxy.resident_kib().saturating_sub(before) / SESSIONS;
        println!("{SESSIONS} idle connections: {each} KiB each");
        assert!(each < 96, "{each} KiB");
        drop(sessions);
    }
}
