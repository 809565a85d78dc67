//! How sessions end: the server's own last words, a client that leaves, a proxy that is asked to stop.

use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tokio::io::AsyncWriteExt;

use crate::on_every_server;
use crate::support::raw::Reply;
use crate::support::{Backend, Proxy, Raw, Schema, caps};

const FLAGS: u32 = caps::USUAL | caps::MULTI_STATEMENTS | caps::DEPRECATE_EOF;

/// `sealed.email` is protected, `plain.email` is not; both hold the same 500 rows.
async fn tables(backend: &Backend) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    let mut conn = schema.direct().await;
    for table in ["sealed", "plain"] {
        conn.query_drop(format!("CREATE TABLE {table} (id int PRIMARY KEY, email varchar(191))")).await.unwrap();
    }
    let proxy = Proxy::builder(&schema).column("sealed", "email", "{}").extra("shutdown_grace: 3s").start();
    let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
    for table in ["sealed", "plain"] {
        let rows: Vec<String> = (1..=500).map(|id| format!("({id}, 'address {id}')")).collect();
        raw.one(format!("INSERT INTO {table} VALUES {}", rows.join(","))).await.ok();
    }
    (schema, proxy)
}

/// Every packet that comes before the peer closes; each must start a sequence or go on with it.
async fn last_words(raw: &mut Raw) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    while let Ok(packet) = raw.try_read().await {
        packets.push(packet);
    }
    packets
}

/// Whether the server still has the connection.
async fn is_there(root: &mut Conn, id: u32) -> bool {
    in_processlist(root, &format!("id = {id}")).await
}

