//! Queries that are understood, and which of their columns are opened.

use super::*;

#[test]
fn result_columns_have_the_role_of_what_they_carry() {
    for (sql, expected) in [
        ("SELECT email FROM users", "email"),
        ("SELECT id, email AS e FROM users", ".,email"),
        ("SELECT * FROM users", ".,email,.,."),
        ("SELECT *, email FROM users", ".,email,.,.,email"),
        ("SELECT u.* FROM users u JOIN orders o ON o.user_id = u.id", ".,email,.,."),
        ("SELECT * FROM orders o, users u", ".,.,.,.,.,email,.,."),
        ("SELECT o.email, u.email FROM users u JOIN orders o ON o.user_id = u.id", ".,email"),
        ("SELECT shop.users.email FROM users", "email"),
        ("SELECT `Email` FROM `shop`.`users`", "email"),
        ("SELECT id FROM users", "-"),
        ("SELECT a.email, b.email FROM shop.users a, crm.users b", "email,."),
        ("SELECT email FROM crm.users WHERE id IN (SELECT id FROM shop.users)", "-"),
        ("SELECT COUNT(email), COUNT(*), MAX(age) FROM users", "-"),
        ("SELECT email, COUNT(*) FROM users GROUP BY id", "email,."),
        ("SELECT email IS NULL, email IS NOT NULL, ISNULL(email) FROM users", "-"),
        ("SELECT COALESCE(email, NULL) FROM users", "email"),
        ("SELECT IFNULL(email, email) FROM users", "email"),
        ("SELECT IF(age > 3, email, NULL) FROM users", "email"),
        ("SELECT CASE WHEN age > 3 THEN email END FROM users", "email"),
        ("SELECT (SELECT email FROM users WHERE id = o.user_id) FROM orders o", "email"),
        ("SELECT o.id, (SELECT u.email FROM users u WHERE u.id = o.user_id) AS e FROM orders o", ".,email"),
        ("SELECT ANY_VALUE(email) FROM users GROUP BY age", "email"),
        ("SELECT d.e FROM (SELECT email AS e FROM users) d", "email"),
        ("SELECT * FROM (SELECT * FROM users) d", ".,email,.,."),
        ("SELECT * FROM (SELECT * FROM (SELECT id, email x FROM users) a) b", ".,email"),
        ("SELECT x FROM (SELECT email, id FROM users) d(x, y)", "email"),
        ("WITH c AS (SELECT id, email FROM users) SELECT * FROM c", ".,email"),
        ("WITH c(a, b) AS (SELECT id, email FROM users), d AS (SELECT b FROM c) SELECT * FROM d", "email"),
        (
            "WITH users AS (SELECT id, email FROM crm.users) SELECT * FROM users JOIN shop.users u USING (id)",
            ".,.,email,.,.",
        ),
        (
            "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT t.n, u.email FROM t JOIN users u ON u.id = t.n",
            ".,email",
        ),
        ("SELECT email FROM users UNION ALL SELECT email FROM users", "email"),
        ("SELECT email FROM users UNION ALL SELECT NULL", "email"),
        ("SELECT id FROM users UNION SELECT id FROM orders", "-"),
        ("(SELECT email FROM users LIMIT 1) UNION ALL (SELECT email FROM users LIMIT 1)", "email"),
        ("SELECT * FROM users JOIN crm.users AS c USING (id)", ".,email,.,.,.,."),
        ("SELECT * FROM orders JOIN users ON user_id = users.id", ".,.,.,.,.,email,.,."),
        ("SELECT email FROM users u LEFT JOIN (SELECT user_id FROM orders) o ON o.user_id = u.id", "email"),
        ("SELECT * FROM v_users", ".,email,."),
        ("SELECT mail FROM v_users WHERE age > 3 ORDER BY id", "email"),
        ("SELECT m FROM v_nested", "email"),
        ("SELECT v.mail, u.email FROM v_users v JOIN users u ON u.id = v.id", "email,email"),
        ("SELECT id FROM users WHERE EXISTS (SELECT email FROM users u2 WHERE u2.id = users.id)", "-"),
        ("SELECT email FROM users WHERE email IS NULL AND NOT email IS NULL OR (email) IS NOT NULL", "email"),
        ("SELECT email FROM users ORDER BY id DESC, age LIMIT 10 OFFSET 5", "email"),
        ("SELECT email FROM users ORDER BY 1 + 1", "email"),
        ("SELECT id, email FROM users ORDER BY 1", ".,email"),
        ("SELECT email FROM users ORDER BY email IS NULL", "email"),
        ("SELECT email FROM users HAVING email IS NOT NULL", "email"),
        ("SELECT email FROM users FOR UPDATE", "email"),
        ("SELECT email FROM users LOCK IN SHARE MODE", "email"),
        ("SELECT SQL_CALC_FOUND_ROWS email FROM users", "email"),
        ("SELECT email FROM users USE INDEX (a)", "email"),
        ("SELECT email FROM users PARTITION (p0)", "email"),
        ("SELECT email, ROW_NUMBER() OVER (PARTITION BY age ORDER BY id) FROM users", "email,."),
        ("SELECT DISTINCT id, note FROM users", "-"),
        ("SELECT DISTINCT * FROM users", ".,email,.,."),
        ("SELECT DISTINCTROW email, (id) AS i FROM users", "email,."),
        ("SELECT DISTINCT u.* FROM users u LEFT JOIN orders o ON o.user_id = u.id", ".,email,.,."),
        ("SELECT DISTINCT shop.users.id, email e FROM users, audit", ".,email"),
        ("SELECT DISTINCT users.* FROM users JOIN orders USING (id)", ".,email,.,."),
        ("SELECT COUNT(*) FROM (SELECT DISTINCT id AS a, email AS b FROM users) s", "-"),
        ("SELECT id, email, COUNT(*) FROM users GROUP BY id, email", ".,email,."),
        ("SELECT u.id AS a, u.email AS b FROM users u JOIN orders o GROUP BY u.email, 1", ".,email"),
        ("SELECT email, UTC_TIMESTAMP, NOW(), @x, @@version FROM users", "email,.,.,.,."),
        ("SELECT TIMESTAMPDIFF(MONTH, note, NOW()), email FROM users", ".,email"),
        ("SELECT * FROM hidden", "-"),
        ("SELECT *, secret FROM hidden", ".,.,secret"),
        ("SELECT email 'e' FROM users", "email"),
        ("SELECT t.id, u.email FROM tmp t JOIN users u ON u.id = t.id", ".,email"),
        ("SELECT email FROM users NATURAL JOIN audit", "email"),
        ("SELECT line FROM audit JOIN users USING (id)", "-"),
        ("SELECT line, email, users.* FROM users RIGHT JOIN audit USING (id)", ".,email,.,email,.,."),
        ("SELECT u.email FROM users u, LATERAL (SELECT total FROM orders o WHERE o.user_id = u.id) l", "email"),
        ("SELECT l.e FROM users u, LATERAL (SELECT u.email AS e) l", "email"),
        ("SELECT GROUP_CONCAT(note ORDER BY id SEPARATOR ','), MIN(email IS NULL) FROM users", "-"),
    ] {
        assert_eq!(roles(&accepted(sql).1), expected, "{sql}");
        assert!(accepted(sql).1.edits.is_empty(), "{sql}");
    }
}

