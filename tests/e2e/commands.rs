//! Commands other than queries: each is answered as the server answers it directly, or with a clear ERR.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::raw::Reply;
use crate::support::{Account, PrivateServer, Proxy, Raw, Schema, caps};

/// Both end-of-rows forms.
const EOF_FORMS: [u32; 2] = [0, caps::DEPRECATE_EOF];

on_every_server! {
    async fn simple_commands_answer_as_directly(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        for eof in EOF_FORMS {
            let mut directly = Raw::directly(&schema, caps::USUAL | eof).await;
            let mut through = Raw::through(&proxy, &schema, caps::USUAL | eof).await;
            assert_eq!(through.has(caps::DEPRECATE_EOF), directly.has(caps::DEPRECATE_EOF));
            let init_db = [&[0x02], schema.name.as_bytes()].concat();
            let commands: [&[u8]; 11] = [
                &[0x0E],             // PING
                &init_db,            // INIT_DB
                b"\x02no_such_schema",
                &[0x1B, 0, 0],       // SET_OPTION: multi-statements on
                &[0x1B, 1, 0],
                &[0x1B, 7, 0],       // an option that is not there
                &[0x1F],             // RESET_CONNECTION
                &[0x1A, 9, 0, 0, 0], // STMT_RESET of nothing
                &[0x0D],             // DEBUG: access denied
                &[0x07, 1],          // REFRESH
                &[0x0C, 0xFF, 0xFF, 0xFF, 0x7F], // PROCESS_KILL of nobody
            ];
            for command in commands {
                let expected = directly.short(command).await;
                let got = through.short(command).await;
                assert_eq!(got, expected, "command {:#04x}", command[0]);
            }
            // CREATE_DB and DROP_DB are gone since MySQL 4, DELAYED_INSERT never was, 0x2A is nobody's: not relayed.
            for command in [0x05, 0x06, 0x10, 0x2A, 0xFF] {
                assert_eq!(directly.short(&[command, b'x']).await.code(), 1047, "command {command:#04x}");
                let error = through.short(&[command, b'x']).await.error();
                assert!(error.starts_with("1047 (08S01) sealwire SW-2007: "), "{error}");
            }
            assert!(matches!(through.short(&[0x0E]).await, Reply::Ok(_)), "the session goes on");
        }
    }

    async fn statistics_are_one_string_and_quit_has_no_answer(backend: Backend) {
        // A server of its own: its counts are compared.
        let private = PrivateServer::start(backend.server);
        let schema = Schema::create(&private.backend).await;
        let proxy = Proxy::builder(&schema).start();
        let mut root = schema.direct().await;
        let aborted = async |root: &mut mysql_async::Conn| -> u64 {
            let row: Option<(String, u64)> = root.query_first("SHOW GLOBAL STATUS LIKE 'Aborted_clients'").await.unwrap();
            row.unwrap().1
        };
        let before = aborted(&mut root).await;
        for eof in EOF_FORMS {
            for through in [true, false] {
                let mut raw = match through {
                    true => Raw::through(&proxy, &schema, caps::USUAL | eof).await,
                    false => Raw::directly(&schema, caps::USUAL | eof).await,
                };
                raw.send(&[0x09]).await;
                let text = String::from_utf8(raw.read().await).unwrap();
                assert!(text.starts_with("Uptime: ") && text.contains("Questions: "), "{text}");
                assert!(matches!(raw.short(&[0x0E]).await, Reply::Ok(_)), "nothing behind it");
                // Commands without an answer, then one with.
                let p = raw.prepare("SELECT ?").await.unwrap();
                raw.send(&[&[0x18][..], &p.id.to_le_bytes(), &[0, 0], b"long"].concat()).await;
                raw.send(&[&[0x19][..], &p.id.to_le_bytes()].concat()).await;
                assert!(matches!(raw.short(&[0x0E]).await, Reply::Ok(_)), "nothing before it");
                let id = raw.connection_id;
                raw.send(&[0x01]).await;
                assert!(raw.closes_within(std::time::Duration::from_secs(20)).await);
                let there = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id}");
                for _ in 0..200 {
                    if root.query_first::<u32, _>(&there).await.unwrap() == Some(0) {
                        break;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                assert_eq!(root.query_first::<u32, _>(&there).await.unwrap(), Some(0));
            }
        }
        assert_eq!(aborted(&mut root).await, before, "whoever says goodbye is not counted as lost");
    }

    async fn capabilities_that_would_change_answers_are_neither_offered_nor_taken(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        let raw = Raw::through(&proxy, &schema, !(1 << 5 | 1 << 11 | 1 << 20 | 1 << 21 | 1 << 26)).await;
        assert!(!raw.has(caps::OPTIONAL_RESULTSET_METADATA));
        // Of MariaDB's only that one: no PROGRESS, no bulk operations and results, no CACHE_METADATA.
        let extended = if backend.is_mariadb() { caps::MARIADB_EXTENDED_METADATA } else { 0 };
        assert_eq!(raw.offered_extended, extended);
        // COM_STMT_BULK_EXECUTE belongs to one of them.
        for eof in EOF_FORMS {
            let mut raw = Raw::through(&proxy, &schema, caps::USUAL | eof).await;
            let p = raw.prepare("SELECT 1 AS first, 2 AS second").await.unwrap();
            for _ in 0..2 {
                // CACHE_METADATA would leave the definitions out the second time.
                assert_eq!(raw.execute(p.id, &[]).await[0].columns().len(), 2);
            }
            let bulk = [&[0xFA][..], &p.id.to_le_bytes(), &[128, 0, 0, 0]].concat();
            assert!(raw.short(&bulk).await.error().starts_with("1047 (08S01) sealwire SW-2007: "));
            assert!(matches!(raw.short(&[0x0E]).await, Reply::Ok(_)), "the session goes on");
        }
    }

    async fn the_binary_log_is_read_only_where_the_configuration_allows_it(backend: Backend) {
        const SECRET: &str = "canary binlog 51c9e2";
        let schema = Schema::create(&backend).await;
        let mut direct = schema.direct().await;
        direct.query_drop("CREATE TABLE users (id int PRIMARY KEY, email varchar(191))").await.unwrap();
        let register = [&[0x15][..], &77u32.to_le_bytes(), &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        let dump = |file: &str, at: u32, command: u8| match command {
            0x12 => [&[0x12][..], &at.to_le_bytes(), &[1, 0], &77u32.to_le_bytes(), file.as_bytes()].concat(),
            _ => [&[0x1E, 1, 0][..], &77u32.to_le_bytes()].concat(),
        };
        let refusing = Proxy::builder(&schema).column("users", "email", "{}").start();
        let mut raw = Raw::login(("127.0.0.1", refusing.port), Account::ROOT, None, caps::USUAL, 0).await;
        for command in [register.clone(), dump("", 4, 0x12), dump("", 4, 0x1E)] {
            let error = raw.short(&command).await.error();
            assert!(error.starts_with("1227 (42000) sealwire SW-2020: "), "{error}");
        }
        assert!(matches!(raw.short(&[0x0E]).await, Reply::Ok(_)), "the session goes on");

        let proxy = Proxy::builder(&schema).column("users", "email", "{}").extra("replication: allow").start();
        // Without the privilege: the server's own error, and commands are commands again.
        let mut app = Raw::through(&proxy, &schema, caps::USUAL).await;
        assert_eq!(app.short(&dump("", 4, 0x12)).await.code(), 1227);
        let position = if backend.is_mariadb() { "SHOW MASTER STATUS" } else { "SHOW BINARY LOG STATUS" };
        let status = match app.short(&[0x0E]).await {
            Reply::Ok(_) => direct.query_first::<mysql_async::Row, _>(position).await.unwrap().unwrap(),
            other => panic!("{other:?}"),
        };
        let (file, at): (String, u32) = (status.get(0).unwrap(), status.get(1).unwrap());
        app.one(format!("INSERT INTO users VALUES (1, '{SECRET}')")).await.ok();
        assert_eq!(app.one("SELECT email FROM users").await.text(), [[Some(SECRET.to_owned())]]);
        let mut replica = Raw::login(("127.0.0.1", proxy.port), Account::ROOT, None, caps::USUAL, 0).await;
        replica.query("SET @master_binlog_checksum = 'NONE', @source_binlog_checksum = 'NONE'").await;
        replica.send(&dump(&file, at, 0x12)).await;
        let mut events = Vec::new();
        loop {
            let packet = replica.read().await;
            match packet[0] {
                0x00 => events.extend_from_slice(&packet),
                0xFE => break,
                _ => panic!("{}", String::from_utf8_lossy(&packet)),
            }
        }
        let holds = |text: &str| events.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds(&schema.name) && holds("pQE"), "the row, sealed, in {} bytes", events.len());
        assert!(!holds(SECRET));
        assert!(replica.try_read().await.is_err(), "closed behind the last event, as directly");
    }
}
