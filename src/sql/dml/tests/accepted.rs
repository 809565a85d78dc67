//! Writes that are understood, and the text that would be sent.

use super::*;

fn writes(cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        assert_eq!(accepted(sql).0, *expected, "{sql}");
    }
}

#[test]
fn literals_of_every_form_are_sealed() {
    writes(&[
        ("INSERT INTO users (email) VALUES ('a@b')", "INSERT INTO users (email) VALUES (<email:a@b:1>)"),
        ("INSERT INTO users (email) VALUES (\"a@b\")", "INSERT INTO users (email) VALUES (<email:a@b:1>)"),
        ("INSERT INTO users (email) VALUES (N'a@b')", "INSERT INTO users (email) VALUES (<email:a@b:1>)"),
        ("INSERT INTO users (email) VALUES ('a' 'b' /* x */ 'c')", "INSERT INTO users (email) VALUES (<email:abc:1>)"),
        ("INSERT INTO users (email) VALUES (_utf8mb4'a')", "INSERT INTO users (email) VALUES (<email:a:1>)"),
        ("INSERT INTO users (email) VALUES (_utf8mb4 'a' 'b')", "INSERT INTO users (email) VALUES (<email:ab:1>)"),
        ("INSERT INTO users (email) VALUES (_latin1'a')", "INSERT INTO users (email) VALUES (<email:a:1>)"),
        ("INSERT INTO users (email) VALUES (_binary'a')", "INSERT INTO users (email) VALUES (<email:a:1>)"),
        ("INSERT INTO users (email) VALUES (x'4142')", "INSERT INTO users (email) VALUES (<email:AB:1>)"),
        ("INSERT INTO users (email) VALUES (0x4142)", "INSERT INTO users (email) VALUES (<email:AB:1>)"),
        ("INSERT INTO users (email) VALUES (b'01000001')", "INSERT INTO users (email) VALUES (<email:A:1>)"),
        ("INSERT INTO users (email) VALUES (42)", "INSERT INTO users (email) VALUES (<email:42:1>)"),
        ("INSERT INTO users (email) VALUES (-5)", "INSERT INTO users (email) VALUES (<email:-5:1>)"),
        ("INSERT INTO users (email) VALUES (+5)", "INSERT INTO users (email) VALUES (<email:5:1>)"),
        ("INSERT INTO users (email) VALUES (1.50)", "INSERT INTO users (email) VALUES (<email:1.50:1>)"),
        ("INSERT INTO users (email) VALUES (TRUE)", "INSERT INTO users (email) VALUES (<email:1:1>)"),
        ("INSERT INTO users (email) VALUES (false)", "INSERT INTO users (email) VALUES (<email:0:1>)"),
        ("INSERT INTO users (email) VALUES (('a'))", "INSERT INTO users (email) VALUES ((<email:a:1>))"),
        ("INSERT INTO users (email) VALUES (NULL)", "INSERT INTO users (email) VALUES (NULL)"),
        ("INSERT INTO users (email) VALUES ('')", "INSERT INTO users (email) VALUES (<email::1>)"),
        (
            r"INSERT INTO users (email) VALUES ('it''s \'a\' \\ \n')",
            "INSERT INTO users (email) VALUES (<email:it's 'a' \\ \n:1>)",
        ),
        ("INSERT INTO users (email) VALUES ('é')", "INSERT INTO users (email) VALUES (<email:é:1>)"),
        ("INSERT INTO blobs (data) VALUES (x'00ff')", "INSERT INTO blobs (data) VALUES (<data:00ff:1>)"),
        ("INSERT INTO blobs (data) VALUES ('é')", "INSERT INTO blobs (data) VALUES (<data:c3a9:1>)"),
        ("INSERT INTO blobs (data) VALUES (_binary'a')", "INSERT INTO blobs (data) VALUES (<data:61:1>)"),
    ]);
}

