//! Equality while two versions of a data key are live, or nobody knows: `tax` and `iban` of accounts are text,
//! `data` of vaults is bytes.

use super::*;
use crate::seal::versions::KeyVersions;

fn two_versions() -> KeyVersions {
    KeyVersions::new(["shop.accounts", "shop.vaults"].into_iter().flat_map(|t| [(t.to_owned(), 1), (t.to_owned(), 2)]))
}

/// Each statement, and the text that is sent: `<tax:a:0:Tag>` is a tag, `:Prefix` a pattern of LIKE.
fn becomes(cases: &[(&str, &str)]) {
    let versions = two_versions();
    let catalog = snapshot();
    for (sql, sent) in cases {
        let mut ctx = Context { versions: &versions, ..context(&catalog) };
        if sql.contains('?') {
            ctx.protocol = Protocol::Prepared;
        }
        match plan_in(sql.as_bytes(), &ctx) {
            Ok(plan) => assert_eq!(spliced(sql.as_bytes(), &plan), *sent, "{sql}"),
            Err(e) => panic!("{sql}\n  {}", explain(e)),
        }
    }
}

#[test]
fn a_column_beside_a_constant_is_found_by_like() {
    becomes(&[
        ("SELECT id FROM accounts WHERE tax = 'a'", "SELECT id FROM accounts WHERE tax LIKE <tax:a:0:Prefix>"),
        ("SELECT id FROM accounts a WHERE a.tax='a'", "SELECT id FROM accounts a WHERE a.tax LIKE <tax:a:0:Prefix>"),
        (
            "DELETE FROM accounts WHERE `tax` = _utf8mb4 'a' AND id = 1",
            "DELETE FROM accounts WHERE `tax` LIKE <tax:a:0:Prefix> AND id = 1",
        ),
        (
            "SELECT id FROM accounts WHERE tax IN ('a', NULL, 'b' 'c') OR id = 1",
            "SELECT id FROM accounts WHERE (tax LIKE <tax:a:0:Prefix> OR tax LIKE NULL OR tax LIKE <tax:bc:0:Prefix>) OR id = 1",
        ),
        (
            "SELECT id FROM accounts WHERE tax /* why */ = 'a' AND tax IN ('a', /* or */ 'b')",
            "SELECT id FROM accounts WHERE LEFT(tax, 20) /* why */ = <tax:a:0:Tag> AND LEFT(tax, 20) IN (<tax:a:0:Tag>, /* or */ <tax:b:0:Tag>)",
        ),
        (
            "UPDATE accounts SET iban = 'n' WHERE tax = 'a'",
            "UPDATE accounts SET iban = <iban:n:1> WHERE tax LIKE <tax:a:0:Prefix>",
        ),
    ]);
}

#[test]
fn everything_else_that_is_equal_is_cut_to_tags_on_both_sides() {
    becomes(&[
        ("SELECT id FROM accounts WHERE 'a' = tax", "SELECT id FROM accounts WHERE <tax:a:0:Tag> = LEFT(tax, 20)"),
        ("SELECT id FROM accounts WHERE tax <> 'a'", "SELECT id FROM accounts WHERE LEFT(tax, 20) <> <tax:a:0:Tag>"),
        ("SELECT id FROM accounts WHERE tax <=> NULL", "SELECT id FROM accounts WHERE LEFT(tax, 20) <=> NULL"),
        ("SELECT id FROM accounts WHERE (tax) = 'a'", "SELECT id FROM accounts WHERE (LEFT(tax, 20)) = <tax:a:0:Tag>"),
        (
            "SELECT id FROM accounts WHERE tax NOT IN ('a', 'b')",
            "SELECT id FROM accounts WHERE LEFT(tax, 20) NOT IN (<tax:a:0:Tag>, <tax:b:0:Tag>)",
        ),
        (
            "SELECT id FROM accounts WHERE (id, tax) IN ((1, 'a'), (2, 'b'))",
            "SELECT id FROM accounts WHERE (id, LEFT(tax, 20)) IN ((1, <tax:a:0:Tag>), (2, <tax:b:0:Tag>))",
        ),
        (
            "SELECT CASE tax WHEN 'a' THEN 1 END AS n FROM accounts",
            "SELECT CASE LEFT(tax, 20) WHEN <tax:a:0:Tag> THEN 1 END AS n FROM accounts",
        ),
        (
            "SELECT id FROM accounts WHERE tax = IF(id > 3, 'a', 'b')",
            "SELECT id FROM accounts WHERE LEFT(tax, 20) = IF(id > 3, <tax:a:0:Tag>, <tax:b:0:Tag>)",
        ),
        (
            "SELECT a.id FROM accounts a JOIN accounts b ON a.tax = b.tax",
            "SELECT a.id FROM accounts a JOIN accounts b ON LEFT(a.tax, 20) = LEFT(b.tax, 20)",
        ),
        ("SELECT id FROM vaults WHERE data = 'a'", "SELECT id FROM vaults WHERE LEFT(data, 15) = <data:61:0:Tag>"),
    ]);
}

