//! Clients of MariaDB 11.4 and later, which verify the server's certificate by an authority or, where none of theirs
//! signed it, by the password: what the proxy must be given for them. They look only where the server is not local,
//! so the proxy listens on another address of this machine.

use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::{Account, PrivateServer, Proxy, Schema, Server, missing};

/// An address of this machine's that is not the loopback interface's. No packet is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("203.0.113.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback())
}

fn openssl(folder: &Path, arguments: &str) {
    let status = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).stderr(Stdio::null()).status();
    assert!(status.unwrap().success(), "{arguments}");
}

/// A folder with `server.pem` and `server-key.pem`, for this address. `authority`: the folder of the one that signs.
fn certificate(folder: PathBuf, address: IpAddr, authority: Option<&Path>) -> PathBuf {
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("server.ext"), format!("subjectAltName=IP:{address}\nbasicConstraints=CA:FALSE\n"))
        .unwrap();
    openssl(&folder, "req -newkey rsa:2048 -nodes -subj /CN=sealwire -keyout server-key.pem -out server.csr");
    let signer = match authority {
        Some(tls) => format!("-CA {0}/ca.pem -CAkey {0}/ca-key.pem -CAcreateserial", tls.display()),
        None => "-signkey server-key.pem".to_owned(),
    };
    openssl(&folder, &format!("x509 -req -in server.csr {signer} -days 2 -extfile server.ext -out server.pem"));
    folder
}

/// What `mariadb` of 11.8 says, to standard output or else to standard error.
fn client(address: IpAddr, port: u16, account: Account, arguments: &str) -> String {
    let script = format!(
        ". tests/support/provision.sh; provision_mariadb118; run_unpacked mariadb-11.8 usr/bin/mariadb --no-defaults \
         --plugin-dir=\"$(echo \"$SEALWIRE_CACHE\"/mariadb-11.8/usr/lib/*/libmariadb3/plugin)\" {arguments} \
         -h{address} -P{port} -u{} -p{} -N -B -e \"SHOW SESSION STATUS LIKE 'Ssl_version'\"",
        account.user, account.password
    );
    let output = Command::new("bash").arg("-c").arg(script).stdin(Stdio::null()).output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    String::from_utf8(text).unwrap()
}

on_every_server! {
    async fn clients_that_verify_take_the_servers_own_certificate_or_one_of_their_authority(backend: Backend) {
        // The others have no such proof.
        if backend.server != Server::MariaDb118 {
            return;
        }
        let Some(address) = own_address() else {
            missing("an address that is not the loopback interface's");
            return;
        };
        let private = PrivateServer::start_with(backend.server, &format!("--bind-address=127.0.0.1,{address}"));
        let schema = Schema::create(&private.backend).await;
        let mut root = schema.direct().await;
        let tls = &private.backend.tls;
        let signed = certificate(tls.join("signed"), address, Some(tls));
        let other = certificate(tls.join("other"), address, None);
        // The server's is one that it has signed itself.
        let own = certificate(tls.clone(), address, None);
        root.query_drop("FLUSH SSL").await.unwrap();
        let proxy = |certificate: &Path, server_tls: &str| {
            Proxy::builder(&schema)
                .listen(&address.to_string())
                .client_tls("optional")
                .tls_folder(certificate)
                .backend_tls(&format!("{{ mode: {server_tls} }}"))
                .start()
        };
        let wrong = |account: Account| Account { password: "wrong", ..account };
        let is_encrypted = |said: &str| said.starts_with("Ssl_version\tTLS");
        let refused = "ERROR 2026 (HY000): TLS/SSL error: ";
        let ca = format!("--ssl-ca={}/ca.pem", tls.display());
        let disabled = "--disable-ssl-verify-server-cert";

        for account in [Account::APP, Account::ED25519, Account::PARSEC] {
            // Directly, for comparison: by the password, and only by the right one.
            let said = client(address, private.backend.port, account, "");
            assert!(is_encrypted(&said), "{account:?} directly: {said}");
            let denied = client(address, private.backend.port, wrong(account), "");
            assert!(denied.contains("ERROR 1045"), "{denied}");

            let with_own = proxy(&own, "required");
            let said = client(address, with_own.port, account, "");
            assert!(is_encrypted(&said), "{account:?}, the server's own: {said}");
            let denied = client(address, with_own.port, wrong(account), "");
            assert!(denied.contains("ERROR 1045"), "{denied}");

            // The server proves it over a plain leg, too, where it tells of no TLS.
            let plain = proxy(&own, "disabled");
            assert_eq!(client(address, plain.port, account, ""), "Ssl_version\t\n", "{account:?}");

            let with_other = proxy(&other, "required");
            let said = client(address, with_other.port, account, "");
            assert!(said.contains(refused), "{account:?}, another: {said}");
            assert!(is_encrypted(&client(address, with_other.port, account, disabled)));

            let with_signed = proxy(&signed, "required");
            let said = client(address, with_signed.port, account, &ca);
            assert!(is_encrypted(&said), "{account:?}, of their authority: {said}");
            let said = client(address, with_other.port, account, &ca);
            assert!(said.contains(refused), "{account:?}, not of their authority: {said}");
        }
    }
}
