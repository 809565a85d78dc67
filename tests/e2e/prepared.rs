//! Traps of the binary protocol: each on a protected table and on its plain twin, with the same outcome.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use tokio::io::AsyncWriteExt;

use crate::on_every_server;
use crate::support::raw::Reply;
use crate::support::{Raw, caps, sealed_and_plain};

const FLAGS: u32 = caps::USUAL | caps::DEPRECATE_EOF;
/// MariaDB: the statement prepared last.
const LAST: u32 = u32::MAX;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// What a reply says, without the proxy's own words: an ERR's number, an OK's counts, rows as they are.
fn gist(replies: &[Reply]) -> String {
    let one = |reply: &Reply| match reply {
        Reply::Err { code, state, .. } => format!("{code} {state}"),
        Reply::Ok(done) => format!("{} {}", done.affected_rows, done.status),
        Reply::Rows { rows, error, .. } => format!("{rows:?} {error:?}"),
        Reply::LocalInfile(_) => "infile".into(),
    };
    replies.iter().map(one).collect::<Vec<_>>().join("; ")
}

on_every_server! {
    async fn a_statement_may_be_executed_before_its_id_is_known(backend: Backend) {
        let (schema, proxy) = sealed_and_plain(&backend).await;
        let mut outcomes = Vec::new();
        for table in ["sealed", "plain"] {
            let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
            raw.one(format!("INSERT INTO {table} VALUES (1, 'one', 1), (2, 'two', 2)")).await.ok();
            let mut seen = Vec::new();
            for (text, params) in [
                ("SELECT email FROM {t} WHERE id = ?", vec![Some(&b"2"[..])]),
                ("INSERT INTO {t} VALUES (3, ?, ?)", vec![Some(b"three"), None]),
                ("SELECT email FROM {t} ORDER BY id", vec![]),
                // This one fails, and leaves no "last" behind.
                ("SELECT nothing FROM {t}", vec![]),
            ] {
                // Two commands in one write.
                let prepare = [&[0x16][..], text.replace("{t}", table).as_bytes()].concat();
                raw.sequence = 0;
                let mut both = raw.frame(&prepare);
                raw.sequence = 0;
                both.extend(raw.frame(&raw.execute_payload(LAST, 0, &params)));
                raw.stream.write_all(&both).await.unwrap();
                raw.sequence = 1;
                let prepared = raw.prepared().await;
                raw.sequence = 1;
                seen.push(format!("{} {}", prepared.is_ok(), gist(&raw.results().await)));
            }
            outcomes.push(seen);
        }
        assert_eq!(outcomes[0], outcomes[1]);
        // MySQL does not know that id.
        assert_eq!(outcomes[0][1], if backend.is_mariadb() { "true 1 2" } else { "true 1243 HY000" });
        assert_eq!(outcomes[0][3].split_once(' ').unwrap().0, "false");
    }

    async fn nulls_are_found_in_every_byte_of_the_bitmap(backend: Backend) {
        let (schema, proxy) = sealed_and_plain(&backend).await;
        let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
        let ids: Vec<String> = (1..=20).map(|id| id.to_string()).collect();
        let mut seen = Vec::new();
        for table in ["sealed", "plain"] {
            let p = raw.prepare(format!("INSERT INTO {table} (id, email) VALUES {}", ["(?, ?)"; 20].join(","))).await.unwrap();
            let mut params: Vec<Option<&[u8]>> = Vec::new();
            for (at, id) in ids.iter().enumerate() {
                params.extend([Some(id.as_bytes()), Some(id.as_bytes()).filter(|_| at % 3 != 0)]);
            }
            assert_eq!(raw.execute(p.id, &params).await[0].ok().affected_rows, 20);
            // In rows the bitmap starts two bits later.
            let columns = ["email", "id", "NULL", "email", "n", "email", "id", "email", "email"].join(", ");
            let p = raw.prepare(format!("SELECT {columns} FROM {table} WHERE id > ? ORDER BY id")).await.unwrap();
            seen.push(raw.execute(p.id, &[Some(b"0")]).await[0].rows().to_vec());
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0].len(), 20);
    }

    async fn as_many_parameters_as_the_protocol_has(backend: Backend) {
        let (schema, proxy) = sealed_and_plain(&backend).await;
        let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
        let ids: Vec<String> = (1..=32_768).map(|id| id.to_string()).collect();
        for table in ["sealed", "plain"] {
            let rows = vec!["(?,?)"; 32_767].join(",");
            let p = raw.prepare(format!("INSERT INTO {table} (id, email) VALUES {rows},(?,'last')")).await.unwrap();
            assert_eq!(p.parameters.len(), 65_535);
            let mut params: Vec<Option<&[u8]>> = Vec::new();
            for id in &ids[..32_767] {
                params.extend([Some(id.as_bytes()), Some(id.as_bytes()).filter(|id| id.len() != 3)]);
            }
            params.push(Some(ids[32_767].as_bytes()));
            assert_eq!(raw.execute(p.id, &params).await[0].ok().affected_rows, 32_768);
            let text = format!("SELECT id, email FROM {table} WHERE id IN (7, 100, 32767, 32768) ORDER BY id");
            let expected = [[some("7"), some("7")], [some("100"), None], [some("32767"), some("32767")], [some("32768"), some("last")]];
            assert_eq!(raw.one(text).await.text(), expected, "{table}");
            let one_more = format!("INSERT INTO {table} (id, email) VALUES {rows},(?,?)");
            let Err(Reply::Err { code, .. }) = raw.prepare(one_more).await else { panic!("65,536 parameters") };
            assert_eq!(code, 1390, "{table}");
        }
    }

    async fn long_data_where_none_belongs(backend: Backend) {
        let (schema, proxy) = sealed_and_plain(&backend).await;
        let mut outcomes = Vec::new();
        for table in ["sealed", "plain"] {
            let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
            let mut seen = Vec::new();
            let p = raw.prepare(format!("INSERT INTO {table} VALUES (?, ?, ?)")).await.unwrap();
            let long = |id: u32, index: u16, data: &[u8]| [&[0x18][..], &id.to_le_bytes(), &index.to_le_bytes(), data].concat();
            // For a parameter that is not sealed, beside one that is.
            raw.send(&long(p.id, 0, b"1")).await;
            raw.send(&long(p.id, 1, b"long ")).await;
            raw.send(&long(p.id, 1, b"data")).await;
            seen.push(gist(&raw.execute(p.id, &[None, None, Some(b"5")]).await));
            // For a statement that is not there: no answer, and nothing happens.
            raw.send(&long(4711, 0, b"lost")).await;
            seen.push(gist(&raw.execute(p.id, &[Some(b"2"), Some(b"inline"), None]).await));
            // For a parameter that is not there: the error waits for the execution.
            raw.send(&long(p.id, 9, b"lost")).await;
            seen.push(gist(&raw.execute(p.id, &[Some(b"3"), Some(b"inline"), None]).await));
            raw.short(&[&[0x1A][..], &p.id.to_le_bytes()].concat()).await.ok();
            seen.push(gist(&raw.execute(p.id, &[Some(b"4"), Some(b"inline"), None]).await));
            // Statements that are gone, by each way to lose them.
            raw.send(&[&[0x19][..], &p.id.to_le_bytes()].concat()).await;
            seen.push(gist(&raw.execute(p.id, &[Some(b"5"), Some(b"inline"), None]).await));
            raw.send(&[&[0x19][..], &p.id.to_le_bytes()].concat()).await;
            let q = raw.prepare(format!("SELECT email FROM {table}")).await.unwrap();
            raw.short(&[0x1F]).await.ok();
            seen.push(gist(&raw.execute(q.id, &[]).await));
            seen.push(format!("{:?}", raw.one(format!("SELECT * FROM {table} ORDER BY id")).await.text()));
            outcomes.push(seen);
        }
        assert_eq!(outcomes[0], outcomes[1]);
    }

    async fn a_table_altered_behind_a_statement_gives_right_values_or_an_error(backend: Backend) {
        let (schema, proxy) = sealed_and_plain(&backend).await;
        let mut direct = schema.direct().await;
        let mut raw = Raw::through(&proxy, &schema, FLAGS).await;
        for table in ["sealed", "plain"] {
            raw.one(format!("INSERT INTO {table} VALUES (1, 'behind', 1)")).await.ok();
        }
        let texts = [
            "SELECT email, n FROM {t} WHERE id = 1",
            "SELECT * FROM {t} WHERE id = 1",
            "UPDATE {t} SET email = ? WHERE id = 1",
            "INSERT INTO {t} VALUES (?, ?, ?)",
            "INSERT INTO {t} (id, email) VALUES (?, ?)",
        ];
        // What each change is, on both tables at once.
        let changes: [&[&str]; 4] = [
            &["ALTER TABLE {t} ADD COLUMN extra int NULL FIRST"],
            &["ALTER TABLE {t} DROP COLUMN extra", "ALTER TABLE {t} MODIFY email varchar(500)"],
            // The same number of columns, in another order: the second parameter is no longer for `email`.
            &["ALTER TABLE {t} MODIFY n int NULL AFTER id"],
            &["DROP TABLE {t}", "CREATE TABLE {t} (id int PRIMARY KEY, n int, email varchar(191))", "INSERT INTO {t} (id) VALUES (1)"],
        ];
        let mut id = 10;
        for (round, change) in changes.into_iter().enumerate() {
            // New in each round: an UPDATE that changes nothing counts as one that does, where values are sealed.
            let values = [1, 2, 3].map(|n| (7_000_000 + round * 10 + n).to_string());
            let mut statements = Vec::new();
            for text in texts {
                for table in ["sealed", "plain"] {
                    let text = text.replace("{t}", table);
                    // Positional inserts fit only some of the shapes.
                    if let Ok(p) = raw.prepare(&text).await {
                        statements.push((text, p));
                    }
                }
            }
            for table in ["sealed", "plain"] {
                for statement in change {
                    direct.query_drop(statement.replace("{t}", table)).await.unwrap();
                }
            }
            // `catalog.max_age` is one second.
            tokio::time::sleep(Duration::from_millis(1200)).await;
            let mut outcomes: Vec<(String, Vec<Reply>)> = Vec::new();
            for (text, p) in statements {
                id += 1;
                let number = id.to_string();
                let params: &[Option<&[u8]>] = match p.parameters.len() {
                    0 => &[],
                    1 => &[Some(values[0].as_bytes())],
                    2 => &[Some(number.as_bytes()), Some(values[1].as_bytes())],
                    _ => &[Some(number.as_bytes()), Some(values[1].as_bytes()), Some(values[2].as_bytes())],
                };
                outcomes.push((text, raw.execute(p.id, params).await));
            }
            for pair in outcomes.chunks(2) {
                let [(text, sealed), (_, plain)] = pair else { panic!("{}", pair[0].0) };
                // The proxy may ask for another COM_STMT_PREPARE, with the error that stands for that, and it may
                // use its own words where the server finds an error, too.
                let own = |reply: &Reply| match reply {
                    Reply::Err { code: 1615, .. } => true,
                    Reply::Err { message, .. } => {
                        message.starts_with("sealwire SW-") && matches!(plain[0], Reply::Err { .. })
                    }
                    _ => false,
                };
                if sealed.len() != 1 || !own(&sealed[0]) {
                    assert_eq!(gist(sealed), gist(plain), "{change:?}: {text}");
                }
            }
        }
        let stored: Vec<Option<String>> = direct.query("SELECT email FROM sealed WHERE email IS NOT NULL").await.unwrap();
        assert!(stored.iter().flatten().all(|value| value.starts_with("pQE")), "{stored:?}");
        let expected = raw.one("SELECT COUNT(*) FROM plain WHERE n > 7000000").await.text();
        assert_eq!(raw.one("SELECT COUNT(*) FROM sealed WHERE n > 7000000").await.text(), expected);
    }
}
