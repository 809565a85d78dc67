//! Compression towards the client: the same answers as without, whatever the packets' sizes.

use std::process::Command;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{SslOpts, WhiteListFsHandler};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::on_every_server;
use crate::support::compressing::{Compression, compressing};
use crate::support::raw::status;
use crate::support::{Account, Proxy, Raw, Schema, caps, connect};

const BOTH: [Compression; 2] = [Compression::Zlib, Compression::Zstd];
const ON: &str = "compression: [zlib, zstd]";
const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY, sealed longtext, plain longtext)";

/// A proxy that protects `t.sealed`.
async fn proxy(schema: &Schema) -> Proxy {
    schema.direct_app().await.query_drop(TABLE).await.unwrap();
    Proxy::builder(schema).column("t", "sealed", "{}").extra(ON).start()
}

async fn compressed(proxy: &Proxy, schema: &Schema, capabilities: u32, compression: Compression) -> Raw {
    let port = compressing(proxy.port, compression).await;
    let flags = capabilities | compression.flag();
    let raw = Raw::login(("127.0.0.1", port), Account::EMPTY, Some(&schema.name), flags, 0).await;
    assert!(raw.has(compression.flag()), "{compression:?} is offered");
    raw
}

on_every_server! {
    async fn compressed_sessions_answer_as_others_do(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = proxy(&schema).await;
        for flags in [caps::USUAL, caps::USUAL | caps::DEPRECATE_EOF | caps::SESSION_TRACK | caps::MULTI_STATEMENTS] {
            for compression in BOTH {
                let mut with = compressed(&proxy, &schema, flags, compression).await;
                let mut without = Raw::through(&proxy, &schema, flags).await;
                let statements = [
                    "SELECT 1, NULL, ''",
                    "SELECT REPEAT('x', 100), REPEAT('y', 100000)",
                    "BEGIN",
                    "INSERT INTO t VALUES (1, 'one', 'one'), (2, NULL, NULL)",
                    "SELECT * FROM t ORDER BY id",
                    "SELECT sealed, REPEAT('z', 70000) FROM t ORDER BY id",
                    "SELECT id FROM t WHERE sealed = 'one'",
                    "SELEC 1",
                    "ROLLBACK",
                    "USE information_schema",
                ];
                let mut answers = Vec::new();
                for statement in statements {
                    answers.push(with.query(statement).await);
                }
                for (statement, answer) in statements.into_iter().zip(answers) {
                    assert_eq!(answer, without.query(statement).await, "{statement}");
                }
                // Commands other than queries, one after the other.
                for _ in 0..300 {
                    assert!(with.short(&[0x0E]).await.ok().status & status::MORE_RESULTS == 0);
                }
                assert_eq!(with.short(&[0x1F]).await.ok().affected_rows, 0);
                assert_eq!(with.one("SELECT 'after RESET_CONNECTION'").await.rows().len(), 1);
            }
        }
    }

    async fn large_values_pass_compressed_in_both_directions(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = proxy(&schema).await;
        // Once the plain value spans packets, once the sealed one does, and the statement in both cases.
        for (compression, id, sealed, plain) in
            [(Compression::Zlib, 1, 100_000, 17 << 20), (Compression::Zstd, 2, 13 << 20, 10)]
        {
            let mut raw = compressed(&proxy, &schema, caps::USUAL, compression).await;
            let (sealed, plain) = ("abcdefghij".repeat(sealed / 10), "0123456789".repeat(plain / 10));
            let insert = format!("INSERT INTO t VALUES ({id}, '{sealed}', '{plain}')");
            assert_eq!(raw.one(insert).await.ok().affected_rows, 1);
            let rows = raw.one(format!("SELECT plain, sealed FROM t WHERE id = {id}")).await.text();
            assert!(rows == [[Some(plain), Some(sealed)]], "{id} by {compression:?}");
            let stored = schema.direct_app().await.query_first::<String, _>("SELECT LEFT(sealed, 2) FROM t").await;
            assert_eq!(stored.unwrap().unwrap(), "pQ");
        }
    }

    async fn a_driver_of_its_own_compresses(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = proxy(&schema).await;
        let opts = proxy.opts(Account::APP).compression(mysql_async::Compression::default());
        let mut conn = connect(opts).await;
        proxy.wait_for_log("compression=Some(Zlib)");
        let value = "v".repeat(300_000);
        conn.exec_drop("INSERT INTO t VALUES (?, ?, ?)", (1, &value, &value)).await.unwrap();
        for _ in 0..3 {
            let row: (String, String) = conn.exec_first("SELECT sealed, plain FROM t", ()).await.unwrap().unwrap();
            assert!(row.0 == value && row.1 == value);
        }
        // The second result is numbered on from the compressed packets, in all ways that rows pass.
        for rows in ["SELECT sealed FROM t", "SELECT plain FROM t", "SELECT REPEAT('v', 300000)"] {
            let statements = format!("{rows}; SELECT 1; DO 1; {rows}; SELECT 'last'");
            let mut results = conn.query_iter(statements).await.unwrap();
            assert!(results.collect::<String>().await.unwrap() == [value.as_str()], "{rows}");
            assert_eq!(results.collect::<u32>().await.unwrap(), [1], "{rows}");
            assert!(results.collect::<u32>().await.unwrap().is_empty(), "{rows}");
            assert!(results.collect::<String>().await.unwrap() == [value.as_str()], "{rows}");
            assert_eq!(results.collect::<String>().await.unwrap(), ["last"], "{rows}");
        }
        conn.ping().await.unwrap();
        conn.change_user(mysql_async::ChangeUserOpts::default()).await.unwrap();
        let row: Option<u32> = conn.query_first("SELECT 1").await.unwrap();
        assert_eq!(row, Some(1));
    }

    async fn files_are_sent_compressed_and_over_tls(backend: Backend) {
        let schema = Schema::create(&backend).await;
        schema.direct_app().await.query_drop(TABLE).await.unwrap();
        let proxy = Proxy::builder(&schema).column("t", "sealed", "{}").client_tls("optional").extra(ON).start();
        let path = proxy.folder.path().join("rows.csv");
        // More than a compressed packet, and than what a read takes.
        let file: String = (0..40_000).map(|n| format!("{n},secret number {n},plain {n}\n")).collect();
        std::fs::write(&path, &file).unwrap();
        for (compress, tls) in [(true, false), (false, true), (true, true)] {
            let mut opts = proxy.opts(Account::APP).local_infile_handler(Some(WhiteListFsHandler::new([&path])));
            if compress {
                opts = opts.compression(mysql_async::Compression::default());
            }
            if tls {
                opts = opts.ssl_opts(SslOpts::default().with_danger_accept_invalid_certs(true));
            }
            let mut conn = connect(opts).await;
            proxy.wait_for_log(&format!("client_tls={tls}"));
            let load = format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE t FIELDS TERMINATED BY ','", path.display());
            conn.query_drop(load).await.unwrap();
            let rows: Vec<(u32, String, String)> = conn.query("SELECT id, sealed, plain FROM t ORDER BY id").await.unwrap();
            assert_eq!(rows.len(), 40_000);
            for (n, (id, sealed, plain)) in (0..).zip(&rows) {
                assert_eq!((*id, sealed, plain), (n, &format!("secret number {n}"), &format!("plain {n}")));
            }
            let mut direct = schema.direct_app().await;
            let raw: Option<u32> = direct.query_first("SELECT COUNT(*) FROM t WHERE sealed NOT LIKE 'pQ%'").await.unwrap();
            assert_eq!(raw, Some(0), "compressed: {compress}, TLS: {tls}");
            direct.query_drop("DELETE FROM t").await.unwrap();
        }
    }

    async fn command_line_clients_compress(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = proxy(&schema).await;
        let value = "x".repeat(200_000);
        let script = format!("REPLACE INTO t VALUES (1, '{value}', 'p');\nSELECT sealed, REPEAT('y', 100000) FROM t;\n");
        let path = proxy.folder.path().join("script.sql");
        std::fs::write(&path, script).unwrap();
        for (client, arguments, algorithm) in [
            ("mariadb", "--compress --skip-ssl", "Zlib"),
            ("mysql", "--compression-algorithms=zlib", "Zlib"),
            ("mysql", "--compression-algorithms=zlib,zstd", "Zlib"),
            ("mysql", "--compression-algorithms=zstd", "Zstd { level: 3 }"),
            ("mysql", "--compression-algorithms=zstd --zstd-compression-level=9", "Zstd { level: 9 }"),
        ] {
            // `mysql` 9.7 no longer has the plugin of MariaDB's accounts.
            if client == "mysql" && backend.is_mariadb() {
                continue;
            }
            let account = format!("-u{} --ssl-mode=DISABLED", Account::EMPTY.user);
            let account = if client == "mariadb" { account.replace(" --ssl-mode=DISABLED", "") } else { account };
            let before = proxy.log().len();
            let output = Command::new("bash")
                .arg("-c")
                .arg(format!(
                    ". tests/support/provision.sh; provision_mariadb; provision_mysql_client; \
                     {client}_client {arguments} {account} -h127.0.0.1 -P{} -N -B {}",
                    proxy.port, schema.name
                ))
                .stdin(std::fs::File::open(&path).unwrap())
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{client} {arguments}: {errors}");
            let expected = format!("{value}\t{}\n", "y".repeat(100_000));
            assert!(String::from_utf8(output.stdout).unwrap() == expected, "{client} {arguments}");
            assert!(proxy.log()[before..].contains(&format!("compression=Some({algorithm})")), "{}", proxy.log());
        }
    }

    async fn compression_is_offered_only_when_configured(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        let flags = caps::USUAL | caps::COMPRESS | caps::ZSTD_COMPRESSION_ALGORITHM;
        let raw = Raw::through(&proxy, &schema, flags).await;
        assert_eq!(raw.offered & (caps::COMPRESS | caps::ZSTD_COMPRESSION_ALGORITHM), 0);
        let only = Proxy::builder(&schema).extra("compression: zstd").start();
        let raw = Raw::through(&only, &schema, caps::USUAL).await;
        assert_eq!(raw.offered & caps::COMPRESS, 0);
        assert_ne!(raw.offered & caps::ZSTD_COMPRESSION_ALGORITHM, 0);
    }

    async fn a_compressed_packet_that_is_wrong_ends_the_session(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = proxy(&schema).await;
        let query = [&[9, 0, 0, 0, 3][..], b"SELECT 1"].concat();
        let bomb = vec![0u8; 16 << 20];
        for (compression, wrong) in [
            (Compression::Zlib, b"\x05\0\0\0\xFF\0\0hello".to_vec()),
            (Compression::Zstd, b"\x05\0\0\0\xFF\0\0hello".to_vec()),
            (Compression::Zlib, {
                // Longer than it says.
                let mut packet = Compression::Zlib.packet(0, &bomb[1..]);
                packet[4..7].copy_from_slice(&[100, 0, 0]);
                packet
            }),
            (Compression::Zlib, Compression::Zstd.packet(0, &[&query[..], &[b' '; 100]].concat())),
            // Out of order in the middle of a command.
            (Compression::Zlib, [Compression::Zlib.packet(0, &query[..6]), Compression::Zlib.packet(7, &query[6..])].concat()),
            (Compression::Zstd, b"\xFF\xFF\xFF\0\xFF\xFF\xFF".to_vec()),
            (Compression::Zlib, b"\x01\0\0".to_vec()),
        ] {
            let flags = caps::USUAL | compression.flag();
            let mut raw = Raw::login(("127.0.0.1", proxy.port), Account::EMPTY, None, flags, 0).await;
            raw.stream.write_all(&wrong).await.unwrap();
            raw.stream.shutdown().await.unwrap();
            let mut rest = Vec::new();
            let read = tokio::time::timeout(Duration::from_secs(10), raw.stream.read_to_end(&mut rest)).await;
            assert!(read.is_ok(), "the session ends: {:02x?}", &wrong[..wrong.len().min(20)]);
        }
        assert!(proxy.resident_kib() < 200 * 1024, "{} KiB", proxy.resident_kib());
        let mut raw = compressed(&proxy, &schema, caps::USUAL, Compression::Zlib).await;
        assert_eq!(raw.one("SELECT 1").await.rows().len(), 1);
    }
}
