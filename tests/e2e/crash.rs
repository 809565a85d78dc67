//! The proxy dies, or is asked to stop: what was committed stays, what was not is rolled back.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Proxy, Schema, Stage, text_rows};

fn start(schema: &Schema, keyring: &std::path::Path) -> Proxy {
    Proxy::builder(schema).keyring(keyring).column("users", "email", "{}").start()
}

on_every_server! {
    async fn a_killed_proxy_loses_nothing_that_was_committed(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let table = "CREATE TABLE users (id int PRIMARY KEY AUTO_INCREMENT, email varchar(191))";
        schema.direct().await.query_drop(table).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let keyring = folder.path().join("keyring");

        let mut proxy = start(&schema, &keyring);
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO users (email) VALUES ('committed')").await.unwrap();
        app.query_drop("BEGIN").await.unwrap();
        app.query_drop("INSERT INTO users (email) VALUES ('never committed')").await.unwrap();
        proxy.kill();
        assert!(app.query_drop("COMMIT").await.is_err());

        let proxy = start(&schema, &keyring);
        let mut app = proxy.connect().await;
        app.query_drop("INSERT INTO users (email) VALUES ('after')").await.unwrap();
        let read = text_rows(&mut app, "SELECT email FROM users ORDER BY id").await;
        assert_eq!(read, [[Some("committed".to_owned())], [Some("after".to_owned())]]);
    }

    async fn a_proxy_that_is_started_before_its_database_waits_for_it(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let probe = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let later = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_secs(3));
            Stage::at(port, &backend)
        });
        let proxy = Proxy::builder(&schema).backend_address(&format!("127.0.0.1:{port}")).start();
        later.join().unwrap();
        assert!(proxy.log().matches("waiting for the database").count() >= 2, "{}", proxy.log());
        proxy.connect().await.query_drop("SELECT 1").await.unwrap();
    }

    async fn a_proxy_that_is_asked_to_stop_ends_cleanly(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut proxy = Proxy::builder(&schema).start();
        let mut app = proxy.connect().await;
        app.query_drop("SELECT 1").await.unwrap();
        drop(app);
        assert!(proxy.stop().success(), "{}", proxy.log());
    }

    async fn the_proxy_leaves_no_core_dump(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).start();
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", proxy.pid())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    }
}
