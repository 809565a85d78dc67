//! What becomes of sealing when the address of the server leads to another one, whose vault lacks the newest key.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Backend, PrivateServer, Proxy, Schema, code, connect, opts, text_rows};

/// An address that leads to whichever server it is pointed to, as a virtual one or a name does.
struct Address {
    port: u16,
    target: Arc<Mutex<(String, u16)>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Address {
    fn of(backend: &Backend) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Arc::new(Mutex::new((backend.host.clone(), backend.port)));
        let open = Arc::<Mutex<Vec<TcpStream>>>::default();
        let (to, kept) = (target.clone(), open.clone());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let to = to.lock().unwrap().clone();
                let Ok(server) = TcpStream::connect((to.0.as_str(), to.1)) else { continue };
                kept.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                for (from, to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                    std::thread::spawn(move || carry(from, to));
                }
            }
        });
        Self { port, target, open }
    }

    /// New connections go to this server; those that are there stay where they are.
    fn point_to(&self, backend: &Backend) {
        *self.target.lock().unwrap() = (backend.host.clone(), backend.port);
    }

    /// The server that connections went to is gone.
    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16384];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

const TABLE: &str = "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(300), tax varchar(300) \
                     CHARACTER SET ascii COLLATE ascii_bin)";
const WRITE: &str = "INSERT INTO users (email) VALUES ('v')";

fn builder(schema: &Schema) -> crate::support::ProxyBuilder {
    Proxy::builder(schema).column("users", "email", "{}").column("users", "tax", "{ search: exact }")
}

/// As administrator of a server.
async fn admin(backend: &Backend) -> Conn {
    connect(opts(&backend.host, backend.port, crate::support::Account::CONTROL, None)).await
}

on_every_server! {
    async fn after_a_failover_that_lost_a_key_nothing_is_sealed_with_it_until_it_is_back(backend: Backend) {
        let replica = PrivateServer::start(backend.server);
        let schema = Schema::create(&backend).await;
        schema.direct().await.query_drop(TABLE).await.unwrap();
        let vault = format!("{}.data_keys", schema.vault_schema());
        let address = Address::of(&backend);
        let proxy = builder(&schema).backend_address(&format!("127.0.0.1:{}", address.port)).start();
        let mut app = proxy.connect().await;
        for statement in [WRITE, "INSERT INTO users (tax) VALUES ('t')"] {
            assert_eq!(code(&mut app, statement).await, "ok");
        }
        // The replica has the tables and an empty vault, as if that was all that had reached it.
        let mut there = admin(&replica.backend).await;
        for schema in [&schema.name, &schema.vault_schema()] {
            there.query_drop(format!("CREATE DATABASE {schema}")).await.unwrap();
        }
        there.query_drop(format!("USE {}", schema.name)).await.unwrap();
        there.query_drop(TABLE).await.unwrap();
        let definition: (String, String) = schema.direct().await.query_first(format!("SHOW CREATE TABLE {vault}")).await.unwrap().unwrap();
        there.query_drop(format!("USE {}", schema.vault_schema())).await.unwrap();
        there.query_drop(definition.1).await.unwrap();
        // Sessions reach the new primary while the proxy's own connections are still to the old one, which lives on.
        address.point_to(&replica.backend);
        let mut other = proxy.connect().await;
        let writes = [
            WRITE, "UPDATE users SET email = 'w'", "REPLACE INTO users (id, email) VALUES (9, 'v')",
            "INSERT INTO users (tax) VALUES ('t')",
        ];
        for statement in writes {
            assert_eq!(code(&mut other, statement).await, "SW-1919", "{statement}");
        }
        let prepared = other.exec_drop("INSERT INTO users (email) VALUES (?)", ("v",)).await.unwrap_err();
        assert!(prepared.to_string().contains("SW-1919"), "{prepared}");
        // And when the old one is gone.
        address.cut();
        let mut other = proxy.connect().await;
        for statement in writes {
            assert_eq!(code(&mut other, statement).await, "SW-1919", "{statement}");
        }
        let rows = text_rows(&mut there, &format!("SELECT (SELECT COUNT(*) FROM {}.users), (SELECT COUNT(*) FROM {vault})", schema.name)).await;
        assert_eq!(rows, [[Some("0".into()), Some("0".into())]], "nothing was written, and no new key made");
        // The log has what puts each row back.
        let log = proxy.log();
        let statements: Vec<&str> = log.lines().filter_map(|line| line.split("statement=\"").nth(1)?.split('"').next()).collect();
        assert_eq!(statements.len(), 2, "a data key and a search key: {log}");
        for statement in statements {
            there.query_drop(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        tokio::time::sleep(Duration::from_millis(1100)).await;
        for statement in writes {
            assert_eq!(code(&mut other, statement).await, "ok", "{statement}");
        }
        // A proxy that knows nothing of all this opens what was sealed.
        let keyring = proxy.folder.path().join("keyring");
        let fresh = builder(&schema).keyring(&keyring).backend_address(&format!("127.0.0.1:{}", address.port)).start();
        let read = text_rows(&mut fresh.connect().await, "SELECT email, tax FROM users WHERE email IS NOT NULL OR tax = 't'").await;
        assert!(read.len() >= 2, "{read:?}");
    }

    async fn a_key_whose_row_is_deleted_stops_sealing_within_seconds_and_at_once_on_new_connections(backend: Backend) {
        let schema = Schema::create(&backend).await;
        schema.direct().await.query_drop(TABLE).await.unwrap();
        let vault = format!("{}.data_keys", schema.vault_schema());
        let proxy = builder(&schema).start();
        let mut app = proxy.connect().await;
        assert_eq!(code(&mut app, WRITE).await, "ok");
        let mut direct = schema.direct().await;
        direct.query_drop(format!("CREATE TABLE kept AS SELECT * FROM {vault}")).await.unwrap();
        direct.query_drop(format!("DELETE FROM {vault}")).await.unwrap();
        let deleted = Instant::now();
        while code(&mut app, WRITE).await == "ok" {
            assert!(deleted.elapsed() < Duration::from_secs(8), "it seals on");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        eprintln!("the same connection stopped sealing {:?} after the row was deleted", deleted.elapsed());
        direct.query_drop(format!("INSERT INTO {vault} SELECT * FROM kept")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1100)).await;
        assert_eq!(code(&mut app, WRITE).await, "ok");
        direct.query_drop(format!("DELETE FROM {vault}")).await.unwrap();
        let mut other = proxy.connect().await;
        assert_eq!(code(&mut other, WRITE).await, "SW-1919");
        // Values that were sealed still open, from what is in memory; a transaction goes on.
        other.query_drop("BEGIN").await.unwrap();
        assert_eq!(code(&mut other, WRITE).await, "SW-1919");
        assert_eq!(code(&mut other, "SELECT email FROM users").await, "ok");
        other.query_drop("COMMIT").await.unwrap();
    }
}