#[test]
fn every_form_of_insert_is_understood() {
    writes(&[
        ("INSERT INTO users VALUES (1, 'a', 'n', 2)", "INSERT INTO users VALUES (1, <email:a:1>, 'n', 2)"),
        ("INSERT users VALUE (1, 'a', 'n', 2)", "INSERT users VALUE (1, <email:a:1>, 'n', 2)"),
        (
            "insert into `shop`.`users` (note, EMAIL) values ('n', 'a'), ('m', 'b')",
            "insert into `shop`.`users` (note, EMAIL) values ('n', <email:a:1>), ('m', <email:b:2>)",
        ),
        ("INSERT INTO users SET email = 'a', note = 'n'", "INSERT INTO users SET email = <email:a:1>, note = 'n'"),
        ("REPLACE INTO users (id, email) VALUES (1, 'a')", "REPLACE INTO users (id, email) VALUES (1, <email:a:1>)"),
        ("REPLACE users SET id = 1, email = 'a'", "REPLACE users SET id = 1, email = <email:a:1>"),
        ("INSERT IGNORE INTO users (email) VALUES ('a')", "INSERT IGNORE INTO users (email) VALUES (<email:a:1>)"),
        (
            "INSERT LOW_PRIORITY INTO users (email) VALUES ('a')",
            "INSERT LOW_PRIORITY INTO users (email) VALUES (<email:a:1>)",
        ),
        ("INSERT INTO users () VALUES ()", "INSERT INTO users () VALUES ()"),
        ("INSERT INTO users (email) VALUES (DEFAULT)", "INSERT INTO users (email) VALUES (DEFAULT)"),
        ("INSERT INTO users (email) VALUES (DEFAULT(email))", "INSERT INTO users (email) VALUES (DEFAULT(email))"),
        (
            "INSERT INTO users (id, email) VALUES (1, 'a') ON DUPLICATE KEY UPDATE email = 'b', note = 'c'",
            "INSERT INTO users (id, email) VALUES (1, <email:a:1>) ON DUPLICATE KEY UPDATE email = <email:b:1>, note = 'c'",
        ),
        (
            "INSERT INTO users (id, email) VALUES (1, 'a') ON DUPLICATE KEY UPDATE email = VALUES(email), age = age + 1",
            "INSERT INTO users (id, email) VALUES (1, <email:a:1>) ON DUPLICATE KEY UPDATE email = VALUES(email), age = age + 1",
        ),
        (
            "INSERT INTO users (id, email) VALUES (1, 'a') AS new ON DUPLICATE KEY UPDATE email = new.email",
            "INSERT INTO users (id, email) VALUES (1, <email:a:1>) AS new ON DUPLICATE KEY UPDATE email = new.email",
        ),
        (
            "INSERT INTO users (id, email) VALUES (1, 'a') AS new(i, e) ON DUPLICATE KEY UPDATE email = e",
            "INSERT INTO users (id, email) VALUES (1, <email:a:1>) AS new(i, e) ON DUPLICATE KEY UPDATE email = e",
        ),
        (
            "INSERT INTO users (id) VALUES (1) ON DUPLICATE KEY UPDATE email = email",
            "INSERT INTO users (id) VALUES (1) ON DUPLICATE KEY UPDATE email = email",
        ),
        (
            "INSERT INTO users (id, note) SELECT id, total FROM orders",
            "INSERT INTO users (id, note) SELECT id, total FROM orders",
        ),
        (
            "INSERT INTO orders (user_id) SELECT id FROM users WHERE email IS NULL",
            "INSERT INTO orders (user_id) SELECT id FROM users WHERE email IS NULL",
        ),
        (
            "INSERT INTO orders (total) SELECT COUNT(email) FROM users",
            "INSERT INTO orders (total) SELECT COUNT(email) FROM users",
        ),
        ("INSERT INTO crm.users (email) VALUES ('a')", "INSERT INTO crm.users (email) VALUES ('a')"),
    ]);
}

