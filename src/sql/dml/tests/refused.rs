//! Statements that must not run, and their codes.

use super::*;

#[test]
fn searches_are_refused() {
    refuses(&[
        (Code::Comparison, "SELECT id FROM users WHERE email = 'a'"),
        (Code::Comparison, "SELECT id FROM users WHERE 'a' = email"),
        (Code::Comparison, "SELECT id FROM users WHERE email = ?"),
        (Code::Comparison, "SELECT id FROM users WHERE email <=> NULL"),
        (Code::Comparison, "SELECT id FROM users WHERE email <> 'a'"),
        (Code::Comparison, "SELECT id FROM users WHERE email IN ('a', 'b')"),
        (Code::Comparison, "SELECT id FROM users WHERE 'a' IN (email, note)"),
        (Code::Comparison, "SELECT id FROM users WHERE email LIKE 'a%' ESCAPE '!'"),
        (Code::Comparison, "SELECT id FROM users WHERE note LIKE email"),
        (Code::Comparison, "SELECT id FROM users WHERE email REGEXP 'a'"),
        (Code::Comparison, "SELECT id FROM users WHERE email BETWEEN 'a' AND 'b'"),
        (Code::Comparison, "SELECT id FROM users WHERE note BETWEEN 'a' AND email"),
        (Code::Comparison, "SELECT id FROM users WHERE (email, id) = ('a', 1)"),
        (Code::Comparison, "SELECT id FROM users WHERE (id, email) IN ((1, 'a'))"),
        (Code::Comparison, "SELECT id FROM users WHERE note IN (SELECT email FROM users)"),
        (Code::Comparison, "SELECT id FROM orders WHERE email IN (SELECT email FROM users)"),
        (Code::Comparison, "SELECT id FROM users WHERE email = ANY (SELECT note FROM users)"),
        (Code::Comparison, "SELECT id FROM orders WHERE email = (SELECT email FROM users LIMIT 1)"),
        (Code::Comparison, "SELECT id FROM users WHERE COALESCE(email, 'x') = 'x'"),
        (Code::Comparison, "SELECT CASE email WHEN 'a' THEN 1 END FROM users"),
        (Code::Comparison, "SELECT u.id FROM users u JOIN orders o ON o.email = u.email"),
        (Code::Comparison, "SELECT 1 FROM users JOIN crm.users c USING (email)"),
        (Code::Comparison, "SELECT 1 FROM users NATURAL JOIN crm.users c"),
        (Code::Comparison, "SELECT id FROM users WHERE MATCH (email) AGAINST ('a')"),
        (Code::Comparison, "SELECT e FROM (SELECT email e FROM users) d WHERE e = 'a'"),
        (Code::Comparison, "WITH c AS (SELECT email e FROM users) SELECT * FROM c WHERE c.e = 'a'"),
        (Code::Comparison, "SELECT id FROM v_users WHERE mail = 'a'"),
        (Code::Comparison, "SELECT id FROM users u WHERE EXISTS (SELECT 1 FROM orders o WHERE o.email = u.email)"),
        (Code::Comparison, "UPDATE users SET note = 'x' WHERE email = 'a'"),
        (Code::Comparison, "DELETE FROM users WHERE email = 'a'"),
        (Code::Comparison, "SELECT COUNT(*) FROM users HAVING COUNT(email = 'a') > 1"),
        (Code::Comparison, "SELECT COUNT(email = 'a') FROM users"),
        (Code::Comparison, "SELECT email AS x FROM users HAVING x = 'a'"),
        (Code::Expression, "SELECT id FROM users WHERE email"),
        (Code::Expression, "SELECT id FROM users WHERE NOT email"),
        (Code::Comparison, "SELECT id FROM users WHERE id = 1 AND 'a' = email IS NULL"),
        (Code::Comparison, "SELECT id FROM users WHERE note = email IS NULL"),
    ]);
}

