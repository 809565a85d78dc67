//! TLS on each leg, on and off.

use std::process::{Command, Stdio};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, SslOpts};

use crate::on_every_server;
use crate::support::{Account, Backend, PrivateServer, Proxy, Schema, connect, text_rows};

const CIPHER: &str = "SHOW SESSION STATUS LIKE 'Ssl_cipher'";

fn ssl(backend: &Backend) -> SslOpts {
    SslOpts::default().with_root_certs(vec![backend.ca().into()]).with_disable_built_in_roots(true)
}

/// Whether the server says that its own leg is encrypted.
async fn server_leg_is_encrypted(conn: &mut Conn) -> bool {
    text_rows(conn, CIPHER).await[0][1].as_ref().is_some_and(|cipher| !cipher.is_empty())
}

on_every_server! {
    async fn each_leg_is_encrypted_on_its_own(backend: Backend) {
        let schema = Schema::create(&backend).await;
        for (mode, encrypted) in [("disabled", false), ("preferred", true), ("required", true)] {
            let proxy =
                Proxy::builder(&schema).client_tls("optional").backend_tls(&format!("{{ mode: {mode} }}")).start();
            for client_tls in [false, true] {
                let accounts = [Account::APP, if backend.is_mariadb() { Account::NATIVE } else { Account::SHA2 }];
                for account in accounts {
                    let mut opts = proxy.opts(account);
                    if client_tls {
                        opts = opts.ssl_opts(ssl(&backend));
                    }
                    let mut conn = connect(opts).await;
                    assert_eq!(server_leg_is_encrypted(&mut conn).await, encrypted, "{mode}, client TLS {client_tls}");
                }
            }
        }
    }

    async fn the_servers_certificate_is_verified(backend: Backend) {
        let schema = Schema::create(&backend).await;
        for mode in ["verify-ca", "verify-identity"] {
            let settings = format!("{{ mode: {mode}, ca: \"{}\" }}", backend.ca().display());
            let proxy = Proxy::builder(&schema).backend_tls(&settings).start();
            let mut conn = connect(proxy.opts(Account::APP)).await;
            assert!(server_leg_is_encrypted(&mut conn).await, "{mode}");
        }
    }

    async fn required_refuses_a_client_in_the_clear(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).client_tls("required").start();
        let error = Conn::new(proxy.opts(Account::APP)).await.expect_err("no plaintext connection");
        assert!(!error.to_string().is_empty());
        connect(proxy.opts(Account::APP).ssl_opts(ssl(&backend))).await;
    }

    async fn an_account_that_requires_tls_logs_in_over_an_encrypted_server_leg(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).client_tls("optional").backend_tls("{ mode: required }").start();
        for tls in [None, Some(ssl(&backend))] {
            let mut conn = connect(proxy.opts(Account::TLS).ssl_opts(tls)).await;
            assert!(server_leg_is_encrypted(&mut conn).await);
        }
    }

    async fn a_client_certificate_of_the_proxys_satisfies_require_x509(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let tls = backend.tls.display();
        let settings = format!(
            "{{ mode: verify-identity, ca: \"{tls}/ca.pem\", cert: \"{tls}/client.pem\", key: \"{tls}/client-key.pem\" }}"
        );
        let proxy = Proxy::builder(&schema).backend_tls(&settings).start();
        connect(proxy.opts(Account::X509)).await;
    }

    async fn a_certificate_without_any_name_is_refused_with_what_to_do(backend: Backend) {
        let private = PrivateServer::start(backend.server);
        let schema = Schema::create(&private.backend).await;
        // As servers make them for themselves, but by the tests' authority.
        let tls = &private.backend.tls;
        let openssl = |arguments: &str| {
            let status = Command::new("openssl").args(arguments.split(' ')).current_dir(tls).stderr(Stdio::null()).status();
            assert!(status.unwrap().success(), "{arguments}");
        };
        openssl("req -newkey rsa:2048 -nodes -subj /CN=automatic -keyout server-key.pem -out server.csr");
        std::fs::write(tls.join("server.ext"), "basicConstraints=CA:FALSE\n").unwrap();
        openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile server.ext -out server.pem");
        let reload = if backend.is_mariadb() { "FLUSH SSL" } else { "ALTER INSTANCE RELOAD TLS" };
        schema.direct().await.query_drop(reload).await.unwrap();
        let check = |mode: &str| {
            let settings = format!("{{ mode: {mode}, ca: {} }}", private.backend.ca().display());
            let builder = Proxy::builder(&schema).backend_tls(&settings);
            let (_folder, config) = builder.write();
            let output = builder.command().args(["check", "-c"]).arg(config).env("SEALWIRE_LOG", "off").output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let text = check("verify-ca");
        assert!(text.contains("FAILED") && text.contains("give the server a certificate with a subjectAltName"), "{text}");
        assert!(check("verify-identity").contains("FAILED"));
        let text = check("required");
        assert!(text.contains("server         ok"), "{text}");
    }
}