#[test]
fn what_the_server_would_store_by_itself_is_sealed() {
    writes(&[
        (
            "INSERT INTO people (name) VALUES ('a'), ('b')",
            "INSERT INTO people (`plan`, name) VALUES (<plan:free:1>, <name:a:1>), (<plan:free:2>, <name:b:2>)",
        ),
        (
            "INSERT INTO people (name, plan) VALUES ('a', DEFAULT)",
            "INSERT INTO people (name, plan) VALUES (<name:a:1>, <plan:free:1>)",
        ),
        ("INSERT INTO people SET name = 'a'", "INSERT INTO people SET `plan` = <plan:free:1>, name = <name:a:1>"),
        (
            "REPLACE INTO people (name) VALUES ('a')",
            "REPLACE INTO people (`plan`, name) VALUES (<plan:free:1>, <name:a:1>)",
        ),
        // Strict: the server refuses these itself.
        ("INSERT INTO people (plan) VALUES ('p')", "INSERT INTO people (plan) VALUES (<plan:p:1>)"),
        (
            "INSERT INTO people (name, plan) VALUES (NULL, 'p')",
            "INSERT INTO people (name, plan) VALUES (NULL, <plan:p:1>)",
        ),
        (
            "INSERT INTO people (name, plan) VALUES (NULL, 'p'), ('a', 'q')",
            "INSERT INTO people (name, plan) VALUES (NULL, <plan:p:1>), (<name:a:2>, <plan:q:2>)",
        ),
        ("UPDATE people SET name = NULL", "UPDATE people SET name = NULL"),
        ("UPDATE people SET plan = DEFAULT", "UPDATE people SET plan = <plan:free:1>"),
        // IGNORE coerces whatever the mode.
        (
            "INSERT IGNORE INTO people (plan) VALUES ('p')",
            "INSERT IGNORE INTO people (`name`, plan) VALUES (<name::1>, <plan:p:1>)",
        ),
        (
            "INSERT IGNORE INTO people (name, plan) VALUES (NULL, 'p')",
            "INSERT IGNORE INTO people (name, plan) VALUES (<name::1>, <plan:p:1>)",
        ),
        ("UPDATE IGNORE people SET name = NULL", "UPDATE IGNORE people SET name = <name::1>"),
    ]);
    for (sql, expected) in [
        ("INSERT INTO people (plan) VALUES ('p')", "INSERT INTO people (`name`, plan) VALUES (<name::1>, <plan:p:1>)"),
        ("INSERT INTO people SET plan = 'p'", "INSERT INTO people SET `name` = <name::1>, plan = <plan:p:1>"),
        (
            "INSERT INTO people (name, plan) VALUES (NULL, 'p')",
            "INSERT INTO people (name, plan) VALUES (NULL, <plan:p:1>)",
        ),
        (
            "INSERT INTO people (name, plan) VALUES ('a', 'p'), (NULL, 'q')",
            "INSERT INTO people (name, plan) VALUES (<name:a:1>, <plan:p:1>), (<name::2>, <plan:q:2>)",
        ),
        (
            "INSERT INTO people (name, plan) VALUES (DEFAULT, 'p')",
            "INSERT INTO people (name, plan) VALUES (<name::1>, <plan:p:1>)",
        ),
        ("UPDATE people SET name = NULL", "UPDATE people SET name = <name::1>"),
        ("UPDATE people SET name = DEFAULT", "UPDATE people SET name = DEFAULT"),
        ("UPDATE users SET email = NULL", "UPDATE users SET email = NULL"),
        ("UPDATE people SET name = name", "UPDATE people SET name = name"),
    ] {
        assert_eq!(accepted_in(sql, lenient).0, expected, "{sql}");
    }
}

#[test]
fn strict_trans_tables_holds_for_the_first_row_of_other_engines() {
    for (sql, expected) in [
        ("INSERT INTO isam (name) VALUES (NULL)", "INSERT INTO isam (name) VALUES (NULL)"),
        ("INSERT INTO isam (name) VALUES ('a'), (NULL)", "INSERT INTO isam (name) VALUES (<name:a:1>), (<name::2>)"),
        ("INSERT INTO isam (note) VALUES ('a')", "INSERT INTO isam (note) VALUES ('a')"),
        ("UPDATE isam SET name = NULL", "UPDATE isam SET name = NULL"),
    ] {
        assert_eq!(accepted(sql).0, expected, "{sql}");
    }
}