#[test]
fn is_null_is_taken_only_where_it_tests_the_column_itself() {
    refuses(&[
        (Code::Expression, "SELECT id FROM users WHERE BINARY email IS NULL"),
        (Code::Expression, "SELECT id FROM users WHERE -email IS NULL"),
        (Code::Expression, "SELECT id FROM users WHERE ! email IS NULL"),
        (Code::Expression, "SELECT id FROM users WHERE note + email IS NULL"),
        (Code::Comparison, "SELECT id FROM users WHERE note LIKE email IS NULL"),
        (Code::Comparison, "SELECT id FROM users WHERE id BETWEEN 1 AND email IS NULL"),
    ]);
    assert_eq!(
        refusal_in("SELECT id FROM users WHERE NOT email IS NULL", |c| c.sql_mode.high_not_precedence = true),
        Ok(Code::Expression)
    );
}

#[test]
fn expressions_are_refused() {
    refuses(&[
        (Code::Expression, "SELECT UPPER(email) FROM users"),
        (Code::Expression, "SELECT CONCAT(email, 'x') FROM users"),
        (Code::Expression, "SELECT CONCAT_WS(',', id, email) FROM users"),
        (Code::Expression, "SELECT email + 0 FROM users"),
        (Code::Expression, "SELECT -email FROM users"),
        (Code::Expression, "SELECT CAST(email AS CHAR) FROM users"),
        (Code::Expression, "SELECT CONVERT(email USING utf8mb4) FROM users"),
        (Code::Expression, "SELECT email COLLATE utf8mb4_bin FROM users"),
        (Code::Expression, "SELECT BINARY email FROM users"),
        (Code::Expression, "SELECT SUBSTRING(email, 1, 2) FROM users"),
        (Code::Expression, "SELECT TRIM(email) FROM users"),
        (Code::Expression, "SELECT LENGTH(email) FROM users"),
        (Code::Expression, "SELECT MD5(email) FROM users"),
        (Code::Expression, "SELECT NULLIF(email, 'a') FROM users"),
        (Code::Expression, "SELECT GREATEST(email, note) FROM users"),
        (Code::Expression, "SELECT IF(email, 1, 2) FROM users"),
        (Code::Expression, "SELECT JSON_OBJECT('e', email) FROM users"),
        (Code::Expression, "SELECT email->'$.a' FROM users"),
        (Code::Expression, "SELECT POSITION('a' IN email) FROM users"),
        (Code::Expression, "SELECT EXTRACT(YEAR FROM email) FROM users"),
        (Code::Expression, "SELECT email OR 1 FROM users"),
        (Code::Expression, "SELECT UPPER(e) FROM (SELECT email e FROM users) d"),
        (Code::Expression, "SELECT UPPER((SELECT email FROM users LIMIT 1))"),
        (Code::Expression, "SELECT UPPER(mail) FROM v_users"),
        (Code::Aggregate, "SELECT MAX(email) FROM users"),
        (Code::Aggregate, "SELECT MIN(email) FROM users"),
        (Code::Aggregate, "SELECT COUNT(DISTINCT email) FROM users"),
        (Code::Aggregate, "SELECT GROUP_CONCAT(email) FROM users"),
        (Code::Expression, "SELECT GROUP_CONCAT(note ORDER BY email) FROM users"),
        (Code::Expression, "SELECT FIRST_VALUE(email) OVER (ORDER BY id) FROM users"),
        (Code::WindowFunction, "SELECT ROW_NUMBER() OVER (ORDER BY email) FROM users"),
        (Code::WindowFunction, "SELECT RANK() OVER w FROM users WINDOW w AS (PARTITION BY email)"),
        (Code::ViewDefinition, "SELECT * FROM v_upper"),
        (Code::ViewDefinition, "SELECT * FROM v_opaque"),
        (Code::StoredFunction, "SELECT reveal(id) FROM users"),
        (Code::StoredFunction, "SELECT shop.reveal(1)"),
        (Code::MixedBranches, "SELECT COALESCE(email, note) FROM users"),
        (Code::MixedBranches, "SELECT IFNULL(email, CONCAT('a', 'b')) FROM users"),
        (Code::MixedBranches, "SELECT IF(id = 1, email, note) FROM users"),
        (Code::MixedBranches, "SELECT CASE WHEN id = 1 THEN email ELSE note END FROM users"),
        (Code::MixedBranches, "SELECT COALESCE(users.email, people.name) FROM users, people"),
        (Code::MixedBranches, "SELECT COALESCE(email, @x) FROM users"),
        (Code::MixedBranches, "SELECT email FROM users UNION ALL SELECT note FROM users"),
        (Code::MixedBranches, "SELECT note FROM users UNION ALL SELECT email FROM users"),
        (Code::MixedBranches, "SELECT name FROM people UNION ALL SELECT plan FROM people"),
    ]);
}

