//! Cursors and other prepared executions, packet by packet, on a protected table and on its plain twin.

use mysql_async::prelude::Queryable;

use crate::on_every_server;
use crate::support::raw::{Done, Prepared, Reply, definition, status};
use crate::support::{Backend, Proxy, Raw, Schema, caps};

const EOF_FORMS: [u32; 2] = [0, caps::DEPRECATE_EOF];
const CURSOR_TYPE_READ_ONLY: u8 = 1;

/// `sealed.email` is protected, `plain.email` is not; both hold the same after [`fill`].
async fn tables(backend: &Backend) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    let mut conn = schema.direct().await;
    for table in ["sealed", "plain"] {
        let columns = "id int PRIMARY KEY, email varchar(191), n bigint, born datetime, raw varbinary(400)";
        conn.query_drop(format!("CREATE TABLE {table} ({columns})")).await.unwrap();
    }
    let proxy = Proxy::builder(&schema).column("sealed", "email", "{}").column("sealed", "raw", "{}").start();
    (schema, proxy)
}

async fn fill(raw: &mut Raw) {
    for table in ["sealed", "plain"] {
        let rows: Vec<String> = (1..=20usize)
            .map(|id| {
                let email = if id % 5 == 0 { "NULL".into() } else { format!("'{}'", "e".repeat(id * 3 % 50)) };
                format!("({id}, {email}, {}, '2024-02-29 12:34:{id:02}', x'{id:04x}')", id * 1_000_000_007)
            })
            .collect();
        raw.one(format!("INSERT INTO {table} VALUES {}", rows.join(","))).await.ok();
    }
}

/// A response with the table's name and the physical width of the protected column taken out.
fn told(replies: &[Reply]) -> Vec<Reply> {
    replies
        .iter()
        .cloned()
        .map(|reply| match reply {
            Reply::Rows { columns, rows, end, error } => {
                Reply::Rows { columns: definitions(&columns), rows, end, error }
            }
            other => other,
        })
        .collect()
}

fn definitions(columns: &[Vec<u8>]) -> Vec<Vec<u8>> {
    columns
        .iter()
        .map(|payload| {
            let (names, rest) = definition(payload);
            let names = names.join(".").replace("sealed", "plain");
            [names.into_bytes(), rest].concat()
        })
        .collect()
}

fn fetch(id: u32, rows: u32) -> Vec<u8> {
    [&[0x1C][..], &id.to_le_bytes(), &rows.to_le_bytes()].concat()
}

async fn prepare(raw: &mut Raw, statement: &str, table: &str) -> Prepared {
    let statement = statement.replace("{t}", table);
    raw.prepare(&statement).await.unwrap_or_else(|error| panic!("{statement}: {error:?}"))
}

