//! The PROXY protocol: from a load balancer to the proxy, and from the proxy to a server that takes it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::on_every_server;
use crate::support::{Account, Login, Proxy, Schema, Stage, Wire, missing, text_rows};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 3306\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\0\x02\x07\xC6\x33\x64\x01\x12\x67\x0C\xEA";
/// A load balancer's health check: LOCAL.
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

async fn begin(proxy: &Proxy, header: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(header).await.unwrap();
    stream
}

/// What comes before the end of the stream.
async fn until_closed(mut stream: TcpStream, patience: Duration) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset says as well that the connection is closed.
    let _ = tokio::time::timeout(patience, stream.read_to_end(&mut rest)).await.expect("closed in time");
    rest
}

on_every_server! {
    async fn a_header_is_required_of_load_balancers_and_only_of_them(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let stage = Stage::before(&backend);
        let proxy = Proxy::builder(&schema)
            .client_tls("optional")
            .backend_address(&stage.address())
            .extra("proxy_protocol: { accept: [127.0.0.0/8, \"::1\"] }")
            .start();
        for header in [V1, V2, V2_LOCAL, b"PROXY UNKNOWN\r\n"] {
            let login = Login::new(Account::APP).schema(&schema.name);
            for login in [login.clone(), login.tls(&backend)] {
                let mut raw = login.over(Wire::Tcp(begin(&proxy, header).await)).await.expect("a login");
                assert_eq!(raw.one("SELECT 1").await.text(), [[Some("1".to_owned())]]);
            }
        }
        proxy.wait_for_log("192.0.2.7:4711");
        // In pieces, slowly.
        let mut stream = begin(&proxy, &V1[..3]).await;
        for byte in &V1[3..] {
            stream.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Login::new(Account::APP).over(Wire::Tcp(stream)).await.expect("a login");

        let connections = stage.recorded().len();
        // Malformed, none, and a client that goes on as if nothing was to be sent: closed without an answer,
        // and the server never hears of it.
        let response = [&[32, 0, 0, 1], [0x85_u8; 32].as_slice()].concat();
        for wrong in [b"PROXY TCP4 192.0.2.7\r\n".as_slice(), b"GET / HTTP/1.1\r\n\r\n", &response, &[0; 600]] {
            let stream = begin(&proxy, wrong).await;
            assert_eq!(until_closed(stream, Duration::from_secs(3)).await, b"");
        }
        proxy.wait_for_log("does not begin with one");
        // And one that waits for a greeting, for five seconds.
        let start = std::time::Instant::now();
        let stream = begin(&proxy, &V2[..9]).await;
        assert_eq!(until_closed(stream, Duration::from_secs(8)).await, b"");
        assert!(start.elapsed() > Duration::from_secs(4));
        assert_eq!(stage.recorded().len(), connections);
        // A unix socket has no load balancer before it.
        Login::new(Account::APP).unix(&proxy.socket).await.expect("a login");
    }

    async fn others_cannot_pretend_to_be_load_balancers(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let proxy = Proxy::builder(&schema).extra("proxy_protocol: { accept: [192.0.2.0/24] }").start();
        let mut stream = begin(&proxy, V1).await;
        // The greeting comes as ever; the header is no handshake response.
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting).await.unwrap();
        assert_eq!(greeting[4], 10);
        let rest = until_closed(stream, Duration::from_secs(12)).await;
        assert!(!String::from_utf8_lossy(&rest).contains("192.0.2.7"));
        Login::new(Account::APP).tcp(("127.0.0.1", proxy.port)).await.expect("a login");
    }

    async fn mariadb_takes_the_header_and_knows_the_client(backend: Backend) {
        if !backend.is_mariadb() {
            return; // MySQL's community edition does not know the PROXY protocol.
        }
        let schema = Schema::create(&backend).await;
        let networks = text_rows(&mut schema.direct().await, "SELECT @@GLOBAL.proxy_protocol_networks").await;
        if networks[0][0].as_deref() != Some("127.0.0.1") {
            missing("a MariaDB that takes PROXY headers from 127.0.0.1");
            return;
        }
        let host = "SELECT host FROM information_schema.processlist WHERE id = CONNECTION_ID()";
        let login = Login::new(Account::APP);
        for version in ["v1", "v2"] {
            for tls in ["disabled", "required"] {
                let proxy = Proxy::builder(&schema)
                    .backend_tls(&format!("{{ mode: {tls} }}"))
                    .extra(&format!("proxy_protocol: {{ accept: 127.0.0.1, send: {version} }}"))
                    .start();
                let mut raw = login.over(Wire::Tcp(begin(&proxy, V2).await)).await.expect("a login");
                assert_eq!(raw.one("SELECT USER()").await.text(), [[Some("app@192.0.2.7".to_owned())]]);
                assert_eq!(raw.one(host).await.text(), [[Some("192.0.2.7:4711".to_owned())]]);
                let ipv6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 3306\r\n";
                let mut raw = login.over(Wire::Tcp(begin(&proxy, ipv6).await)).await.expect("a login");
                assert_eq!(raw.one("SELECT USER()").await.text(), [[Some("app@2001:db8::7".to_owned())]]);
                // A unix socket has no address to tell: the server sees the proxy's.
                let mut raw = login.unix(&proxy.socket).await.expect("a login");
                assert_eq!(raw.one("SELECT USER()").await.text(), [[Some("app@127.0.0.1".to_owned())]]);
            }
            // Of a client without a load balancer, its socket's address.
            let proxy = Proxy::builder(&schema).extra(&format!("proxy_protocol: {{ send: {version} }}")).start();
            let stream = begin(&proxy, b"").await;
            let own = stream.local_addr().unwrap().to_string();
            let mut raw = login.over(Wire::Tcp(stream)).await.expect("a login");
            assert_eq!(raw.one(host).await.text(), [[Some(own)]]);
        }
    }

    async fn a_server_learns_the_clients_address(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let stage = Stage::before(&backend);
        for version in ["v1", "v2"] {
            let proxy = Proxy::builder(&schema)
                .backend_address(&stage.address())
                .extra(&format!("proxy_protocol: {{ accept: 127.0.0.1, send: {version} }}"))
                .start();
            let expected = if version == "v1" { V1 } else { V2 };
            stage.act().header = expected.len();
            let login = Login::new(Account::APP);
            login.over(Wire::Tcp(begin(&proxy, V2).await)).await.expect("a login");
            let recorded = stage.recorded();
            assert!(recorded.iter().any(|connection| connection.from_proxy.starts_with(expected)), "{version}");
            stage.act().header = 0;
        }
    }
}