#[test]
fn what_needs_whole_values_is_refused() {
    let versions = two_versions();
    let catalog = snapshot();
    for sql in [
        "SELECT tax FROM accounts GROUP BY tax",
        "SELECT DISTINCT tax FROM accounts",
        "SELECT COUNT(DISTINCT tax) FROM accounts",
        "SELECT tax FROM accounts UNION SELECT tax FROM accounts",
        "SELECT a.id FROM accounts a JOIN accounts b USING (tax)",
        "SELECT id FROM accounts WHERE tax IN (SELECT tax FROM accounts)",
        "SELECT id FROM accounts WHERE tax = (SELECT tax FROM accounts WHERE id = 1)",
        "SELECT id FROM accounts WHERE 'a' = ANY (SELECT tax FROM accounts)",
        "SELECT id FROM accounts WHERE COALESCE(tax, 'a') = 'b'",
        "SELECT ROW_NUMBER() OVER (PARTITION BY tax) AS n FROM accounts",
    ] {
        let ctx = Context { versions: &versions, ..context(&catalog) };
        match plan_in(sql.as_bytes(), &ctx) {
            Err(DmlError::Refusal(refusal)) => assert_eq!(refusal.code, Code::Rotating, "{sql}"),
            Ok(plan) => panic!("{sql} became {}", spliced(sql.as_bytes(), &plan)),
            Err(e) => panic!("{sql}\n  {}", explain(e)),
        }
    }
}

#[test]
fn nothing_is_searched_for_while_nobody_knows_the_versions() {
    let catalog = snapshot();
    let versions = KeyVersions::unknown();
    for (sql, refused) in [
        ("SELECT id FROM accounts WHERE tax = 'a'", true),
        ("SELECT id FROM accounts WHERE tax IN ('a')", true),
        ("SELECT DISTINCT tax FROM accounts", true),
        ("SELECT tax FROM accounts WHERE id = 1", false),
        ("INSERT INTO accounts (tax) VALUES ('a')", false),
    ] {
        let ctx = Context { versions: &versions, ..context(&catalog) };
        match plan_in(sql.as_bytes(), &ctx) {
            Err(DmlError::Refusal(refusal)) => assert!(refused && refusal.code == Code::VersionsUnknown, "{sql}"),
            Ok(_) => assert!(!refused, "{sql}"),
            Err(e) => panic!("{sql}\n  {}", explain(e)),
        }
    }
}

#[test]
fn placeholders_carry_the_form_that_is_sent() {
    let versions = two_versions();
    let catalog = snapshot();
    let ctx = Context { versions: &versions, protocol: Protocol::Prepared, ..context(&catalog) };
    let sql = "SELECT id FROM accounts WHERE tax = ? OR tax IN (?, ?) OR tax <> ?";
    let Ok(plan) = plan_in(sql.as_bytes(), &ctx) else { panic!("{sql}") };
    let forms: Vec<_> = plan
        .params
        .iter()
        .map(|role| match role {
            ParamRole::Seal(param) => format!("{:?}", param.form),
            ParamRole::Plain => "plain".to_owned(),
        })
        .collect();
    assert_eq!(forms, ["Prefix", "Prefix", "Prefix", "Tag"]);
    assert_eq!(
        spliced(sql.as_bytes(), &plan),
        "SELECT id FROM accounts WHERE tax LIKE ? OR (tax LIKE ? OR tax LIKE ?) OR LEFT(tax, 20) <> ?"
    );
}
