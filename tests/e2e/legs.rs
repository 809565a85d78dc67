//! Where one leg must not be confused by the other, between a client and a server of the tests' own: what is said
//! during a login, out of order, before its time, or without the TLS that was asked for.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::mock::{Boxed, Mock, OK, PATIENCE, conversation, greeting, hears, packet, play, reads, response};
use crate::on_every_server;
use crate::support::Schema;
use sealwire::wire::capability::PASSED;

const SSL: u32 = 1 << 11;
/// What a server and a client of these tests agree on.
const FLAGS: u32 = PASSED & !(1 << 24) & !(1 << 27) & !(1 << 21) & !(1 << 20) & !(1 << 3) & !(1 << 28);
const REFUSED: &[u8] = b"\xFF\x81\x04#08S01no further";

/// Both sides of a session whose client has logged in.
async fn logged_in(mock: &Mock) -> (Boxed, Boxed, tokio::task::JoinHandle<()>) {
    let (client, server, task) = mock.session().await;
    let (mut client, mut server): (Boxed, Boxed) = (Box::new(client), Box::new(server));
    play(&mut client, &mut server, &conversation()[..5], "the login").await;
    (client, server, task)
}

/// What still comes, up to the end of the stream.
async fn rest(stream: &mut Boxed, what: &str) -> Vec<u8> {
    let mut rest = Vec::new();
    // A reset ends a stream as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap_or_else(|_| panic!("{what}: not closed"));
    rest
}

/// What one side says between others' lines, and where the other side must hear nothing of it.
const DISORDER: &[(&str, &[&[u8]])] = &[
    ("a statement in two packets", &[b"\x03INSERT INTO elsewhere.a VALUES ('"]),
    ("long data in two packets", &[b"\x18\x01\0\0\0\0\0"]),
];