#[test]
fn grouping_and_ordering_are_refused() {
    refuses(&[
        (Code::Grouping, "SELECT DISTINCT email FROM users"),
        (Code::Grouping, "SELECT DISTINCT note, email FROM users"),
        (Code::Grouping, "SELECT DISTINCT id + 0, email FROM users"),
        (Code::Grouping, "SELECT DISTINCT a.id, b.email FROM users a JOIN users b"),
        (Code::Grouping, "SELECT DISTINCT orders.id, users.email FROM users JOIN orders ON orders.user_id = users.id"),
        (Code::Grouping, "SELECT DISTINCT id, COALESCE(email, NULL) AS e FROM users"),
        (Code::Grouping, "SELECT DISTINCT * FROM (SELECT id, email FROM users) d"),
        (Code::Grouping, "SELECT DISTINCT * FROM v_users"),
        (Code::Grouping, "SELECT id, email FROM users GROUP BY id, email WITH ROLLUP"),
        (Code::Grouping, "SELECT note AS id, email FROM users GROUP BY id, email"),
        (Code::Grouping, "SELECT a.email FROM users a JOIN users b GROUP BY b.id, a.email"),
        (Code::Grouping, "SELECT DISTINCT COALESCE(email, 'a') AS e FROM users"),
        (Code::Grouping, "SELECT COUNT(*) FROM users GROUP BY email"),
        (Code::Grouping, "SELECT email FROM users GROUP BY 1"),
        (Code::Grouping, "SELECT email e FROM users GROUP BY e"),
        (Code::Grouping, "SELECT email, id FROM users GROUP BY note, (1)"),
        (Code::Grouping, "SELECT COUNT(*) FROM users GROUP BY email WITH ROLLUP"),
        (Code::Grouping, "SELECT * FROM (SELECT DISTINCT email x FROM users) d"),
        (Code::Grouping, "SELECT email FROM users UNION SELECT email FROM users"),
        (Code::Grouping, "SELECT email FROM users UNION DISTINCT SELECT NULL"),
        (Code::Grouping, "SELECT email FROM users UNION ALL SELECT email FROM users UNION SELECT email FROM users"),
        (Code::Grouping, "SELECT email FROM users INTERSECT SELECT email FROM users"),
        (Code::Grouping, "SELECT email FROM users EXCEPT SELECT email FROM users"),
        (Code::Ordering, "SELECT id FROM users ORDER BY email"),
        (Code::Ordering, "SELECT id, email FROM users ORDER BY 2"),
        (Code::Ordering, "SELECT id, email FROM users ORDER BY +2"),
        (Code::Ordering, "SELECT id, email FROM users ORDER BY ?"),
        (Code::Ordering, "SELECT email e FROM users ORDER BY e DESC"),
        (Code::Ordering, "SELECT * FROM users ORDER BY 2"),
        (Code::Ordering, "SELECT COALESCE(email, '') x FROM users ORDER BY x"),
        (Code::Ordering, "SELECT email e FROM users UNION ALL SELECT email FROM users ORDER BY e"),
        (Code::Ordering, "SELECT email FROM users UNION ALL SELECT email FROM users ORDER BY 1"),
        (Code::Ordering, "UPDATE users SET note = 'a' ORDER BY email"),
        (Code::Ordering, "DELETE FROM users ORDER BY email LIMIT 1"),
        (Code::Ordering, "SELECT id FROM users ORDER BY (SELECT u.email FROM users u LIMIT 1)"),
    ]);
}

