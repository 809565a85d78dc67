//! The connection phase at its edges: errors in place of a greeting, unknown schemas, collation ids beyond a
//! byte, and clients that leave in the middle of it.

use mysql_async::prelude::Queryable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::on_every_server;
use crate::support::raw::Reply;
use crate::support::{Account, Login, PrivateServer, Proxy, Schema, Stage, text_rows};

on_every_server! {
    async fn errors_in_place_of_a_greeting_reach_the_client_unchanged(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let stage = Stage::before(&backend);
        let proxy = Proxy::builder(&schema).backend_address(&stage.address()).backend_tls("{ mode: disabled }").start();
        for (code, text) in [
            (1040u16, "Too many connections"),
            (1129, "Host '10.0.0.7' is blocked because of many connection errors; unblock with 'mysqladmin flush-hosts'"),
            (1130, "Host '10.0.0.7' is not allowed to connect to this server"),
        ] {
            // As servers send them there: no SQLSTATE.
            let payload = [&[0xFF][..], &code.to_le_bytes(), text.as_bytes()].concat();
            stage.act().instead_of_greeting = Some(payload.clone());
            let mut client = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.unwrap();
            let length = u32::try_from(payload.len()).unwrap().to_le_bytes();
            assert_eq!(got, [&length[..3], &[0], payload.as_slice()].concat(), "{code}");
        }
        stage.act().instead_of_greeting = None;
        assert_eq!(text_rows(&mut proxy.connect().await, "SELECT 1").await, [[Some("1".to_owned())]]);
    }

    async fn too_many_connections_and_unknown_schemas_are_the_servers_own_errors(backend: Backend) {
        let private = PrivateServer::start(backend.server);
        let schema = Schema::create(&private.backend).await;
        let proxy = Proxy::builder(&schema).start();
        let through = ("127.0.0.1", proxy.port);
        let direct = (private.backend.host.as_str(), private.backend.port);
        let error = |reply: Result<crate::support::Raw, Reply>| match reply {
            Err(reply) => format!("{reply:?}"),
            Ok(_) => "logged in".to_owned(),
        };
        let unknown = Login::new(Account::APP).schema("t_no_such_schema");
        let (got, expected) = (error(unknown.tcp(through).await), error(unknown.tcp(direct).await));
        assert_eq!(got, expected);
        assert!(got.contains("t_no_such_schema"), "{got}");

        let mut root = schema.direct().await;
        root.query_drop("SET GLOBAL max_connections = 10").await.unwrap();
        let mut held = Vec::new();
        while let Ok(raw) = Login::new(Account::APP).tcp(direct).await {
            held.push(raw);
            assert!(held.len() < 50, "the server takes no end of connections");
        }
        let got = error(Login::new(Account::APP).tcp(through).await);
        assert_eq!(got, error(Login::new(Account::APP).tcp(direct).await));
        assert!(got.contains("Too many connections"), "{got}");
        drop(held);
        root.query_drop("SET GLOBAL max_connections = 500").await.unwrap();
    }

    async fn collations_beyond_one_byte_are_those_of_a_direct_login(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        let mut direct = schema.direct().await;
        let ids: Vec<u16> = direct
            .query("SELECT ID FROM information_schema.COLLATIONS WHERE ID IN (8, 45, 255, 256, 309, 323, 2048, 2304, 2311)")
            .await
            .unwrap();
        assert!(ids.len() >= 2, "{ids:?}");
        for id in ids {
            let mut login = Login::new(Account::APP).schema(&schema.name);
            login.collation = id;
            let mut answers = Vec::new();
            for address in [("127.0.0.1", proxy.port), (backend.host.as_str(), backend.port)] {
                let mut raw = login.tcp(address).await.unwrap_or_else(|error| panic!("{id}: {error:?}"));
                let rows = raw.one("SELECT @@collation_connection, @@character_set_client, @@character_set_results").await;
                answers.push(rows.text());
            }
            assert_eq!(answers[0], answers[1], "{id}");
        }
    }

    async fn a_client_that_leaves_in_the_handshake_takes_its_server_connection_along(backend: Backend) {
        let private = PrivateServer::start(backend.server);
        let schema = Schema::create(&private.backend).await;
        let proxy = Proxy::builder(&schema).start();
        let mut root = schema.direct().await;
        let aborted = async |root: &mut mysql_async::Conn| -> u64 {
            let row: Option<(String, u64)> = root.query_first("SHOW GLOBAL STATUS LIKE 'Aborted_connects'").await.unwrap();
            row.unwrap().1
        };
        // As many as directly, for those that say nothing and those that say half of something.
        let mut counts = Vec::new();
        for port in [private.backend.port, proxy.port] {
            let before = aborted(&mut root).await;
            for said in [&b""[..], b"\x20\x00\x00\x01\x85\xA6"] {
                let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let mut greeting = [0; 64];
                client.read_exact(&mut greeting).await.unwrap();
                client.write_all(said).await.unwrap();
                drop(client);
            }
            let mut count = 0;
            for _ in 0..100 {
                count = aborted(&mut root).await - before;
                if count >= 2 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            counts.push(count);
        }
        assert_eq!(counts, [2, 2]);
        assert_eq!(text_rows(&mut proxy.connect().await, "SELECT 1").await, [[Some("1".to_owned())]]);
    }
}
