//! The connection phase: every plugin over every pair of legs, COM_CHANGE_USER, and what goes wrong.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::raw::Reply;
use crate::support::{Account, Act, Backend, Login, Proxy, Raw, Schema, Server, Stage, caps};

/// What the client speaks over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Plain,
    Tls,
    Unix,
    /// The same by a client that asks for a key there: see [`Login::asks_over_unix`].
    UnixAsking,
}

const CLIENTS: [Client; 4] = [Client::Plain, Client::Tls, Client::Unix, Client::UnixAsking];

impl Client {
    async fn login(self, proxy: &Proxy, backend: &Backend, login: &Login) -> Result<Raw, Reply> {
        match self {
            Self::Plain => login.tcp(("127.0.0.1", proxy.port)).await,
            Self::Tls => login.clone().tls(backend).tcp(("127.0.0.1", proxy.port)).await,
            Self::Unix => login.unix(&proxy.socket).await,
            Self::UnixAsking => Login { asks_over_unix: true, ..login.clone() }.unix(&proxy.socket).await,
        }
    }
}

/// What the proxy speaks over to the server.
const SERVER_LEGS: [&str; 3] = ["plain", "TLS", "a unix socket"];

fn proxy_over(schema: &Schema, leg: &str) -> Proxy {
    let builder = Proxy::builder(schema).client_tls("optional");
    let builder = match leg {
        "a unix socket" => builder.backend_address(&format!("unix:{}", schema.backend.socket.display())),
        _ => builder,
    };
    builder.backend_tls(if leg == "TLS" { "{ mode: required }" } else { "{ mode: disabled }" }).start()
}

/// As SQL names it, and as the protocol does.
fn plugins(backend: &Backend) -> Vec<(&'static str, &'static str)> {
    let native = ("mysql_native_password", "mysql_native_password");
    match backend.server {
        Server::MariaDb1011 => vec![native, ("ed25519", "client_ed25519")],
        Server::MariaDb118 => vec![native, ("ed25519", "client_ed25519"), ("parsec", "parsec")],
        Server::MySql97 => {
            vec![("caching_sha2_password", "caching_sha2_password"), ("sha256_password", "sha256_password")]
        }
    }
}

/// A seed of 32 bytes for ed25519; longer than the scramble for the RSA exchange.
const RIGHT: &str = "correct horse battery staple, 32";
const WRONG: &str = "correct horse battery stable, 32";

/// An account of the test's own. `password` may be empty.
async fn user(schema: &Schema, name: &str, plugin: &str, password: &str) -> Account {
    let user = format!("{}_{name}", schema.name);
    let mut root = schema.direct().await;
    let how = match (schema.backend.is_mariadb(), password) {
        (true, "") => format!("VIA {plugin} USING ''"),
        (true, _) => format!("VIA {plugin} USING PASSWORD('{password}')"),
        (false, "") => format!("WITH {plugin}"),
        (false, _) => format!("WITH {plugin} BY '{password}'"),
    };
    root.query_drop(format!("DROP USER IF EXISTS {user}@'%'")).await.unwrap();
    root.query_drop(format!("CREATE USER {user}@'%' IDENTIFIED {how}")).await.unwrap();
    root.query_drop(format!("GRANT ALL ON `{}`.* TO {user}@'%'", schema.name)).await.unwrap();
    Account { user: user.leak(), password: password.to_owned().leak() }
}

async fn drop_user(schema: &Schema, account: Account) {
    schema.direct().await.query_drop(format!("DROP USER {}@'%'", account.user)).await.unwrap();
}

async fn who(raw: &mut Raw) -> String {
    let rows = raw.one("SELECT CURRENT_USER()").await.text();
    rows[0][0].clone().unwrap_or_default()
}