#[test]
fn flows_out_of_the_column_are_refused() {
    refuses(&[
        (Code::FlowToColumn, "UPDATE users SET note = email"),
        (Code::FlowToColumn, "UPDATE users SET note = (SELECT email FROM users u2 LIMIT 1)"),
        (Code::FlowToColumn, "UPDATE users SET note = COALESCE(email, 'x')"),
        (Code::Expression, "UPDATE users SET note = UPPER(email)"),
        (Code::FlowToColumn, "UPDATE orders o JOIN users u ON u.id = o.user_id SET o.email = u.email"),
        (Code::FlowToColumn, "UPDATE people SET name = plan"),
        (Code::FlowToColumn, "INSERT INTO users (email, note) VALUES ('a', email)"),
        (Code::FlowToColumn, "INSERT INTO users (email) VALUES ('a') ON DUPLICATE KEY UPDATE note = VALUES(email)"),
        (Code::FlowToColumn, "INSERT INTO users (email) VALUES ('a') AS n ON DUPLICATE KEY UPDATE note = n.email"),
        (Code::FlowToColumn, "INSERT INTO people (name) VALUES ('a') ON DUPLICATE KEY UPDATE name = VALUES(plan)"),
        (Code::FlowToTable, "INSERT INTO orders (email) SELECT email FROM users"),
        (Code::FlowToTable, "INSERT INTO crm.users SELECT id, email, note FROM shop.users"),
        (Code::FlowToTable, "INSERT INTO orders (email) SELECT mail FROM v_users"),
        (Code::FlowToTable, "INSERT INTO users (email) SELECT 'literal'"),
        (Code::FlowToTable, "INSERT INTO users SELECT id, note, email, age FROM users"),
        (Code::FlowToTable, "INSERT INTO users (note) SELECT email FROM users"),
        (Code::FlowToTable, "INSERT INTO people (name, plan) SELECT email, 'x' FROM users"),
        (Code::FlowToTable, "INSERT INTO users (email) SELECT COALESCE(NULL, 'a')"),
        (Code::FlowToTable, "INSERT INTO users (id, email) WITH c AS (SELECT 1, 'x') SELECT * FROM c"),
        (Code::FlowToTable, "REPLACE INTO users (email) SELECT note FROM orders"),
        (Code::FlowToTable, "INSERT INTO tmp SELECT email FROM users"),
        (Code::FlowToColumn, "INSERT INTO orders (email) VALUES ((SELECT email FROM users LIMIT 1))"),
        (Code::FlowToFile, "SELECT email INTO @v FROM users"),
        (Code::NotUnderstood, "SELECT email FROM users INTO @v"),
        (Code::NotUnderstood, "SELECT email FROM users INTO OUTFILE '/tmp/x'"),
        (Code::NotUnderstood, "SELECT @v := email FROM users"),
    ]);
}

