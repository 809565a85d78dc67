//! The test servers themselves: what the other tests take for granted.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Account, Schema, connect, text_rows};

on_every_server! {
    async fn accounts_of_the_server_log_in(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut accounts = vec![Account::ROOT, Account::CONTROL, Account::APP, Account::EMPTY];
        if backend.is_mariadb() {
            accounts.push(Account::NATIVE);
        } else {
            accounts.push(Account::SHA2);
        }
        for account in accounts {
            let mut conn = connect(schema.backend_opts(account)).await;
            let rows = text_rows(&mut conn, "SELECT CURRENT_USER()").await;
            assert!(rows[0][0].as_ref().is_some_and(|user| user.starts_with(&format!("{}@", account.user))));
        }
    }

    async fn a_value_in_the_clear_is_found_where_the_server_writes(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mut conn = schema.direct().await;
        conn.query_drop("CREATE TABLE c (v varchar(100))").await.unwrap();
        let canary = format!("canary-in-the-clear-{}", schema.name);
        conn.query_drop(format!("INSERT INTO c VALUES ('{canary}')")).await.unwrap();
        let found = crate::support::search(&backend, &[&canary]);
        for place in [&backend.general_log, &backend.binlog, &backend.data] {
            assert!(found.iter().any(|(path, _)| path.starts_with(place)), "not in {}: {found:?}", place.display());
        }
    }
}