on_every_server! {
    async fn every_plugin_over_every_pair_of_legs(backend: Backend) {
        let schema = Schema::create(&backend).await;
        for leg in SERVER_LEGS {
            let proxy = proxy_over(&schema, leg);
            for (plugin, wire_plugin) in plugins(&backend) {
                for client in CLIENTS {
                    let case = format!("{plugin}, {client:?} client, server over {leg}");
                    let account = user(&schema, "u", plugin, RIGHT).await;
                    let login = Login::new(account).schema(&schema.name);
                    let mut raw = client.login(&proxy, &backend, &login).await.expect(&case);
                    assert_eq!(who(&mut raw).await, format!("{}@%", account.user), "{case}");
                    // A new account is in no cache.
                    let plain = client == Client::Plain;
                    let switch = format!("switch to {wire_plugin}");
                    let expected: Vec<&str> = match (plugin, plain) {
                        ("mysql_native_password", _) => vec!["ok"],
                        ("ed25519", _) => vec![&switch, "ok"],
                        ("parsec", _) => vec![&switch, "salt", "ok"],
                        ("caching_sha2_password", true) => vec!["full", "key", "ok"],
                        ("caching_sha2_password", false) => vec!["full", "ok"],
                        _ if plain || client == Client::UnixAsking => vec![&switch, "key", "ok"],
                        _ => vec![&switch, "ok"],
                    };
                    assert_eq!(raw.steps, expected, "{case}");

                    let wrong = Login::new(Account { password: WRONG, ..account });
                    let error = client.login(&proxy, &backend, &wrong).await.err().expect(&case);
                    let directly = match leg {
                        "a unix socket" => wrong.unix(&backend.socket).await,
                        _ => wrong.tcp((backend.host.as_str(), backend.port)).await,
                    };
                    let directly = directly.err().expect(&case);
                    assert_eq!(error, directly, "{case}");
                    assert_eq!(error.code(), 1045, "{case}");
                    drop_user(&schema, account).await;
                }
            }
        }
    }

    async fn empty_passwords_and_missing_ones(backend: Backend) {
        let schema = Schema::create(&backend).await;
        for leg in SERVER_LEGS {
            let proxy = proxy_over(&schema, leg);
            for (plugin, _) in plugins(&backend) {
                // This client's ed25519 and parsec have no form for an empty password.
                if !plugin.ends_with("_password") {
                    continue;
                }
                let empty = user(&schema, "e", plugin, "").await;
                let set = user(&schema, "s", plugin, RIGHT).await;
                for client in CLIENTS {
                    let case = format!("{plugin}, {client:?} client, server over {leg}");
                    let mut raw = client.login(&proxy, &backend, &Login::new(empty)).await.expect(&case);
                    assert_eq!(who(&mut raw).await, format!("{}@%", empty.user), "{case}");
                    for account in [Account { password: "", ..set }, Account { password: RIGHT, ..empty }] {
                        let error = client.login(&proxy, &backend, &Login::new(account)).await.err().expect(&case);
                        assert_eq!(error.code(), 1045, "{case}");
                    }
                }
                drop_user(&schema, empty).await;
                drop_user(&schema, set).await;
            }
        }
    }

    async fn the_fast_path_is_taken_at_the_second_connect_and_not_after_a_flush(backend: Backend) {
        if backend.server != Server::MySql97 {
            return; // No caching_sha2_password there.
        }
        let schema = Schema::create(&backend).await;
        let account = user(&schema, "u", "caching_sha2_password", RIGHT).await;
        let login = Login::new(account);
        for leg in SERVER_LEGS {
            let proxy = &proxy_over(&schema, leg);
            for client in CLIENTS {
                let mut first = client.login(proxy, &backend, &login).await.unwrap();
                let mut fast = Vec::new();
                // Another test's FLUSH PRIVILEGES may come between.
                for _ in 0..5 {
                    fast = client.login(proxy, &backend, &login).await.unwrap().steps;
                    if fast == ["fast", "ok"] {
                        break;
                    }
                }
                assert_eq!(fast, ["fast", "ok"], "{client:?}");
                assert_eq!(who(&mut first).await, format!("{}@%", account.user));
                schema.direct().await.query_drop("FLUSH PRIVILEGES").await.unwrap();
                let full = client.login(proxy, &backend, &login).await.unwrap().steps;
                assert_eq!(full[0], "full", "{client:?}");
                schema.direct().await.query_drop("FLUSH PRIVILEGES").await.unwrap();
            }
        }
        drop_user(&schema, account).await;
    }

    async fn a_client_may_begin_with_any_plugin(backend: Backend) {
        let schema = Schema::create(&backend).await;
        for leg in SERVER_LEGS {
            let proxy = proxy_over(&schema, leg);
            for (plugin, _) in plugins(&backend) {
                let account = user(&schema, "u", plugin, RIGHT).await;
                for first in ["mysql_native_password", "caching_sha2_password", "sha256_password", "mysql_clear_password"] {
                    for client in CLIENTS {
                        let case = format!("{first} for {plugin}, {client:?} client, server over {leg}");
                        let login = Login::new(account).plugin(first);
                        let mut raw = client.login(&proxy, &backend, &login).await.expect(&case);
                        assert_eq!(who(&mut raw).await, format!("{}@%", account.user), "{case}");
                        let wrong = Login::new(Account { password: WRONG, ..account }).plugin(first);
                        let error = client.login(&proxy, &backend, &wrong).await.err().expect(&case);
                        assert_eq!(error.code(), 1045, "{case}");
                    }
                }
                drop_user(&schema, account).await;
            }
        }
    }

    async fn no_password_goes_over_a_plain_server_leg(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let stage = Stage::before(&backend);
        let proxy = Proxy::builder(&schema)
            .client_tls("optional")
            .backend_address(&stage.address())
            .backend_tls("{ mode: disabled }")
            .start();
        for (plugin, _) in plugins(&backend) {
            let account = user(&schema, "u", plugin, RIGHT).await;
            for first in ["caching_sha2_password", "sha256_password", "mysql_clear_password"] {
                for client in CLIENTS {
                    let login = Login::new(account).plugin(first);
                    let mut raw = client.login(&proxy, &backend, &login).await.expect(plugin);
                    // Again in mid-session.
                    raw.change_user(account, &schema.name, first).await.expect(plugin);
                    assert_eq!(who(&mut raw).await, format!("{}@%", account.user));
                }
            }
            drop_user(&schema, account).await;
        }
        let recorded = stage.recorded();
        assert!(recorded.iter().any(|connection| contains(&connection.from_proxy, b"SELECT CURRENT_USER()")));
        for connection in recorded {
            assert!(!contains(&connection.from_proxy, RIGHT.as_bytes()), "a password in the clear");
        }
    }

    async fn a_server_that_asks_for_a_clear_password_gets_none_over_a_plain_leg(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let stage = Stage::before(&backend);
        let proxy = Proxy::builder(&schema)
            .client_tls("optional")
            .backend_address(&stage.address())
            .backend_tls("{ mode: disabled }")
            .start();
        let ok = vec![0, 0, 0, 2, 0, 0, 0];
        *stage.act() = Act {
            user: "mock".into(),
            packets: vec![b"\xFEmysql_clear_password\0".to_vec(), ok.clone()],
            ..Act::default()
        };
        let account = Account { user: "mock", password: RIGHT };
        for client in CLIENTS {
            for login in [Login::new(account), Login::new(account).plugin("mysql_clear_password")] {
                let error = client.login(&proxy, &backend, &login).await.err().expect("a refusal").error();
                assert!(error.starts_with("3159 (HY000) sealwire SW-2004: "), "{error}");
            }
        }
        // The second factor: 0x02, plugin, data. Only MySQL offers it.
        if backend.server == Server::MySql97 {
            *stage.act() = Act {
                user: "mock".into(),
                packets: vec![b"\x02mysql_clear_password\0".to_vec(), ok],
                ..Act::default()
            };
            let login = Login { capabilities: caps::USUAL | caps::MULTI_FACTOR, ..Login::new(account) };
            let error = Client::Tls.login(&proxy, &backend, &login).await.err().expect("a refusal").error();
            assert!(error.starts_with("3159 (HY000) sealwire SW-2004: "), "{error}");
        }
        for connection in stage.recorded() {
            assert!(!contains(&connection.from_proxy, RIGHT.as_bytes()), "a password in the clear");
        }
    }

    async fn further_factors_are_relayed(backend: Backend) {
        if backend.server != Server::MySql97 {
            return; // MariaDB has no such capability.
        }
        let schema = Schema::create(&backend).await;
        let stage = Stage::before(&backend);
        let proxy = Proxy::builder(&schema)
            .backend_address(&stage.address())
            .backend_tls("{ mode: disabled }")
            .start();
        let next = |letter: u8| {
            let scramble: Vec<u8> = (0..20).map(|_| letter).collect();
            [b"\x02caching_sha2_password\0".as_slice(), &scramble, &[0]].concat()
        };
        *stage.act() = Act {
            user: "mock".into(),
            packets: vec![next(b'a'), next(b'b'), vec![0, 0, 0, 2, 0, 0, 0]],
            ..Act::default()
        };
        let account = Account { user: "mock", password: RIGHT };
        let login = Login { capabilities: caps::USUAL | caps::MULTI_FACTOR, ..Login::new(account) };
        let raw = Client::Plain.login(&proxy, &backend, &login).await.expect("three factors");
        let factor = "next factor caching_sha2_password";
        assert_eq!(raw.steps, [factor, factor, "ok"]);
        let answers = stage.act().answers.clone();
        assert_eq!(answers.iter().map(Vec::len).collect::<Vec<_>>(), [32, 32]);
        assert_ne!(answers[0], answers[1], "each to its own scramble");
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