#[test]
fn values_that_only_the_server_knows_are_refused() {
    refuses(&[
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES (CONCAT('a', 'b'))"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES (LOWER('A'))"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES (@v)"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES ('a' || 'b')"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES ('a' COLLATE utf8mb4_bin)"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES (1 + 1)"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES (NOW())"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES ((SELECT 'x'))"),
        (Code::AssignedExpression, "INSERT INTO users (note, email) VALUES ('a', note)"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES (DATE '2020-01-01')"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES (BINARY 'a')"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES (- -5)"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES (-'a')"),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES (UPPER(?))"),
        (Code::AssignedExpression, "INSERT INTO users SET email = UUID()"),
        (
            Code::AssignedExpression,
            "INSERT INTO users (email) VALUES ('a') ON DUPLICATE KEY UPDATE email = CONCAT(?, 'x')",
        ),
        (Code::AssignedExpression, "INSERT INTO users (email) VALUES ('a') ON DUPLICATE KEY UPDATE email = note"),
        (
            Code::AssignedExpression,
            "INSERT INTO users (email, note) VALUES ('a', 'b') ON DUPLICATE KEY UPDATE email = VALUES(note)",
        ),
        (Code::AssignedExpression, "UPDATE users SET email = note"),
        (Code::AssignedExpression, "UPDATE users SET email = CASE WHEN id = 1 THEN 'a' ELSE note END"),
        (Code::AssignedExpression, "UPDATE users u JOIN orders o ON o.user_id = u.id SET u.email = o.email"),
        (Code::Expression, "UPDATE users SET email = CONCAT(email, 'x')"),
        (Code::Expression, "UPDATE users SET email = REPLACE(email, 'a', 'b')"),
        (Code::Expression, "UPDATE users SET email = LOWER(email)"),
        (Code::MixedBranches, "UPDATE users SET email = IF(id = 1, email, note)"),
        (Code::LiteralKind, "INSERT INTO users (email) VALUES (1e3)"),
        (Code::InvalidString, "INSERT INTO users (email) VALUES (x'ff')"),
        (Code::InvalidString, "INSERT INTO users (email) VALUES (_gbk x'ff')"),
        (Code::InvalidString, "INSERT INTO users (email) VALUES (N'\u{1f600}')"),
        (Code::LiteralKind, "INSERT INTO users (email) VALUES (_ucs2'ab')"),
        (Code::LiteralKind, "INSERT INTO users (email) VALUES (-0.0)"),
    ]);
}

#[test]
fn raw_defaults_are_refused_where_nothing_can_be_put_in_their_place() {
    refuses(&[
        (Code::RawDefault, "INSERT INTO tokens (note) VALUES ('a')"),
        (Code::RawDefault, "INSERT INTO tokens (token) VALUES (DEFAULT)"),
        (Code::RawDefault, "INSERT INTO people () VALUES ()"),
        (Code::RawDefault, "INSERT INTO people VALUES ()"),
        (Code::RawDefault, "INSERT INTO people (name, plan) VALUES ('a', DEFAULT(plan))"),
        (Code::RawDefault, "INSERT INTO people (id, note) SELECT id, note FROM crm.users"),
        (Code::RawDefault, "INSERT INTO people (name, plan) VALUES ('a', plan)"),
        (Code::RawDefault, "INSERT INTO people SET name = name, plan = 'p'"),
        (Code::RawDefault, "INSERT INTO people (name, plan) VALUES ('a', COALESCE(plan, 'b'))"),
        (Code::RawDefault, "UPDATE tokens SET token = DEFAULT"),
        (Code::RawDefault, "UPDATE IGNORE people p LEFT JOIN people q ON q.id = p.id + 1 SET p.name = q.name"),
        (
            Code::RawDefault,
            "INSERT IGNORE INTO people (id, name, plan) VALUES (1, 'n', 'p') ON DUPLICATE KEY UPDATE name = IF(id = 1, name, NULL)",
        ),
        (Code::RawDefault, "INSERT INTO people () VALUES () ON DUPLICATE KEY UPDATE name = name"),
        (Code::RawDefault, "UPDATE IGNORE people SET name = CASE WHEN id = 1 THEN 'a' END"),
        (
            Code::RawDefault,
            "UPDATE IGNORE people p LEFT JOIN people q ON q.id = p.id + 1 SET p.name = COALESCE(q.name, NULL)",
        ),
    ]);
}

