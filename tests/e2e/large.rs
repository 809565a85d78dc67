//! Payloads of 16 MB and more, in both directions, sealed and not, and sequence ids that wrap. The servers keep
//! none of it in their logs, where it would take many times its size on disk.

use mysql_async::prelude::Queryable;
use tokio::io::AsyncWriteExt;

use crate::on_every_server;
use crate::support::raw::{Reply, lenenc_string};
use crate::support::{Account, Backend, PrivateServer, Proxy, Raw, Schema, caps};

const MAX_PAYLOAD: usize = 0xFF_FFFF;
const FLAGS: u32 = caps::USUAL | caps::DEPRECATE_EOF;

/// `sealed.v` is protected, `plain.v` is not. MyISAM: InnoDB wants a redo log ten times as large.
async fn tables(backend: &Backend) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    let mut conn = schema.direct().await;
    for table in ["sealed", "plain"] {
        conn.query_drop(format!("CREATE TABLE {table} (id int PRIMARY KEY, v longtext) ENGINE = MyISAM"))
            .await
            .unwrap();
    }
    let proxy = Proxy::builder(&schema).column("sealed", "v", "{}").start();
    (schema, proxy)
}

/// A session through the proxy whose statements go into neither the general log nor the binary log; an account
/// without privileges may not choose that.
async fn unlogged(proxy: &Proxy, schema: &Schema) -> Raw {
    let mut raw = Raw::login(("127.0.0.1", proxy.port), Account::ROOT, Some(&schema.name), FLAGS, 0).await;
    raw.one("SET SESSION sql_log_bin = 0").await.ok();
    raw.one("SET SESSION sql_log_off = 1").await.ok();
    raw
}

/// Text of `length` characters that differs from place to place.
fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + ((at ^ at >> 7 ^ at >> 15) % 26) as u8).collect()
}

/// A text row of these strings.
fn row(values: &[&[u8]]) -> Vec<u8> {
    values.iter().flat_map(|value| lenenc_string(value)).collect()
}

fn check(rows: &[Vec<u8>], expected: &[Vec<u8>], what: &str) {
    assert_eq!(rows.len(), expected.len(), "{what}");
    for (got, expected) in rows.iter().zip(expected) {
        assert_eq!(got.len(), expected.len(), "{what}");
        assert!(got == expected, "{what}: the bytes differ");
    }
}

