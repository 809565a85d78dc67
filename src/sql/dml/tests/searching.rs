//! Equality over searchable columns: `tax`, `iban` of accounts, `data` of vaults. `email` is not.

use super::*;

/// Each statement, and the text that is sent: `<column:value:0>` is compared and not stored.
fn becomes(cases: &[(&str, &str)]) {
    for (sql, sent) in cases {
        assert_eq!(accepted(sql).0, *sent, "{sql}");
    }
}

fn unchanged(cases: &[&str]) {
    for sql in cases {
        assert_eq!(accepted(sql).0, *sql);
    }
}

#[test]
fn constants_are_sealed_wherever_they_are_tested_for_equality() {
    becomes(&[
        ("SELECT id FROM accounts WHERE tax = 'a'", "SELECT id FROM accounts WHERE tax = <tax:a:0>"),
        ("SELECT id FROM accounts WHERE 'a' = tax", "SELECT id FROM accounts WHERE <tax:a:0> = tax"),
        ("SELECT id FROM accounts WHERE tax <=> 'a'", "SELECT id FROM accounts WHERE tax <=> <tax:a:0>"),
        ("SELECT id FROM accounts WHERE tax <> 'a'", "SELECT id FROM accounts WHERE tax <> <tax:a:0>"),
        ("SELECT id FROM accounts WHERE tax != 'a''b'", "SELECT id FROM accounts WHERE tax != <tax:a'b:0>"),
        ("SELECT id FROM accounts WHERE NOT (tax = 'a')", "SELECT id FROM accounts WHERE NOT (tax = <tax:a:0>)"),
        ("SELECT id FROM accounts WHERE NOT tax = 'a'", "SELECT id FROM accounts WHERE NOT tax = <tax:a:0>"),
        (
            "SELECT id FROM accounts WHERE tax IN ('a', _utf8mb4'b', NULL, 'c' 'd')",
            "SELECT id FROM accounts WHERE tax IN (<tax:a:0>, <tax:b:0>, NULL, <tax:cd:0>)",
        ),
        (
            "SELECT id FROM accounts WHERE 'a' IN (tax, 'b')",
            "SELECT id FROM accounts WHERE <tax:a:0> IN (tax, <tax:b:0>)",
        ),
        (
            "SELECT id FROM accounts WHERE tax NOT IN (('a'), X'62')",
            "SELECT id FROM accounts WHERE tax NOT IN ((<tax:a:0>), <tax:b:0>)",
        ),
        (
            "SELECT id FROM accounts WHERE (tax, id, iban) = ('a', 1, 'b')",
            "SELECT id FROM accounts WHERE (tax, id, iban) = (<tax:a:0>, 1, <iban:b:0>)",
        ),
        (
            "SELECT id FROM accounts WHERE (id, tax) IN ((1, 'a'), (2, NULL))",
            "SELECT id FROM accounts WHERE (id, tax) IN ((1, <tax:a:0>), (2, NULL))",
        ),
        (
            "SELECT id FROM accounts WHERE ('a', 1) IN (SELECT tax, id FROM accounts)",
            "SELECT id FROM accounts WHERE (<tax:a:0>, 1) IN (SELECT tax, id FROM accounts)",
        ),
        (
            "SELECT 1 FROM accounts WHERE 'a' = (SELECT tax FROM accounts WHERE id = 1)",
            "SELECT 1 FROM accounts WHERE <tax:a:0> = (SELECT tax FROM accounts WHERE id = 1)",
        ),
        (
            "SELECT id FROM accounts WHERE 'a' = ANY (SELECT tax FROM accounts)",
            "SELECT id FROM accounts WHERE <tax:a:0> = ANY (SELECT tax FROM accounts)",
        ),
        (
            "SELECT CASE tax WHEN 'a' THEN 1 WHEN 'b' THEN 2 END AS n FROM accounts",
            "SELECT CASE tax WHEN <tax:a:0> THEN 1 WHEN <tax:b:0> THEN 2 END AS n FROM accounts",
        ),
        (
            "SELECT CASE WHEN tax = 'a' THEN 'a' ELSE 'b' END AS n FROM accounts",
            "SELECT CASE WHEN tax = <tax:a:0> THEN 'a' ELSE 'b' END AS n FROM accounts",
        ),
        (
            "SELECT id FROM accounts WHERE tax = IF(id > 3, 'a', 'b')",
            "SELECT id FROM accounts WHERE tax = IF(id > 3, <tax:a:0>, <tax:b:0>)",
        ),
        ("SELECT IF(tax = 'a', 1, 0) AS n FROM accounts", "SELECT IF(tax = <tax:a:0>, 1, 0) AS n FROM accounts"),
        ("SELECT tax = 'a' AS same FROM accounts", "SELECT tax = <tax:a:0> AS same FROM accounts"),
        (
            "SELECT a.id FROM accounts a LEFT JOIN orders o ON o.id = a.id AND a.tax = 'a'",
            "SELECT a.id FROM accounts a LEFT JOIN orders o ON o.id = a.id AND a.tax = <tax:a:0>",
        ),
        (
            "SELECT tax, COUNT(*) FROM accounts GROUP BY tax HAVING tax <> 'a'",
            "SELECT tax, COUNT(*) FROM accounts GROUP BY tax HAVING tax <> <tax:a:0>",
        ),
        ("SELECT tax AS t FROM accounts HAVING t = 'a'", "SELECT tax AS t FROM accounts HAVING t = <tax:a:0>"),
        (
            "SELECT id FROM accounts ORDER BY tax = 'a' DESC, id",
            "SELECT id FROM accounts ORDER BY tax = <tax:a:0> DESC, id",
        ),
        (
            "SELECT d.t FROM (SELECT tax AS t FROM accounts) d WHERE d.t = 'a'",
            "SELECT d.t FROM (SELECT tax AS t FROM accounts) d WHERE d.t = <tax:a:0>",
        ),
        (
            "UPDATE accounts SET email = 'e', tax = 'b' WHERE tax = 'a'",
            "UPDATE accounts SET email = <email:e:1>, tax = <tax:b:1> WHERE tax = <tax:a:0>",
        ),
        ("DELETE FROM accounts WHERE tax IN ('a')", "DELETE FROM accounts WHERE tax IN (<tax:a:0>)"),
        (
            "UPDATE accounts SET note = IF(tax = 'a', 'x', 'y')",
            "UPDATE accounts SET note = IF(tax = <tax:a:0>, 'x', 'y')",
        ),
        ("SELECT id FROM vaults WHERE data = x'00ff'", "SELECT id FROM vaults WHERE data = <data:00ff:0>"),
        ("SELECT id FROM vaults WHERE data = 'a'", "SELECT id FROM vaults WHERE data = <data:61:0>"),
        (
            "INSERT INTO orders (email) SELECT 'x' FROM accounts WHERE tax = 'a'",
            "INSERT INTO orders (email) SELECT 'x' FROM accounts WHERE tax = <tax:a:0>",
        ),
    ]);
}