#[test]
fn constants_beside_a_protected_column_are_sealed() {
    for (sql, expected) in [
        ("SELECT COALESCE(email, 'none') AS e FROM users", "SELECT COALESCE(email, <email:none:1>) AS e FROM users"),
        ("SELECT IFNULL(email, '') x FROM users", "SELECT IFNULL(email, <email::1>) x FROM users"),
        (
            "SELECT CASE WHEN email IS NULL THEN '-' ELSE email END e FROM users",
            "SELECT CASE WHEN email IS NULL THEN <email:-:1> ELSE email END e FROM users",
        ),
        (
            "SELECT IF(id = 1, 'x', IF(id = 2, 'y', email)) e FROM users",
            "SELECT IF(id = 1, <email:x:1>, IF(id = 2, <email:y:1>, email)) e FROM users",
        ),
        ("SELECT email FROM users UNION ALL SELECT 'x'", "SELECT email FROM users UNION ALL SELECT <email:x:1>"),
        (
            "SELECT * FROM (SELECT IFNULL(email, 'a') e FROM users) d",
            "SELECT * FROM (SELECT IFNULL(email, <email:a:1>) e FROM users) d",
        ),
    ] {
        let (text, plan) = accepted(sql);
        assert_eq!(text, expected, "{sql}");
        assert_eq!(roles(&plan), "email", "{sql}");
    }
    // Without an alias the server would name the column after the sealed constant.
    assert_eq!(refusal_in("SELECT COALESCE(email, 'none') FROM users", |_| {}), Ok(Code::MixedBranches));
    // Nothing protected, nothing sealed.
    assert!(accepted("SELECT COALESCE(note, 'none') FROM users").1.edits.is_empty());
}

#[test]
fn names_of_result_columns_are_those_the_application_sees() {
    let (_, plan) = accepted("SELECT email, id AS `i`, COALESCE(email, NULL), u.* FROM users u");
    let ResultRoles::Columns(columns) = plan.result else { panic!() };
    let names: Vec<Option<&str>> = columns.iter().map(|c| c.name.as_deref()).collect();
    assert_eq!(names, [Some("email"), Some("i"), None, Some("id"), Some("email"), Some("note"), Some("age")]);
}
