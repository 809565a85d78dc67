//! What the control account may do, out of `SHOW GRANTS`. Pure.

use crate::config::TableName;

/// One GRANT line: privileges in upper case, and where they hold.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Grant {
    privileges: Vec<String>,
    scope: Scope,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Global,
    /// A schema name pattern in which `%` and `_` are wildcards unless escaped.
    Schema(String),
    Table(String, String),
}

/// All grants of one account.
#[derive(Clone, Debug, Default)]
pub(super) struct Grants(Vec<Grant>);

impl Grants {
    /// Lines as `SHOW GRANTS` prints them. Roles, routines and PROXY lines are left out.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        Self(lines.into_iter().filter_map(parse_line).collect())
    }

    /// Whether a privilege holds in every schema.
    pub fn global(&self, privilege: &str) -> bool {
        self.0.iter().any(|grant| grant.scope == Scope::Global && grant.names(privilege))
    }

    /// Whether a privilege holds on a table.
    pub fn on(&self, privilege: &str, table: &TableName) -> bool {
        self.0.iter().any(|grant| {
            let covers = match &grant.scope {
                Scope::Global => true,
                Scope::Schema(pattern) => like(pattern, &table.schema),
                Scope::Table(schema, name) => {
                    schema.eq_ignore_ascii_case(&table.schema) && name.eq_ignore_ascii_case(&table.table)
                }
            };
            covers && grant.names(privilege)
        })
    }
}

impl Grant {
    fn names(&self, privilege: &str) -> bool {
        self.privileges.iter().any(|name| name == privilege || name == "ALL PRIVILEGES" || name == "ALL")
    }
}

/// `GRANT SELECT, SHOW VIEW ON `shop`.* TO …`. `None` for what is not such a line.
fn parse_line(line: &str) -> Option<Grant> {
    let rest = line.strip_prefix("GRANT ")?;
    let (privileges, rest) = rest.split_once(" ON ")?;
    let (place, rest) = identifier(rest)?;
    let rest = rest.strip_prefix('.')?;
    let (table, _) = identifier(rest)?;
    let scope = match (place.as_str(), table.as_str()) {
        ("*", "*") => Scope::Global,
        (_, "*") => Scope::Schema(place),
        _ => Scope::Table(place, table),
    };
    // Privileges on single columns, `SELECT (id)`, cover no table.
    let mut depth = 0_i32;
    let mut names = vec![String::new()];
    for c in privileges.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            _ => {}
        }
        if let Some(last) = names.last_mut()
            && (c != ',' || depth > 0)
        {
            last.push(c);
        }
    }
    let privileges =
        names.iter().filter(|name| !name.contains('(')).map(|name| name.trim().to_ascii_uppercase()).collect();
    Some(Grant { privileges, scope })
}

/// An identifier in backticks, or `*`, and what follows.
fn identifier(text: &str) -> Option<(String, &str)> {
    if let Some(rest) = text.strip_prefix('*') {
        return Some(("*".to_owned(), rest));
    }
    let mut rest = text.strip_prefix('`')?;
    let mut name = String::new();
    loop {
        let (part, after) = rest.split_once('`')?;
        name.push_str(part);
        match after.strip_prefix('`') {
            Some(after) => {
                name.push('`');
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

/// SQL's LIKE over schema names, without case.
fn like(pattern: &str, name: &str) -> bool {
    fn rec(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('%', rest)), _) => (0..=name.len()).any(|at| name.get(at..).is_some_and(|tail| rec(rest, tail))),
            (Some(('_', rest)), Some((_, tail))) => rec(rest, tail),
            (Some(('\\', rest)), _) => match (rest.split_first(), name.split_first()) {
                (Some((p, rest)), Some((n, tail))) => p == n && rec(rest, tail),
                _ => false,
            },
            (Some((p, rest)), Some((n, tail))) => p == n && rec(rest, tail),
            _ => false,
        }
    }
    let fold = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    rec(&fold(pattern), &fold(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_hold_globally_on_schemas_and_on_tables() {
        let grants = Grants::parse([
            "GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED BY PASSWORD '*B69'",
            "GRANT SELECT, SHOW VIEW ON `sh\\_op`.* TO `a`@`%`",
            "GRANT SELECT (`id`, `x`), INSERT ON `other`.`v2` TO `a`@`%`",
            "GRANT `role`@`%` TO `a`@`%`",
            "GRANT PROXY ON ``@`%` TO 'root'@'localhost' WITH GRANT OPTION",
            "GRANT SHOW_ROUTINE,XA_RECOVER_ADMIN ON *.* TO `a`@`%`",
        ]);
        let shop = TableName::new("sh_op", "users");
        assert!(grants.on("SHOW VIEW", &shop) && !grants.global("SHOW VIEW"));
        assert!(!grants.on("TRIGGER", &shop));
        assert!(!grants.on("SELECT", &TableName::new("shxop", "users")));
        let v2 = TableName::new("other", "v2");
        assert!(grants.on("INSERT", &v2) && !grants.on("SELECT", &v2));
        assert!(grants.global("SHOW_ROUTINE"));
        let all = Grants::parse(["GRANT ALL PRIVILEGES ON *.* TO `s`@`%` IDENTIFIED BY PASSWORD '*C78'"]);
        assert!(all.global("EVENT") && all.on("TRIGGER", &shop));
        assert!(
            Grants::parse(["GRANT ALL PRIVILEGES ON `t\\_%`.* TO `app`@`%`"]).on("SELECT", &TableName::new("t_1", "x"))
        );
    }
}