#[test]
fn the_column_may_be_compared_with_itself_and_null() {
    unchanged(&[
        "SELECT a.id FROM accounts a JOIN accounts b ON a.tax = b.tax",
        "SELECT a.id FROM accounts a JOIN accounts b USING (tax)",
        "SELECT id FROM accounts WHERE tax IN (SELECT tax FROM accounts WHERE id > 3)",
        "SELECT id FROM accounts a WHERE EXISTS (SELECT 1 FROM accounts b WHERE b.tax = a.tax AND b.id <> a.id)",
        "SELECT id FROM accounts WHERE tax = (SELECT tax FROM accounts WHERE id = 1)",
        "SELECT id FROM accounts WHERE (tax, iban) IN (SELECT tax, iban FROM accounts)",
        "SELECT id FROM accounts WHERE tax <=> NULL OR tax = NULL",
        "SELECT id FROM accounts WHERE tax <> ALL (SELECT tax FROM accounts)",
        "SELECT id FROM accounts WHERE COALESCE(tax, NULL) = tax",
    ]);
}

#[test]
fn the_server_tells_equal_values_where_it_groups_them() {
    for (sql, expected) in [
        ("SELECT DISTINCT tax, id FROM accounts", "tax,."),
        ("SELECT tax, COUNT(*) FROM accounts GROUP BY tax", "tax,."),
        ("SELECT tax, iban, COUNT(*) FROM accounts GROUP BY 1, 2 WITH ROLLUP", "tax,iban,."),
        ("SELECT COUNT(DISTINCT tax), COUNT(DISTINCT tax, note) FROM accounts", "-"),
        ("SELECT tax FROM accounts UNION SELECT tax FROM accounts", "tax"),
        ("SELECT tax FROM accounts INTERSECT SELECT tax FROM accounts", "tax"),
        ("SELECT tax FROM accounts EXCEPT SELECT tax FROM accounts", "tax"),
        ("SELECT tax, ROW_NUMBER() OVER (PARTITION BY tax ORDER BY id) FROM accounts", "tax,."),
        ("SELECT b.tax FROM accounts a JOIN accounts b USING (tax)", "tax"),
        ("SELECT tax FROM accounts a JOIN accounts b USING (tax)", "tax"),
    ] {
        let (sent, plan) = accepted(sql);
        assert_eq!((sent.as_str(), roles(&plan).as_str()), (sql, expected));
    }
}

#[test]
fn placeholders_are_sealed_for_comparison() {
    for (sql, expected) in [
        ("SELECT id FROM accounts WHERE tax = ? AND id = ?", "tax:0,."),
        ("SELECT id FROM accounts WHERE tax IN (?, ?) OR ? = iban", "tax:0,tax:0,iban:0"),
        ("UPDATE accounts SET tax = ? WHERE tax <=> ?", "tax:1,tax:0"),
        ("SELECT CASE tax WHEN ? THEN ? END FROM accounts", "tax:0,."),
        ("SELECT id FROM accounts WHERE (id, tax) = (?, ?)", ".,tax:0"),
    ] {
        assert_eq!(params(&accepted(sql).1), expected, "{sql}");
    }
}