#[test]
fn mariadb_takes_a_column_for_given_that_only_the_update_clause_names() {
    for (sql, expected) in [
        (
            "INSERT INTO people (id, plan) VALUES (1, 'p') ON DUPLICATE KEY UPDATE name = 'n'",
            "INSERT INTO people (`name`, id, plan) VALUES (<name::1>, 1, <plan:p:1>) ON DUPLICATE KEY UPDATE name = <name:n:1>",
        ),
        (
            "INSERT INTO people SET id = 1, plan = 'p' ON DUPLICATE KEY UPDATE NAME = name",
            "INSERT INTO people SET `name` = <name::1>, id = 1, plan = <plan:p:1> ON DUPLICATE KEY UPDATE NAME = name",
        ),
    ] {
        assert_eq!(accepted(sql).0, expected, "{sql}");
    }
}

#[test]
fn mysql_coerces_the_default_of_an_update() {
    let mut catalog = snapshot();
    catalog.version = crate::catalog::ServerVersion { flavor: crate::catalog::ServerFlavor::MySql, number: 90704 };
    let mut ctx = context(&catalog);
    for (sql, expected) in [
        ("UPDATE people SET name = DEFAULT", "UPDATE people SET name = DEFAULT"),
        ("UPDATE IGNORE people SET name = DEFAULT", "UPDATE IGNORE people SET name = <name::1>"),
        (
            "INSERT INTO people (id, plan) VALUES (1, 'p') ON DUPLICATE KEY UPDATE name = 'n'",
            "INSERT INTO people (id, plan) VALUES (1, <plan:p:1>) ON DUPLICATE KEY UPDATE name = <name:n:1>",
        ),
    ] {
        assert_eq!(spliced(sql.as_bytes(), &plan_in(sql.as_bytes(), &ctx).map_err(explain).unwrap()), expected);
    }
    lenient(&mut ctx);
    let sql = b"UPDATE people SET name = DEFAULT";
    assert_eq!(spliced(sql, &plan_in(sql, &ctx).map_err(explain).unwrap()), "UPDATE people SET name = <name::1>");
}

#[test]
fn updates_and_deletes_are_understood() {
    writes(&[
        ("UPDATE users SET email = 'a' WHERE id = 1", "UPDATE users SET email = <email:a:1> WHERE id = 1"),
        (
            "UPDATE users u SET u.email = 'a', u.note = 'b' ORDER BY id LIMIT 1",
            "UPDATE users u SET u.email = <email:a:1>, u.note = 'b' ORDER BY id LIMIT 1",
        ),
        ("UPDATE shop.users SET shop.users.email = 'a'", "UPDATE shop.users SET shop.users.email = <email:a:1>"),
        (
            "UPDATE users u JOIN orders o ON o.user_id = u.id SET u.email = 'a', o.email = 'b'",
            "UPDATE users u JOIN orders o ON o.user_id = u.id SET u.email = <email:a:1>, o.email = 'b'",
        ),
        (
            "UPDATE users, orders SET users.email = 'a', total = 1 WHERE user_id = users.id",
            "UPDATE users, orders SET users.email = <email:a:1>, total = 1 WHERE user_id = users.id",
        ),
        ("UPDATE users SET email = email", "UPDATE users SET email = email"),
        (
            "UPDATE users SET note = IF(email IS NULL, 'no', 'yes')",
            "UPDATE users SET note = IF(email IS NULL, 'no', 'yes')",
        ),
        (
            "UPDATE users SET email = COALESCE(email, 'none')",
            "UPDATE users SET email = COALESCE(email, <email:none:1>)",
        ),
        (
            "UPDATE users SET email = CASE id WHEN 1 THEN 'a' WHEN 2 THEN 'b' ELSE email END WHERE id IN (1, 2)",
            "UPDATE users SET email = CASE id WHEN 1 THEN <email:a:1> WHEN 2 THEN <email:b:1> ELSE email END WHERE id IN (1, 2)",
        ),
        (
            "UPDATE users SET email = IF(id = 1, 'a', 'b')",
            "UPDATE users SET email = IF(id = 1, <email:a:1>, <email:b:1>)",
        ),
        ("UPDATE users SET note = 'n' WHERE email IS NOT NULL", "UPDATE users SET note = 'n' WHERE email IS NOT NULL"),
        (
            "UPDATE orders SET email = 'a' WHERE user_id IN (SELECT id FROM users)",
            "UPDATE orders SET email = 'a' WHERE user_id IN (SELECT id FROM users)",
        ),
        ("UPDATE crm.users SET email = 'a'", "UPDATE crm.users SET email = 'a'"),
        (
            "WITH x AS (SELECT id FROM orders) UPDATE users SET email = 'a' WHERE id IN (SELECT id FROM x)",
            "WITH x AS (SELECT id FROM orders) UPDATE users SET email = <email:a:1> WHERE id IN (SELECT id FROM x)",
        ),
        ("DELETE FROM users WHERE id = 1", "DELETE FROM users WHERE id = 1"),
        (
            "DELETE FROM users WHERE email IS NULL ORDER BY id LIMIT 3",
            "DELETE FROM users WHERE email IS NULL ORDER BY id LIMIT 3",
        ),
        (
            "DELETE u FROM users u JOIN orders o ON o.user_id = u.id WHERE o.total = 0",
            "DELETE u FROM users u JOIN orders o ON o.user_id = u.id WHERE o.total = 0",
        ),
        ("DELETE QUICK FROM users WHERE id = 1", "DELETE QUICK FROM users WHERE id = 1"),
        (
            "DELETE users.* FROM users JOIN orders ON user_id = users.id",
            "DELETE users.* FROM users JOIN orders ON user_id = users.id",
        ),
        (
            "DELETE FROM u USING users u JOIN orders o ON o.user_id = u.id",
            "DELETE FROM u USING users u JOIN orders o ON o.user_id = u.id",
        ),
    ]);
}

