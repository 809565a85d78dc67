//! What a client's capability flags change is changed through the proxy, too, for those that it has and those that
//! it has not.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::raw::lenenc_string;
use crate::support::{Account, Login, Proxy, Raw, Schema, Stage, caps, sealed_and_plain};

const INTERACTIVE: u32 = 1 << 10;
const PLUGIN_AUTH_LENENC_CLIENT_DATA: u32 = 1 << 21;
const CAN_HANDLE_EXPIRED_PASSWORDS: u32 = 1 << 22;

on_every_server! {
    async fn rows_count_as_affected_when_found_or_when_changed(backend: Backend) {
        let (schema, proxy) = sealed_and_plain(&backend).await;
        let mut counts = Vec::new();
        for flags in [caps::USUAL, caps::USUAL | caps::FOUND_ROWS] {
            let mut raw = Raw::through(&proxy, &schema, flags).await;
            for table in ["sealed", "plain"] {
                raw.one(format!("INSERT INTO {table} VALUES (1, 'one', 1), (2, 'two', 2)")).await.ok();
                let update = format!("UPDATE {table} SET n = 2 WHERE email IS NOT NULL");
                let text = raw.one(&update).await.ok().affected_rows;
                let p = raw.prepare(&update).await.unwrap();
                let again = raw.execute(p.id, &[]).await[0].ok().affected_rows;
                // An existing row that stays as it is counts 0, or 1 where rows found are asked for.
                let duplicate = format!("INSERT INTO {table} (id) VALUES (1) ON DUPLICATE KEY UPDATE n = 2");
                let duplicate = raw.one(&duplicate).await.ok().affected_rows;
                counts.push((text, again, duplicate));
                raw.one(format!("DELETE FROM {table}")).await.ok();
            }
        }
        assert_eq!(counts, [(1, 0, 0), (1, 0, 0), (2, 2, 1), (2, 2, 1)]);
    }

    async fn interactive_clients_may_be_idle_for_as_long_as_interactive_timeout(backend: Backend) {
        let (schema, proxy) = sealed_and_plain(&backend).await;
        // Nobody else here is interactive.
        schema.direct().await.query_drop("SET GLOBAL interactive_timeout = 28801").await.unwrap();
        for (flags, expected) in [(caps::USUAL, "28800"), (caps::USUAL | INTERACTIVE, "28801")] {
            let mut raw = Raw::through(&proxy, &schema, flags).await;
            assert_eq!(raw.one("SELECT @@SESSION.wait_timeout").await.text(), [[Some(expected.to_owned())]]);
        }
    }

    async fn an_expired_password_is_told_as_the_server_tells_it(backend: Backend) {
        let (schema, proxy) = sealed_and_plain(&backend).await;
        let mut root = schema.direct().await;
        let user = format!("{}_x", schema.name);
        root.query_drop(format!("CREATE USER {user}@'%' IDENTIFIED BY 'old' PASSWORD EXPIRE")).await.unwrap();
        root.query_drop(format!("GRANT ALL ON `{}`.* TO {user}@'%'", schema.name)).await.unwrap();
        let account = Account { user: user.leak(), password: "old" };
        for flags in [caps::USUAL, caps::USUAL | CAN_HANDLE_EXPIRED_PASSWORDS] {
            let mut told = Vec::new();
            for (address, table) in [(("127.0.0.1", proxy.port), "sealed"), ((backend.host.as_str(), backend.port), "plain")] {
                let login = Login { capabilities: flags, ..Login::new(account).schema(&schema.name) };
                let outcome = match login.tcp(address).await {
                    Err(error) => vec![format!("{error:?}")],
                    Ok(mut raw) => {
                        let mut said = vec!["logged in".to_owned()];
                        for text in ["SELECT 1".to_owned(), format!("SELECT email FROM {table}")] {
                            said.push(raw.one(text).await.code().to_string());
                        }
                        said
                    }
                };
                told.push(outcome);
            }
            assert_eq!(told[0], told[1], "{flags:#x}");
            let able = flags & CAN_HANDLE_EXPIRED_PASSWORDS != 0;
            assert!(!able || told[0] == ["logged in", "1820", "1820"], "{told:?}");
        }
        // Behind the proxy it can be changed, and is then no longer in the way.
        let login = Login { capabilities: caps::USUAL | CAN_HANDLE_EXPIRED_PASSWORDS, ..Login::new(account).schema(&schema.name) };
        let mut raw = login.tcp(("127.0.0.1", proxy.port)).await.unwrap();
        let change = if backend.is_mariadb() { "SET PASSWORD = PASSWORD('new')" } else { "SET PASSWORD = 'new'" };
        raw.one(change).await.ok();
        raw.one("INSERT INTO sealed (id, email) VALUES (1, 'one')").await.ok();
        assert_eq!(raw.one("SELECT email FROM sealed").await.text(), [[Some("one".to_owned())]]);
        root.query_drop(format!("DROP USER {}@'%'", account.user)).await.unwrap();
    }

    async fn statements_in_one_packet_and_files_need_the_flag(backend: Backend) {
        let (schema, proxy) = sealed_and_plain(&backend).await;
        let mut through = Raw::through(&proxy, &schema, caps::USUAL).await;
        let mut directly = Raw::directly(&schema, caps::USUAL).await;
        for text in [
            "SELECT 1; SELECT 2",
            "INSERT INTO plain (id) VALUES (1); INSERT INTO plain (id) VALUES (2)",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE plain",
        ] {
            let (got, expected) = (through.one(text).await, directly.one(text).await);
            assert_eq!(got, expected, "{text}");
            assert!(matches!(got.code(), 1064 | 1148 | 3948 | 4166), "{got:?}");
        }
        for text in [
            "INSERT INTO sealed (id, email) VALUES (1, 'a'); SELECT 2",
            "LOAD DATA LOCAL INFILE 'x' INTO TABLE sealed",
        ] {
            let error = through.one(text).await;
            assert!(error.code() != 0, "{error:?}");
        }
        assert_eq!(through.one("SELECT COUNT(*) FROM sealed").await.text(), [[Some("0".to_owned())]]);
    }

    async fn attributes_and_answers_of_any_length_reach_the_server(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let stage = Stage::before(&backend);
        let proxy = Proxy::builder(&schema).backend_address(&stage.address()).backend_tls("{ mode: disabled }").start();
        // One attribute of 3,000 bytes, and one of the usual ones.
        let long = "v".repeat(3000);
        let pairs: Vec<u8> = ["_client_name", "a driver", "a_long_one", &long].iter().flat_map(|text| lenenc_string(text.as_bytes())).collect();
        let capabilities = caps::USUAL | caps::CONNECT_ATTRS | PLUGIN_AUTH_LENENC_CLIENT_DATA;
        let login = Login { capabilities, tail: lenenc_string(&pairs), ..Login::new(Account::APP).schema(&schema.name) };
        let mut raw = login.tcp(("127.0.0.1", proxy.port)).await.expect("a login");
        assert!(raw.has(caps::CONNECT_ATTRS) && raw.has(PLUGIN_AUTH_LENENC_CLIENT_DATA));
        assert_eq!(raw.one("SELECT DATABASE()").await.text(), [[Some(schema.name.clone())]]);
        let sent = stage.recorded();
        let whole = lenenc_string(&pairs);
        assert!(sent.iter().any(|connection| connection.from_proxy.windows(whole.len()).any(|window| window == whole)));
    }
}