#[test]
fn writes_that_reach_further_are_refused() {
    refuses(&[
        (Code::Trigger, "INSERT INTO logged (email) VALUES ('a')"),
        (Code::Trigger, "UPDATE logged SET id = 2"),
        (Code::Trigger, "DELETE FROM logged"),
        (Code::Carrier, "INSERT INTO audit (line) VALUES ('a')"),
        (Code::Carrier, "UPDATE audit SET line = 'a'"),
        (Code::Carrier, "DELETE FROM audit"),
        (Code::Carrier, "UPDATE users u JOIN audit a ON a.id = u.id SET a.line = 'x'"),
        (Code::Carrier, "SELECT * FROM merged"),
        (Code::ViewWrite, "INSERT INTO v_users (mail) VALUES ('a')"),
        (Code::ViewWrite, "UPDATE v_users SET mail = 'a'"),
        (Code::ViewWrite, "UPDATE v_users SET age = 1"),
        (Code::ViewWrite, "DELETE FROM v_users"),
        (Code::MissingColumn, "SELECT 1 FROM ghosts"),
        (Code::MissingColumn, "INSERT INTO ghosts VALUES (1)"),
    ]);
}

#[test]
fn names_that_are_not_certain_are_refused() {
    refuses(&[
        (Code::UnknownColumn, "SELECT nothing FROM users"),
        (Code::UnknownColumn, "SELECT x.email FROM users"),
        (Code::UnknownColumn, "SELECT users.email FROM users u"),
        (Code::UnknownColumn, "SELECT crm.users.email FROM users"),
        (Code::UnknownColumn, "SELECT x.* FROM users"),
        (Code::UnknownColumn, "INSERT INTO users (nothing) VALUES (1)"),
        (Code::UnknownColumn, "UPDATE users SET nothing = 1"),
        (Code::AmbiguousName, "SELECT email FROM users a, users b"),
        (Code::AmbiguousName, "SELECT email FROM users JOIN orders ON user_id = users.id"),
        (Code::AmbiguousName, "SELECT users.email FROM shop.users, crm.users"),
        (Code::AmbiguousName, "SELECT (SELECT email FROM tmp) FROM users"),
        (Code::AmbiguousName, "UPDATE users u JOIN orders o ON o.user_id = u.id SET email = 'a'"),
        (Code::UnknownColumn, "SELECT * FROM users JOIN tmp ON 1"),
        (Code::UnknownColumn, "SELECT email AS e, (SELECT e) FROM users"),
        (Code::AmbiguousName, "SELECT id AS email FROM users ORDER BY email"),
        (
            Code::MixedBranches,
            "WITH RECURSIVE c AS (SELECT email FROM users UNION ALL SELECT email FROM c) SELECT * FROM c",
        ),
        (Code::NotUnderstood, "WITH RECURSIVE a AS (SELECT * FROM b), b AS (SELECT email FROM users) SELECT * FROM a"),
        (Code::NotUnderstood, "WITH C AS (SELECT email FROM users) SELECT * FROM c"),
        (Code::NotUnderstood, "INSERT INTO users (email) VALUES ('a', 'b')"),
        (Code::NotUnderstood, "INSERT INTO users (email) VALUES ('a'), ()"),
        (Code::UnknownColumn, "SELECT * FROM users RIGHT JOIN audit USING (id)"),
        (Code::UnknownColumn, "SELECT email FROM (SELECT * FROM users RIGHT JOIN audit USING (id)) d"),
    ]);
    assert_eq!(refusal_in("SELECT id FROM users", |c| c.schema = None), Ok(Code::UnknownSessionState));
    assert_eq!(refusal_in("SELECT id FROM users", |c| c.sql_mode.unsupported = true), Ok(Code::UnsupportedSqlMode));
}

#[test]
fn placeholders_belong_to_prepared_statements() {
    let text = refusal_in("INSERT INTO users (email) VALUES (?)", |c| c.protocol = Protocol::Text);
    assert_eq!(text, Ok(Code::NotUnderstood));
}