#[test]
fn parameters_get_their_roles_in_the_order_of_the_text() {
    for (sql, expected) in [
        ("INSERT INTO users (id, email, note) VALUES (?, ?, ?)", ".,email:1,."),
        ("INSERT INTO users VALUES (?, ?, ?, ?), (?, ?, ?, ?)", ".,email:1,.,.,.,email:2,.,."),
        ("INSERT INTO users (email) VALUES (?) ON DUPLICATE KEY UPDATE email = ?, note = ?", "email:1,email:1,."),
        ("INSERT INTO users SET id = ?, email = ?", ".,email:1"),
        ("UPDATE users SET note = ?, email = ? WHERE id = ? LIMIT ?", ".,email:1,.,."),
        ("UPDATE users SET email = CASE WHEN id = ? THEN ? ELSE email END WHERE id = ?", ".,email:1,."),
        ("SELECT email, ? FROM users WHERE id IN (?, ?) LIMIT ?, ?", ".,.,.,.,."),
        ("SELECT COALESCE(email, ?) FROM users WHERE id = ?", "email:1,."),
        ("SELECT * FROM (SELECT id FROM users WHERE age > ?) d WHERE d.id = ?", ".,."),
        ("INSERT INTO people (name, plan) VALUES (?, ?)", "name:1,plan:1"),
        ("INSERT IGNORE INTO people (name, plan) VALUES (?, ?)", "name:1!,plan:1!"),
        ("DELETE FROM users WHERE id = ? LIMIT ?", ".,."),
    ] {
        assert_eq!(params(&accepted(sql).1), expected, "{sql}");
    }
    let lenient_rows = accepted_in("INSERT INTO people (name, plan) VALUES (?, ?), (?, ?)", |ctx| {
        lenient(ctx);
        ctx.protocol = Protocol::Prepared;
    });
    assert_eq!(params(&lenient_rows.1), "name:1!,plan:1!,name:2!,plan:2!");
}

#[test]
fn returning_is_a_select_list() {
    let (_, plan) = accepted("INSERT INTO users (email) VALUES ('a') RETURNING id, email");
    assert_eq!(roles(&plan), ".,email");
    assert_eq!(roles(&accepted("DELETE FROM users WHERE id = 1 RETURNING *").1), ".,email,.,.");
}

#[test]
fn rows_of_the_same_column_are_copied_as_they_are() {
    for sql in [
        "INSERT INTO users SELECT * FROM users",
        "INSERT INTO users (note, email) SELECT 'x', email FROM users WHERE id = 1",
        "REPLACE INTO users (email) SELECT u.email FROM orders o LEFT JOIN users u ON u.id = o.user_id",
        "INSERT INTO people (name, plan) SELECT name, plan FROM people",
        "INSERT INTO users PARTITION (p0, p1) (id, email) SELECT id, mail FROM v_users",
    ] {
        writes(&[(sql, sql)]);
    }
}