on_every_server! {
    async fn rows_of_a_cursor_come_in_the_portions_asked_for_and_open(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        fill(&mut Raw::through(&proxy, &schema, caps::USUAL).await).await;
        for eof in EOF_FORMS {
            let mut raw = Raw::through(&proxy, &schema, caps::USUAL | eof).await;
            let mut outcomes = Vec::new();
            for table in ["sealed", "plain"] {
                let mut told_all: Vec<(Vec<Vec<u8>>, Option<Done>, bool)> = Vec::new();
                let p = prepare(&mut raw, "SELECT id, email, n, born, raw FROM {t} WHERE id > ? ORDER BY id", table).await;
                raw.send(&raw.execute_payload(p.id, CURSOR_TYPE_READ_ONLY, &[Some(b"3")])).await;
                let opened = raw.cursor().await;
                assert!(opened.1.status & status::CURSOR_EXISTS != 0, "{opened:?}");
                for rows in [1, 4, 100] {
                    raw.send(&fetch(p.id, rows)).await;
                    let (rows, end, error) = raw.rows().await;
                    told_all.push((rows, end, error.is_some()));
                }
                // Behind the last row, and after a reset: an error of the server's.
                raw.send(&fetch(p.id, 1)).await;
                let (rows, end, error) = raw.rows().await;
                told_all.push((rows, end, error.is_some()));
                raw.short(&[&[0x1A][..], &p.id.to_le_bytes()].concat()).await.ok();
                raw.send(&fetch(p.id, 1)).await;
                let (rows, end, error) = raw.rows().await;
                told_all.push((rows, end, error.is_some()));
                // The cursor may be opened again, closed in the middle, and the connection used on.
                raw.send(&raw.execute_payload(p.id, CURSOR_TYPE_READ_ONLY, &[Some(b"18")])).await;
                raw.cursor().await;
                raw.send(&fetch(p.id, 1)).await;
                let (rows, end, error) = raw.rows().await;
                told_all.push((rows, end, error.is_some()));
                raw.send(&[&[0x19][..], &p.id.to_le_bytes()].concat()).await;
                raw.send(&fetch(p.id, 1)).await;
                assert!(matches!(raw.result().await, Reply::Err { code: 1243 | 1421, .. }));
                assert_eq!(raw.one("SELECT 1").await.text(), [[Some("1".to_owned())]]);
                outcomes.push((definitions(&opened.0), told_all));
            }
            let (plain, sealed) = (outcomes.pop().unwrap(), outcomes.pop().unwrap());
            assert_eq!(sealed.1, plain.1);
            assert_eq!(plain.1[0].0.len() + plain.1[1].0.len() + plain.1[2].0.len(), 17);
        }
    }

    async fn a_cursor_over_nothing_and_one_that_the_server_does_not_open(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        fill(&mut Raw::through(&proxy, &schema, caps::USUAL).await).await;
        for eof in EOF_FORMS {
            let mut raw = Raw::through(&proxy, &schema, caps::USUAL | eof).await;
            for statement in [
                "SELECT id, email FROM {t} WHERE id > 100",
                "SELECT COUNT(*), COUNT(email) FROM {t}",
                "UPDATE {t} SET n = n WHERE id = 1",
                "INSERT INTO {t} (id, email) VALUES (50, 'x') ON DUPLICATE KEY UPDATE n = 1",
            ] {
                let mut outcomes = Vec::new();
                for table in ["sealed", "plain"] {
                    let p = prepare(&mut raw, statement, table).await;
                    raw.send(&raw.execute_payload(p.id, CURSOR_TYPE_READ_ONLY, &[])).await;
                    let first = raw.read().await;
                    if first[0] == 0 {
                        outcomes.push(format!("{first:?}"));
                        continue;
                    }
                    let columns = raw.cursor_after(first).await;
                    let mut all = format!("{:?}", columns.1);
                    if columns.1.status & status::CURSOR_EXISTS != 0 {
                        raw.send(&fetch(p.id, 5)).await;
                        all += &format!("{:?}", raw.rows().await);
                    } else {
                        all += &format!("{:?}", columns.2);
                    }
                    outcomes.push(all);
                }
                assert_eq!(outcomes[0], outcomes[1], "{statement}");
            }
        }
    }

    async fn an_error_among_rows_ends_them_where_it_does_directly(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        fill(&mut Raw::through(&proxy, &schema, caps::USUAL).await).await;
        // The subquery has two rows for the fourth row. Rows before are sent, as nothing is sorted.
        let select = "SELECT email, id, (SELECT id FROM {t} AS u WHERE u.id <= CASE t.id WHEN 4 THEN 2 ELSE 1 END) AS one                       FROM {t} AS t WHERE id < 9 ORDER BY id";
        for eof in EOF_FORMS {
            let mut raw = Raw::through(&proxy, &schema, caps::USUAL | caps::MULTI_STATEMENTS | eof).await;
            let mut outcomes = Vec::new();
            for table in ["sealed", "plain"] {
                let select = select.replace("{t}", table);
                let mut seen = told(&raw.query(format!("{select}; SELECT 'never'")).await);
                let p = prepare(&mut raw, &select, table).await;
                seen.extend(told(&raw.execute(p.id, &[]).await));
                for reply in &seen {
                    let Reply::Rows { rows, end: None, error: Some(error), .. } = reply else { panic!("{reply:?}") };
                    assert_eq!((rows.len(), error.code()), (3, 1242), "{table}");
                }
                assert_eq!(seen.len(), 2, "nothing behind an error");
                outcomes.push(seen);
                assert_eq!(raw.one("SELECT 1").await.text(), [[Some("1".to_owned())]]);
            }
            assert_eq!(outcomes[0], outcomes[1]);
        }
    }

    async fn types_that_came_once_are_remembered_and_nulls_are_where_they_were_bound(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut raw = Raw::through(&proxy, &schema, caps::USUAL | caps::DEPRECATE_EOF).await;
        let mut seen = Vec::new();
        for table in ["sealed", "plain"] {
            let p = prepare(&mut raw, "INSERT INTO {t} (id, email, n, raw) VALUES (?, ?, ?, ?)", table).await;
            // LONG, VAR_STRING, LONGLONG, BLOB; then the same without types; then with NULLs.
            let head = |bitmap: u8, bound: u8| [&[0x17][..], &p.id.to_le_bytes(), &[0, 1, 0, 0, 0, bitmap, bound]].concat();
            let types = [3, 0, 253, 0, 8, 0, 252, 0];
            let row = |id: i32, email: &[u8], n: i64| {
                [&id.to_le_bytes()[..], &[email.len() as u8], email, &n.to_le_bytes(), &[2, 0, 0xFF]].concat()
            };
            raw.short(&[head(0, 1), types.to_vec(), row(1, b"first", -1)].concat()).await.ok();
            raw.short(&[head(0, 0), row(2, b"second, longer", i64::MAX)].concat()).await.ok();
            raw.short(&[head(0b1010, 0), 3i32.to_le_bytes().to_vec(), 7i64.to_le_bytes().to_vec()].concat()).await.ok();
            raw.short(&[head(0b1110, 0), 4i32.to_le_bytes().to_vec()].concat()).await.ok();
            // Other types for the same statement.
            let types = [254, 0, 3, 0, 253, 0, 6, 0];
            raw.short(&[head(0b1000, 1), types.to_vec(), vec![1, b'5'], 42i32.to_le_bytes().to_vec(), vec![2, b'1', b'2']].concat())
                .await
                .ok();
            seen.push(raw.one(format!("SELECT id, email, n, raw FROM {table} ORDER BY id")).await.text());
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0].last().unwrap()[1].as_deref(), Some("42"));
    }

    // MariaDB Connector/Node.js sends new_params_bound for statements without parameters, too.
    async fn what_follows_an_execution_without_parameters_is_not_looked_at(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut raw = Raw::through(&proxy, &schema, caps::USUAL | caps::DEPRECATE_EOF).await;
        fill(&mut raw).await;
        for statement in ["SELECT id, email FROM {t} ORDER BY id", "INSERT INTO {t} (id, email) VALUES (90, 'x')"] {
            let mut outcomes = Vec::new();
            for table in ["sealed", "plain"] {
                let p = prepare(&mut raw, statement, table).await;
                let superfluous = [&raw.execute_payload(p.id, 0, &[])[..], &[1]].concat();
                raw.send(&superfluous).await;
                outcomes.push(told(&raw.results().await));
            }
            assert_eq!(outcomes[0], outcomes[1], "{statement}");
        }
        let stored = raw.one("SELECT email FROM sealed WHERE id IN (3, 90) ORDER BY id").await.text();
        assert_eq!(stored, [[Some("e".repeat(9))], [Some("x".into())]]);
    }

    async fn multiple_results_and_their_ends_are_the_servers(backend: Backend) {
        let (schema, proxy) = tables(&backend).await;
        let mut direct = schema.direct().await;
        direct.query_drop("CREATE PROCEDURE several(IN a int, OUT b int, INOUT c varchar(20)) BEGIN SET b = a + 1; \
            SET c = CONCAT(c, '!'); SELECT a AS first; SELECT 'x' AS second, NULL AS third; UPDATE plain SET n = 1; END").await.unwrap();
        direct.query_drop("CREATE PROCEDURE failing() BEGIN SELECT 1; SELECT * FROM nowhere; END").await.unwrap();
        direct.query_drop("CREATE PROCEDURE shows() BEGIN SELECT email FROM sealed; END").await.unwrap();
        for eof in EOF_FORMS {
            let flags = caps::USUAL | caps::MULTI_STATEMENTS | eof;
            let mut through = Raw::through(&proxy, &schema, flags).await;
            let mut directly = Raw::directly(&schema, flags).await;
            for text in [
                "CALL several(1, @b, @c)",
                "SET @c = 'c'; CALL several(5, @b, @c); SELECT @b, @c; SELECT 2",
                "CALL failing()",
                "SELECT 1; SELECT nothing; SELECT 2",
                "INSERT INTO plain (id) VALUES (1); SELECT id FROM plain; DELETE FROM plain",
                ";", "", " ; ", "SELECT 1;", "SELECT 1;;", "SELECT 1; -- end",
            ] {
                let (a, b) = (through.query(text).await, directly.query(text).await);
                assert_eq!(told(&a), told(&b), "{text}");
            }
            // OUT parameters come as a row of their own.
            let mut replies = Vec::new();
            for raw in [&mut through, &mut directly] {
                let p = raw.prepare("CALL several(?, ?, ?)").await.unwrap();
                replies.push(told(&raw.execute(p.id, &[Some(b"3"), None, Some(b"c")]).await));
            }
            assert_eq!(replies[0], replies[1]);
            assert!(replies[0].len() >= 3, "{replies:?}");
            // A procedure that reads what is protected would show it sealed.
            assert!(through.one("CALL shows()").await.error().contains("SW-1502"));
            // Any refusal refuses the packet.
            let before = through.one("SELECT COUNT(*) FROM plain").await.text();
            for text in [
                "INSERT INTO plain (id) VALUES (77); SELECT UPPER(email) FROM sealed",
                "SELECT email FROM sealed; CALL shows()",
                "INSERT INTO plain (id) VALUES (77); SET NAMES latin1; INSERT INTO sealed (id, email) VALUES (77, 'x')",
            ] {
                assert!(through.one(text).await.error().contains("sealwire SW-"), "{text}");
            }
            assert_eq!(through.one("SELECT COUNT(*) FROM plain").await.text(), before);
            // Protected and other statements in one packet.
            let replies = through.query("INSERT INTO sealed (id, email) VALUES (900, 'nine'); SELECT id, email FROM sealed WHERE id = 900; \
                SELECT 'z'; DELETE FROM sealed WHERE id = 900; SELECT email FROM sealed WHERE id = 900").await;
            assert_eq!(replies.len(), 5, "{replies:?}");
            assert_eq!(replies[1].text(), [[Some("900".to_owned()), Some("nine".to_owned())]]);
            // Multi-statements off again.
            through.short(&[0x1B, 1, 0]).await.ok();
            assert_eq!(through.one("SELECT 1; SELECT 2").await.code(), 1064);
            through.short(&[0x1B, 0, 0]).await.ok();
            assert_eq!(through.query("SELECT 1; SELECT 2").await.len(), 2);
        }
    }
}