on_every_server! {
    async fn statements_around_a_packets_limit_arrive_whole(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut raw = unlogged(&proxy, &schema).await;
        let mut id = 0;
        // The payload of COM_QUERY is one byte below, at, and above what one packet holds. Sealed, it is larger.
        let plain = [MAX_PAYLOAD - 1, MAX_PAYLOAD, MAX_PAYLOAD + 1].as_slice();
        for (table, payloads) in [("plain", plain), ("sealed", &[MAX_PAYLOAD])] {
            for &payload in payloads {
                id += 1;
                let head = format!("\u{3}INSERT INTO {table} VALUES ({id}, '");
                let value = text(payload - head.len() - 2);
                let command = [head.as_bytes(), &value, b"')"].concat();
                assert_eq!(command.len(), payload);
                raw.send(&command).await;
                let what = format!("{table}, {payload}");
                assert_eq!(raw.result().await.ok().affected_rows, 1, "{what}");
                let reply = raw.one(format!("SELECT v FROM {table} WHERE id = {id}")).await;
                check(reply.rows(), &[row(&[&value])], &what);
                raw.one(format!("DELETE FROM {table}")).await.ok();
            }
        }
        let mut direct = schema.direct().await;
        let rows: Option<u32> = direct.query_first("SELECT COUNT(*) FROM sealed").await.unwrap();
        assert_eq!(rows, Some(0));
    }

    async fn rows_around_a_packets_limit_return_whole(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut raw = unlogged(&proxy, &schema).await;
        // Of a row of one string: its length takes 4 bytes up to 16 MB, 9 beyond.
        for (length, payload) in [(MAX_PAYLOAD - 4, MAX_PAYLOAD), (MAX_PAYLOAD - 3, MAX_PAYLOAD + 1)] {
            let value = text(length);
            let expected = row(&[&value]);
            assert_eq!(expected.len(), payload);
            for table in ["plain", "sealed"] {
                let p = raw.prepare(format!("INSERT INTO {table} VALUES (1, ?)")).await.unwrap();
                assert!(matches!(raw.execute(p.id, &[Some(&value)]).await[0], Reply::Ok(_)));
                raw.one(format!("INSERT INTO {table} VALUES (2, 'short')")).await.ok();
                // Several rows: behind a large one the sequence ids must still be right.
                let all = raw.one(format!("SELECT v FROM {table} ORDER BY id")).await;
                let what = format!("{table}, {payload}");
                check(all.rows(), &[expected.clone(), row(&[b"short"])], &what);
                let p = raw.prepare(format!("SELECT v FROM {table} ORDER BY id DESC")).await.unwrap();
                let all = raw.execute(p.id, &[]).await;
                let binary = |row: Vec<u8>| [&[0, 0], row.as_slice()].concat();
                check(all[0].rows(), &[binary(row(&[b"short"])), binary(expected.clone())], &what);
                raw.one(format!("DELETE FROM {table}")).await.ok();
            }
        }
        let mut directly = Raw::directly(&schema, FLAGS).await;
        for length in [MAX_PAYLOAD - 4, MAX_PAYLOAD] {
            let query = format!("SELECT REPEAT('x', {length}) UNION ALL SELECT 'y'");
            let (a, b) = (raw.one(&query).await, directly.one(&query).await);
            assert_eq!(a.columns(), b.columns());
            check(a.rows(), b.rows(), &query);
        }
    }

    async fn an_error_of_the_proxys_is_numbered_on_from_the_packets_of_its_command(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut raw = unlogged(&proxy, &schema).await;
        raw.one("SELECT v FROM sealed").await.rows();
        // The client checks each id: 1 behind one packet, 2 behind two, the second of which may be empty.
        for length in [100, MAX_PAYLOAD, MAX_PAYLOAD + 5] {
            let head = "\u{3}SELECT UPPER(v) FROM sealed -- ";
            raw.send(&[head.as_bytes(), &vec![b'x'; length - head.len()]].concat()).await;
            let error = raw.result().await.error();
            assert!(error.contains("sealwire SW-"), "{length}: {error}");
            assert_eq!(raw.sequence, if length < MAX_PAYLOAD { 2 } else { 3 }, "{length}");
            // A command that is not relayed, of as many packets.
            let mut unknown = vec![b'x'; length];
            unknown[0] = 0x2A;
            raw.send(&unknown).await;
            assert!(raw.result().await.error().contains("SW-2007"));
            assert_eq!(raw.one("SELECT 1").await.text(), [[Some("1".to_owned())]]);
        }
    }

    async fn sequence_ids_wrap(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut raw = unlogged(&proxy, &schema).await;
        let rows: Vec<String> = (1..=600).map(|id| format!("({id}, 'value {id}')")).collect();
        for table in ["plain", "sealed"] {
            assert_eq!(raw.one(format!("INSERT INTO {table} VALUES {}", rows.join(","))).await.ok().affected_rows, 600);
            // The client checks every id; 300 columns and 600 rows wrap it several times.
            let columns = vec!["v"; 300].join(", ");
            let reply = raw.one(format!("SELECT id, {columns} FROM {table} ORDER BY id")).await;
            let last = reply.text().pop().unwrap();
            assert_eq!((reply.rows().len(), last.len()), (600, 301));
            assert!(last[1..].iter().all(|value| value.as_deref() == Some("value 600")));
            let p = raw.prepare(format!("SELECT {columns} FROM {table} WHERE id <= ?")).await.unwrap();
            assert_eq!(raw.execute(p.id, &[Some(b"300")]).await[0].rows().len(), 300);
        }
        assert_eq!(raw.one("SELECT 1").await.text(), [[Some("1".to_owned())]]);
    }

    async fn long_data_for_a_sealed_parameter_may_come_in_any_pieces(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut raw = unlogged(&proxy, &schema).await;
        let value = text(MAX_PAYLOAD + 100_000);
        for table in ["plain", "sealed"] {
            let p = raw.prepare(format!("INSERT INTO {table} VALUES (?, ?)")).await.unwrap();
            let head = |index: u16| [&[0x18][..], &p.id.to_le_bytes(), &index.to_le_bytes()].concat();
            // Pieces of nothing, of one byte, and of more than one packet.
            for piece in [&value[..0], &value[..1], &value[1..MAX_PAYLOAD + 50], &value[MAX_PAYLOAD + 50..]] {
                raw.send(&[&head(1), piece].concat()).await;
            }
            // The NULL bit of a parameter with long data does not count.
            let mut execute = raw.execute_payload(p.id, 0, &[Some(b"1"), None]);
            raw.send(&execute).await;
            assert_eq!(raw.result().await.ok().affected_rows, 1);
            check(raw.one(format!("SELECT v FROM {table}")).await.rows(), &[row(&[&value])], table);
            // It is forgotten by the next execution, and by COM_STMT_RESET.
            execute = raw.execute_payload(p.id, 0, &[Some(b"2"), Some(b"inline")]);
            raw.send(&execute).await;
            raw.result().await.ok();
            raw.send(&[&head(1)[..], b"reset away"].concat()).await;
            raw.short(&[&[0x1A][..], &p.id.to_le_bytes()].concat()).await.ok();
            execute = raw.execute_payload(p.id, 0, &[Some(b"3"), None]);
            raw.send(&execute).await;
            raw.result().await.ok();
            // Long data that is only an empty piece is an empty string.
            raw.send(&head(1)).await;
            execute = raw.execute_payload(p.id, 0, &[Some(b"4"), None]);
            raw.send(&execute).await;
            raw.result().await.ok();
            let some = |text: &str| Some(text.to_owned());
            assert_eq!(
                raw.one(format!("SELECT id, v FROM {table} WHERE id > 1 ORDER BY id")).await.text(),
                [[some("2"), some("inline")], [some("3"), None], [some("4"), some("")]],
                "{table}"
            );
        }
    }

    async fn what_exceeds_max_allowed_packet_ends_in_an_error_and_not_in_silence(backend: Backend) {
        let private = PrivateServer::start_with(backend.server, "--max-allowed-packet=24M");
        let (schema, proxy) = tables(&private.backend).await;
        // Both come in several packets. The last is sealed beyond the limit.
        for (table, length) in [("plain", 25_500_000), ("sealed", 18_900_000)] {
            let mut raw = unlogged(&proxy, &schema).await;
            raw.one(format!("SELECT v FROM {table}")).await.rows();
            let mut command = format!("\u{3}INSERT INTO {table} VALUES (1, '").into_bytes();
            command.extend(text(length));
            command.extend_from_slice(b"')");
            raw.sequence = 0;
            let framed = raw.frame(&command);
            // The connection may be closed before all is written, as it may be directly.
            let _ = raw.stream.write_all(&framed).await;
            // Packets are counted where the error was made.
            let mut header = [0; 4];
            let answer = tokio::io::AsyncReadExt::read_exact(&mut raw.stream, &mut header).await;
            if answer.is_ok() {
                raw.sequence = header[3].wrapping_add(1);
                let mut payload = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
                tokio::io::AsyncReadExt::read_exact(&mut raw.stream, &mut payload).await.unwrap();
                assert!(payload.starts_with(&[0xFF, 0x81, 0x04]), "1153: {}", String::from_utf8_lossy(&payload));
            }
            // A server that closes with data unread may lose its own words; the proxy has read all that it answers to.
            assert!(answer.is_ok(), "{table}");
        }
        let mut raw = unlogged(&proxy, &schema).await;
        for table in ["plain", "sealed"] {
            assert!(raw.one(format!("SELECT v FROM {table}")).await.rows().is_empty());
        }
    }
}