async fn in_processlist(root: &mut Conn, condition: &str) -> bool {
    loop {
        let text = format!("SELECT 1 FROM information_schema.processlist WHERE {condition}");
        match root.query_first::<u32, _>(text).await {
            Ok(found) => return found.is_some(),
            // MySQL cannot show the list while any session runs a text that is invalid in its character set.
            Err(mysql_async::Error::Server(error)) if error.code == 3854 => {}
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn gone_within(root: &mut Conn, id: u32, wait: Duration) -> bool {
    let deadline = Instant::now() + wait;
    while Instant::now() < deadline {
        if !is_there(root, id).await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// Waits until the connection is in SLEEP().
async fn busy(root: &mut Conn, id: u32) {
    for _ in 0..200 {
        if in_processlist(root, &format!("id = {id} AND state = 'User sleep'")).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("connection {id} never sleeps");
}

/// The timer of a TCP socket on which nothing is under way, where keepalive is on.
const KEEPALIVE: u8 = 2;

/// The timers of the process's established TCP connections with this port on its own side, or on the far one.
fn tcp_timers(own: bool, port: u16, pid: u32) -> Vec<u8> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|entry| Some(std::fs::read_link(entry.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap();
    let timers = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let address = if own { fields[1] } else { fields[2] };
        let established = fields[3] == "01" && address.ends_with(&format!(":{port:04X}"));
        let of_process = sockets.contains(&format!("socket:[{}]", fields[9]));
        (established && of_process).then(|| fields[5][..2].parse().unwrap())
    });
    timers.collect()
}

on_every_server! {
    async fn the_servers_last_words_to_an_idle_client_arrive(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut root = schema.direct().await;
        let mut heard = Vec::new();
        for through in [true, false] {
            for ending in ["KILL", "wait_timeout"] {
                let mut raw = match through {
                    true => Raw::through(&proxy, &schema, FLAGS).await,
                    false => Raw::directly(&schema, FLAGS).await,
                };
                match ending {
                    "KILL" => root.query_drop(format!("KILL {}", raw.connection_id)).await.unwrap(),
                    _ => drop(raw.one("SET SESSION wait_timeout = 1").await.ok()),
                }
                raw.sequence = 0;
                heard.push((ending, last_words(&mut raw).await));
            }
        }
        assert_eq!(heard[..2], heard[2..], "through the proxy and directly");
        // MySQL says why; what MariaDB says depends on its version.
        if !backend.is_mariadb() {
            assert!(heard[1].1[0].starts_with(&[0xFF, 0xBF, 0x0F]), "4031: {heard:?}");
        }
    }

    async fn kill_ends_a_statement_as_it_does_directly(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut root = schema.direct().await;
        for how in ["KILL QUERY", "KILL"] {
            let mut heard = Vec::new();
            for (through, table) in [(true, "sealed"), (true, "plain"), (false, "plain")] {
                let mut raw = match through {
                    true => Raw::through(&proxy, &schema, FLAGS).await,
                    false => Raw::directly(&schema, FLAGS).await,
                };
                // The proxy's own statements, before the first protected one, are not what is to be killed.
                raw.one(format!("SELECT email FROM {table} WHERE id = 1")).await.rows();
                raw.send_query(format!("SELECT id, email, SLEEP(20) FROM {table} WHERE id < 3")).await;
                busy(&mut root, raw.connection_id).await;
                root.query_drop(format!("{how} {}", raw.connection_id)).await.unwrap();
                let asked = Instant::now();
                let mut packets = Vec::new();
                // Behind the last packet of the answer: the end of the connection, or the next answer.
                if how == "KILL" {
                    packets = last_words(&mut raw).await;
                } else {
                    let reply = raw.result().await;
                    packets.push(format!("{:?}", matches!(reply, Reply::Err { code: 1317 | 1969, .. })).into_bytes());
                    assert_eq!(raw.one("SELECT 1").await.text(), [[Some("1".to_owned())]]);
                }
                assert!(asked.elapsed() < Duration::from_secs(10), "{how}");
                let ends: Vec<Vec<u8>> = packets.into_iter().filter(|packet| matches!(packet[0], 0xFF | b't' | b'f')).collect();
                heard.push(ends);
            }
            assert_eq!(heard[0], heard[2], "{how}, sealed");
            assert_eq!(heard[1], heard[2], "{how}, plain");
        }
    }

    async fn a_client_that_leaves_in_the_middle_leaves_nothing_behind(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut root = schema.direct().await;
        for statement in [
            "SELECT a.email, b.email, c.email FROM sealed a, sealed b, sealed c",
            "SELECT a.email, b.email, c.email FROM plain a, plain b, plain c",
        ] {
            let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
            raw.send_query(statement).await;
            raw.read().await;
            let id = raw.connection_id;
            assert!(is_there(&mut root, id).await);
            drop(raw);
            assert!(gone_within(&mut root, id, Duration::from_secs(20)).await, "{statement}");
        }
        // Between the packets of a command, and in the middle of one.
        for half in [&[3, 0, 0, 0, 3][..], &[0xFF, 0xFF, 0xFF, 0, 3, b'S'], &[1], &[9, 0, 0, 0, 0x18, 1, 0, 0]] {
            let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
            raw.stream.write_all(half).await.unwrap();
            let id = raw.connection_id;
            assert!(is_there(&mut root, id).await);
            drop(raw);
            assert!(gone_within(&mut root, id, Duration::from_secs(20)).await, "{half:?}");
        }
        assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
    }

    async fn both_legs_are_kept_alive_and_a_statement_may_take_longer_than_a_connect(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).backend_setting("connect_timeout: 1s").start();
        let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
        raw.send_query("SELECT SLEEP(3), 'done'").await;
        for (leg, own_port, port) in [("client's", true, proxy.port), ("server's", false, backend.port)] {
            let mut timers = Vec::new();
            for _ in 0..80 {
                timers = tcp_timers(own_port, port, proxy.pid());
                // Until what was sent is acknowledged, the timer is another.
                if !timers.is_empty() && timers.iter().all(|timer| *timer == KEEPALIVE) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            assert!(!timers.is_empty() && timers.iter().all(|timer| *timer == KEEPALIVE), "the {leg}: {timers:?}");
        }
        assert_eq!(raw.result().await.text()[0][1].as_deref(), Some("done"));
    }

    async fn a_client_that_has_said_all_still_gets_its_answer(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        for (through, table) in [(false, "plain"), (true, "plain"), (true, "sealed")] {
            let mut raw = match through {
                true => Raw::through(&proxy, &schema, FLAGS).await,
                false => Raw::directly(&schema, FLAGS).await,
            };
            raw.send_query(format!("SELECT email, SUM(1) OVER () FROM {table} WHERE id = 7 AND SLEEP(0.3) = 0")).await;
            raw.stream.shutdown().await.unwrap();
            assert_eq!(raw.result().await.text(), [[Some("address 7".to_owned()), Some("1".to_owned())]]);
            // MySQL reports the missing command before it closes.
            raw.sequence = 0;
            assert!(last_words(&mut raw).await.len() <= 1, "closed behind the answer");
        }
    }

    async fn a_client_that_leaves_a_wait_ends_it_where_the_server_notices(backend: Backend) {
        // MySQL looks after the client during SLEEP and GET_LOCK, but takes the `close_notify` of TLS for a sign
        // of life; MariaDB does not look.
        if backend.is_mariadb() {
            return;
        }
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).backend_tls("{ mode: disabled }").start();
        let mut root = schema.direct().await;
        let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
        raw.send_query("SELECT SLEEP(50)").await;
        busy(&mut root, raw.connection_id).await;
        let id = raw.connection_id;
        drop(raw);
        assert!(gone_within(&mut root, id, Duration::from_secs(20)).await);
    }

    async fn a_proxy_that_stops_lets_transactions_end(backend: Backend) {
        let (schema, mut proxy) = tables(&backend).await;
        let mut idle = Raw::through(&proxy, &schema, FLAGS).await;
        let mut committing = Raw::through(&proxy, &schema, FLAGS).await;
        committing.one("BEGIN").await.ok();
        committing.one("INSERT INTO sealed VALUES (1001, 'first')").await.ok();
        let mut waiting = Raw::through(&proxy, &schema, FLAGS).await;
        waiting.one("BEGIN").await.ok();
        waiting.one("INSERT INTO sealed VALUES (1003, 'never')").await.ok();
        let mut running = Raw::through(&proxy, &schema, FLAGS).await;
        running.send_query("SELECT email, SLEEP(1) FROM sealed WHERE id = 9").await;
        let started = Instant::now();
        let stopped = std::thread::spawn({
            let port = proxy.port;
            move || (proxy.stop(), port)
        });
        let farewell = "1053 (08S01) Server shutdown in progress";
        idle.sequence = 0;
        assert_eq!(idle.result().await.error(), farewell);
        assert!(idle.try_read().await.is_err(), "closed");
        assert_eq!(running.result().await.text()[0][0].as_deref(), Some("address 9"));
        running.sequence = 0;
        assert_eq!(running.result().await.error(), farewell);
        committing.one("INSERT INTO sealed VALUES (1002, 'second')").await.ok();
        committing.one("COMMIT").await.ok();
        committing.sequence = 0;
        assert_eq!(committing.result().await.error(), farewell);
        waiting.sequence = 0;
        assert_eq!(waiting.result().await.error(), farewell);
        assert!(started.elapsed() >= Duration::from_secs(3), "the transaction had its time");
        let (status, port) = stopped.join().unwrap();
        assert!(status.success(), "{status}");
        assert!(started.elapsed() < Duration::from_secs(10));
        assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
        let mut direct = schema.direct().await;
        let ids: Vec<u32> = direct.query("SELECT id FROM sealed WHERE id > 1000 ORDER BY id").await.unwrap();
        assert_eq!(ids, [1001, 1002]);
    }
}