on_every_server! {
    async fn what_is_said_during_a_login_is_never_read_as_a_command(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mock = Mock::new(&schema, false).await;
        let (client, server, task) = mock.session().await;
        let (mut client, mut server): (Boxed, Boxed) = (Box::new(client), Box::new(server));
        server.write_all(&packet(0, &greeting(FLAGS, "of_tomorrow"))).await.unwrap();
        reads(&mut client, "the greeting").await;
        client.write_all(&packet(1, &response(FLAGS, "of_tomorrow"))).await.unwrap();
        reads(&mut server, "the response").await;
        let mut sequence = 1u8;
        // Answers that begin as each command does: COM_QUIT would close, COM_QUERY would be analysed.
        for first in 0..=255u8 {
            for tail in [&b""[..], b"INSERT INTO t (sealed) VALUES (CONCAT('a', 'b'))"] {
                let what = format!("{first:#04x} and {} bytes", tail.len());
                sequence = sequence.wrapping_add(1);
                let question = packet(sequence, b"\x01question");
                server.write_all(&question).await.unwrap();
                hears(&mut client, &question, &what).await;
                sequence = sequence.wrapping_add(1);
                let answer = packet(sequence, &[&[first], tail].concat());
                client.write_all(&answer).await.unwrap();
                hears(&mut server, &answer, &what).await;
            }
        }
        server.write_all(&packet(sequence.wrapping_add(1), OK)).await.unwrap();
        hears(&mut client, &packet(sequence.wrapping_add(1), OK), "the end of the login").await;
        // From here on they are commands.
        for command in [&b"\x03SELECT 1"[..], b"\x01"] {
            client.write_all(&packet(0, command)).await.unwrap();
            hears(&mut server, &packet(0, command), "a command, and nothing before it").await;
            if command[0] == 3 {
                server.write_all(&packet(1, OK)).await.unwrap();
                hears(&mut client, &packet(1, OK), "its answer").await;
            }
        }
        drop((client, server));
        timeout(PATIENCE, task).await.expect("the session ends").expect("no panic");
    }

    async fn packets_out_of_order_end_the_session_and_go_no_further(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mock = Mock::new(&schema, false).await;
        let lines = conversation();
        // The answer to the AuthSwitchRequest, and a piece of a file, each with the id of another packet.
        let file = lines.iter().position(|(_, line)| line.ends_with(b"\xFBf")).expect("a request for a file");
        for (at, id) in [(3, 2u8), (3, 4), (file + 1, 1), (file + 1, 7)] {
            let what = format!("line {at} with the id {id}");
            let (client, server, task) = mock.session().await;
            let (mut client, mut server): (Boxed, Boxed) = (Box::new(client), Box::new(server));
            play(&mut client, &mut server, &lines[..at], &what).await;
            let mut line = lines[at].1.clone();
            line[3] = id;
            client.write_all(&line).await.unwrap();
            assert_eq!(rest(&mut server, &what).await, b"", "{what}");
            drop(client);
            timeout(PATIENCE, task).await.expect("the session ends").expect("no panic");
        }
        // A payload of two packets, the second of which is not the next one.
        for (what, head) in DISORDER {
            for id in [0u8, 2, 255] {
                let (mut client, mut server, task) = logged_in(&mock).await;
                let first = [head[0], &vec![b'x'; 0xFF_FFFF - head[0].len()]].concat();
                let said = [packet(0, &first), packet(id, b"y')")].concat();
                let write = async {
                    let _ = client.write_all(&said).await;
                    let _ = rest(&mut client, what).await;
                };
                let (got, ()) = tokio::join!(rest(&mut server, what), write);
                assert!(!got.ends_with(b"y')"), "{what}, {id}: the second packet went to the server");
                drop((client, server));
                timeout(PATIENCE, task).await.expect("the session ends").expect("no panic");
            }
        }
    }

    async fn a_server_that_speaks_before_it_has_heard_all_is_heard(backend: Backend) {
        const MIB: usize = 1 << 20;
        let schema = Schema::create(&backend).await;
        let mock = Mock::new(&schema, false).await;
        let of = |head: &[u8], length: usize| {
            let mut command = head.to_vec();
            command.resize(length, b'x');
            command
        };
        // One that is read whole before it goes on, two that go on as they come, and a file.
        let held = of(b"\x03INSERT INTO elsewhere.a VALUES ('", 15 * MIB);
        let long_data = of(b"\x18\x01\0\0\0\0\0", 15 * MIB);
        let execute = of(b"\x17\x01\0\0\0\0\x01\0\0\0\0\x01\xfd\0", 15 * MIB);
        let mut file = packet(0, b"\x03LOAD DATA LOCAL INFILE 'f' INTO TABLE elsewhere.a");
        (2..30).for_each(|id| file.extend(packet(id, &vec![b'x'; MIB])));
        let cases = [("a query", packet(0, &held)), ("long data", packet(0, &long_data)), ("an execution", packet(0, &execute))];
        for (what, said) in cases.into_iter().chain([("a file", file)]) {
            let (client, mut server, task) = logged_in(&mock).await;
            let (mut hearing, mut saying) = tokio::io::split(client);
            let saying = tokio::spawn(async move {
                let _ = saying.write_all(&said).await;
            });
            let mut some = vec![0; 4096];
            if what == "a file" {
                let (_, query) = reads(&mut server, what).await;
                assert_eq!(query[0], 3);
                server.write_all(&packet(1, b"\xFBf")).await.unwrap();
                let mut request = [0; 6];
                timeout(PATIENCE, hearing.read_exact(&mut request)).await.expect("a request").unwrap();
            }
            timeout(PATIENCE, server.read_exact(&mut some)).await.expect("the beginning").unwrap();
            // It refuses, and reads no more.
            let refusal = packet(if what == "a file" { 3 } else { 1 }, REFUSED);
            server.write_all(&refusal).await.unwrap();
            let mut got = vec![0; refusal.len()];
            timeout(PATIENCE, hearing.read_exact(&mut got)).await.unwrap_or_else(|_| panic!("{what}: nothing is heard")).unwrap();
            assert_eq!(got[4..], *REFUSED, "{what}");
            saying.abort();
            drop((hearing, server));
            timeout(PATIENCE, task).await.unwrap_or_else(|_| panic!("{what}: the session does not end")).expect("no panic");
        }
    }

    async fn a_server_without_tls_is_told_nothing_where_tls_is_required(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mock = Mock::new(&schema, true).await;
        for client_tls in [false, true] {
            let (client, server, task) = mock.session().await;
            let (mut client, mut server): (Boxed, Boxed) = (Box::new(client), Box::new(server));
            // As somebody in between would strip it.
            server.write_all(&packet(0, &greeting(FLAGS & !SSL, "mysql_native_password"))).await.unwrap();
            reads(&mut client, "the greeting").await;
            let mut answer = response(FLAGS, "mysql_native_password");
            let mut id = 1;
            if client_tls {
                answer = response(FLAGS | SSL, "mysql_native_password");
                client.write_all(&packet(1, &answer[..32])).await.unwrap();
                client = mock.connect_tls(client).await;
                id = 2;
            }
            client.write_all(&packet(id, &answer)).await.unwrap();
            let (_, error) = reads(&mut client, "a refusal").await;
            let error = String::from_utf8_lossy(&error[3..]).into_owned();
            assert!(error.contains("SW-2003") && error.contains("offers no TLS"), "{error}");
            assert_eq!(rest(&mut server, "the server").await, b"", "nothing, and no password above all");
            drop(client);
            timeout(PATIENCE, task).await.expect("the session ends").expect("no panic");
        }
    }

    async fn a_password_in_the_clear_passes_over_a_servers_leg_with_tls(backend: Backend) {
        let schema = Schema::create(&backend).await;
        let mock = Mock::new(&schema, true).await;
        let (client, server, task) = mock.session().await;
        let (mut client, mut server): (Boxed, Boxed) = (Box::new(client), Box::new(server));
        server.write_all(&packet(0, &greeting(FLAGS | SSL, "mysql_native_password"))).await.unwrap();
        reads(&mut client, "the greeting").await;
        let answer = response(FLAGS | SSL, "mysql_native_password");
        client.write_all(&packet(1, &answer[..32])).await.unwrap();
        client = mock.connect_tls(client).await;
        client.write_all(&packet(2, &answer)).await.unwrap();
        reads(&mut server, "SSLRequest").await;
        server = mock.accept_tls(server).await;
        reads(&mut server, "the response").await;
        let switch = packet(3, b"\xFEmysql_clear_password\0");
        server.write_all(&switch).await.unwrap();
        hears(&mut client, &switch, "AuthSwitchRequest").await;
        let password = packet(4, b"a password\0");
        client.write_all(&password).await.unwrap();
        hears(&mut server, &password, "the password").await;
        server.write_all(&packet(5, OK)).await.unwrap();
        hears(&mut client, &packet(5, OK), "OK").await;
        drop((client, server));
        timeout(PATIENCE, task).await.expect("the session ends").expect("no panic");
    }
}