#[test]
fn what_is_not_equality_of_whole_values_is_refused() {
    refuses(&[
        (Code::Comparison, "SELECT id FROM accounts WHERE tax LIKE 'a'"),
        (Code::Comparison, "SELECT id FROM accounts WHERE tax < 'a'"),
        (Code::Comparison, "SELECT id FROM accounts WHERE tax BETWEEN 'a' AND 'b'"),
        (Code::Comparison, "SELECT id FROM accounts WHERE tax REGEXP 'a'"),
        (Code::Comparison, "SELECT id FROM accounts WHERE (tax, id) > ('a', 1)"),
        (Code::Comparison, "SELECT id FROM accounts WHERE tax > ALL (SELECT tax FROM accounts)"),
        (Code::Comparison, "SELECT id FROM accounts WHERE email = 'a'"),
        (Code::Comparison, "SELECT id FROM accounts WHERE email IN ('a')"),
        (Code::Comparison, "SELECT id FROM accounts WHERE 'a' IN (tax, email)"),
        (Code::Comparison, "SELECT id FROM accounts WHERE (tax, id) = (SELECT email, id FROM accounts)"),
        (Code::Comparison, "SELECT id FROM accounts WHERE tax = (SELECT tax, id FROM accounts)"),
        (Code::Comparison, "SELECT a.id FROM accounts a JOIN accounts b USING (email)"),
        (Code::Comparison, "SELECT a.id FROM accounts a NATURAL JOIN accounts b"),
        (Code::Comparison, "SELECT a.id FROM accounts a JOIN (SELECT iban AS tax FROM accounts) b USING (tax)"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax = iban"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax = note"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax = 7"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax = -7"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax = TRUE"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax IN ('7', 7)"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax = CONCAT('a', 'b')"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax = @v"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax = 'a' COLLATE utf8mb4_bin"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax = CAST('a' AS CHAR)"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax IN (SELECT note FROM accounts)"),
        (Code::ComparedWith, "SELECT id FROM accounts WHERE tax IN (SELECT 'a')"),
        (Code::ComparedWith, "SELECT d.id FROM accounts d JOIN (SELECT 'a' AS x) e ON d.tax = e.x"),
        (Code::Expression, "SELECT id FROM accounts WHERE LOWER(tax) = 'a'"),
        (Code::Expression, "SELECT id FROM accounts WHERE tax COLLATE utf8mb4_bin = 'a'"),
        (Code::Expression, "SELECT id FROM accounts WHERE tax"),
        (Code::Expression, "SELECT id FROM accounts WHERE tax AND 1"),
        (Code::Ordering, "SELECT id FROM accounts ORDER BY tax"),
        (Code::Aggregate, "SELECT MIN(tax) FROM accounts"),
        (Code::Aggregate, "SELECT COUNT(DISTINCT email) FROM accounts"),
        (Code::Aggregate, "SELECT COUNT(DISTINCT tax, email) FROM accounts"),
        (Code::Grouping, "SELECT DISTINCT tax, email FROM accounts"),
        (Code::Grouping, "SELECT tax, email FROM accounts UNION SELECT tax, email FROM accounts"),
        (Code::Grouping, "SELECT COUNT(*), tax FROM accounts GROUP BY tax, email"),
        (Code::WindowFunction, "SELECT ROW_NUMBER() OVER (ORDER BY tax) FROM accounts"),
        (Code::WindowFunction, "SELECT ROW_NUMBER() OVER (PARTITION BY email) FROM accounts"),
        (Code::MixedBranches, "SELECT tax FROM accounts UNION SELECT iban FROM accounts"),
        (Code::MixedBranches, "SELECT tax = 'a' FROM accounts"),
        (Code::MixedBranches, "SELECT 'x' UNION SELECT tax FROM accounts"),
        (Code::FlowToColumn, "UPDATE accounts SET tax = iban"),
    ]);
    // `!tax = 'a'` is `(!tax) = 'a'`.
    for sql in ["SELECT id FROM accounts WHERE !tax = 'a'", "SELECT id FROM accounts WHERE ! tax IN ('a')"] {
        assert!(refusal_in(sql, |_| {}).is_ok(), "{sql}");
    }
    let high = refusal_in("SELECT id FROM accounts WHERE NOT tax = 'a'", |c| c.sql_mode.high_not_precedence = true);
    assert!(high.is_ok());
}

#[test]
fn a_bound_position_could_be_any_column() {
    assert_eq!(refusal_in("SELECT tax, email FROM accounts GROUP BY ?", |_| {}), Ok(Code::Grouping));
    accepted("SELECT tax, id FROM accounts GROUP BY ?");
}
