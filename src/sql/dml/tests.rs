//! Statements, and what becomes of them: the text that would be sent, the roles, or the refusal.

use super::{DmlError, DmlPlan, plan};
use crate::catalog::Physical;
use crate::seal::versions::Form;
use crate::sql::lex::{LexMode, lex, statements};
use crate::sql::testing::{context, snapshot};
use crate::sql::{Charset, Context, NullPolicy, ParamRole, Piece, Protocol, RefusalCode as Code, ResultRoles, SqlMode};

mod accepted;
mod queries;
mod refused;
mod rotating;
mod searching;

fn plan_in(sql: &[u8], ctx: &Context<'_>) -> Result<DmlPlan, DmlError> {
    let mode = LexMode::of(ctx);
    let tokens = lex(sql, mode).unwrap();
    let found = statements(sql, &tokens, mode);
    plan(&found[0], ctx)
}

/// The text with `<column:value:row>` for each sealed value, and its form if it is not the whole.
fn spliced(sql: &[u8], plan: &DmlPlan) -> String {
    let mut out = Vec::new();
    let mut at = 0;
    for edit in &plan.edits {
        out.extend_from_slice(&sql[at..edit.span.start]);
        for piece in &edit.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Seal(s) => {
                    let value = match s.column.physical {
                        Physical::Text => String::from_utf8(s.value.expose().to_vec()).unwrap(),
                        Physical::Binary => s.value.expose().iter().map(|b| format!("{b:02x}")).collect(),
                    };
                    let form = if s.form == Form::Whole { String::new() } else { format!(":{:?}", s.form) };
                    out.extend_from_slice(format!("<{}:{}:{}{form}>", s.column.name, value, s.row).as_bytes());
                }
            }
        }
        at = edit.span.end;
    }
    out.extend_from_slice(&sql[at..]);
    String::from_utf8_lossy(&out).into_owned()
}

fn explain(error: DmlError) -> String {
    match error {
        DmlError::Refusal(r) => format!("{:?}: {}", r.code, r.message),
        DmlError::NeedTables(t) => format!("needs {t:?}"),
    }
}

/// Plans `sql`, which must be accepted, with the protocol its placeholders call for.
fn accepted(sql: &str) -> (String, DmlPlan) {
    accepted_in(sql, |_| {})
}

fn accepted_in(sql: &str, change: impl FnOnce(&mut Context<'_>)) -> (String, DmlPlan) {
    let catalog = snapshot();
    let mut ctx = context(&catalog);
    if sql.contains('?') {
        ctx.protocol = Protocol::Prepared;
    }
    change(&mut ctx);
    match plan_in(sql.as_bytes(), &ctx) {
        Ok(plan) => (spliced(sql.as_bytes(), &plan), plan),
        Err(e) => panic!("{sql}\n  {}", explain(e)),
    }
}

/// The code with which `sql` is refused.
fn refusal_in(sql: &str, change: impl FnOnce(&mut Context<'_>)) -> Result<Code, String> {
    let catalog = snapshot();
    let mut ctx = context(&catalog);
    if sql.contains('?') {
        ctx.protocol = Protocol::Prepared;
    }
    change(&mut ctx);
    match plan_in(sql.as_bytes(), &ctx) {
        Ok(plan) => Err(spliced(sql.as_bytes(), &plan)),
        Err(DmlError::Refusal(r)) => Ok(r.code),
        Err(e) => Err(explain(e)),
    }
}

fn refuses(cases: &[(Code, &str)]) {
    let mut wrong = Vec::new();
    for (code, sql) in cases {
        match refusal_in(sql, |_| {}) {
            Ok(found) if found == *code => {}
            other => wrong.push(format!("{sql}\n    expected {code:?}, found {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `-` for a plain result, otherwise each column's protected column or `.`.
fn roles(plan: &DmlPlan) -> String {
    match &plan.result {
        ResultRoles::Plain | ResultRoles::Load(_) => "-".to_owned(),
        ResultRoles::Columns(columns) => columns
            .iter()
            .map(|c| c.open.as_ref().map_or(".".to_owned(), |p| p.name.clone()))
            .collect::<Vec<_>>()
            .join(","),
    }
}

fn params(plan: &DmlPlan) -> String {
    plan.params
        .iter()
        .map(|p| match p {
            ParamRole::Plain => ".".to_owned(),
            ParamRole::Seal(s) => {
                let null = if s.null == NullPolicy::SealEmpty { "!" } else { "" };
                format!("{}:{}{null}", s.column.name, s.row)
            }
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn lenient(ctx: &mut Context<'_>) {
    ctx.sql_mode = SqlMode::default();
}

#[test]
fn tables_that_are_not_known_yet_are_asked_for() {
    let catalog = snapshot();
    let ctx = context(&catalog);
    let sql = "SELECT email FROM users JOIN other.things USING (id) JOIN more ON 1";
    let Err(DmlError::NeedTables(tables)) = plan_in(sql.as_bytes(), &ctx) else { panic!("must be asked for") };
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["other.things", "shop.more"]);
}

#[test]
fn names_fold_case_where_the_server_does() {
    let mut catalog = snapshot();
    assert!(matches!(
        plan_in(b"SELECT U.email FROM users u", &context(&catalog)),
        Err(DmlError::Refusal(r)) if r.code == Code::UnknownColumn
    ));
    catalog.lower_case_table_names = 1;
    let plan = plan_in(b"SELECT U.EMAIL FROM SHOP.Users u", &context(&catalog)).map_err(explain).unwrap();
    assert_eq!(roles(&plan), "email");
}

#[test]
fn values_are_decoded_from_the_clients_character_set() {
    let catalog = snapshot();
    let mut ctx = context(&catalog);
    ctx.character_set_client = Charset::Latin1;
    ctx.character_set_connection = Charset::Latin1;
    let sql = b"INSERT INTO users (email) VALUES ('caf\xe9 \x80')";
    let plan = plan_in(sql, &ctx).map_err(explain).unwrap();
    assert_eq!(spliced(sql, &plan), "INSERT INTO users (email) VALUES (<email:café €:1>)");
    let sql = b"INSERT INTO users (email) VALUES (_utf8mb4'caf\xc3\xa9')";
    let plan = plan_in(sql, &ctx).map_err(explain).unwrap();
    assert_eq!(spliced(sql, &plan), "INSERT INTO users (email) VALUES (<email:café:1>)");
    let sql = b"INSERT INTO blobs (data) VALUES ('caf\xe9')";
    let plan = plan_in(sql, &ctx).map_err(explain).unwrap();
    assert_eq!(spliced(sql, &plan), "INSERT INTO blobs (data) VALUES (<data:636166e9:1>)");

    let insert = |sql: &[u8], client: &str, connection: &str| {
        let mut ctx = context(&catalog);
        ctx.character_set_client = Charset::from_name(client);
        ctx.character_set_connection = Charset::from_name(connection);
        let sql = [b"INSERT INTO users (email) VALUES (", sql, b")"].concat();
        match plan_in(&sql, &ctx) {
            Ok(plan) => {
                let text = spliced(&sql, &plan);
                text.split_once("<email:").unwrap().1.split_once(":1>").unwrap().0.to_owned()
            }
            Err(DmlError::Refusal(refusal)) => format!("{:?}", refusal.code),
            Err(_) => panic!("{sql:?}"),
        }
    };
    for (sql, client, connection, value) in [
        (&b"'\x95\\'"[..], "sjis", "sjis", "表"),
        (b"'\x95\\' '\xb1'", "sjis", "sjis", "表ｱ"),
        (b"'\xbf\\'", "gbk", "gbk", "縗"),
        (b"'\xbf\\'", "gbk", "utf8mb4", "縗"),
        (b"'{|}~'", "swe7", "swe7", "äöåü"),
        (b"N'\xc3\xa9'", "latin1", "latin1", "é"),
        (b"N'\xe9'", "latin1", "latin1", "InvalidString"),
        (b"_gbk'\x81\x40'", "utf8mb4", "utf8mb4", "丂"),
        (b"_latin1'\xe9'", "gbk", "gbk", "é"),
        (b"_latin1 x'e9'", "gbk", "gbk", "é"),
        (b"x'c3a9'", "gbk", "gbk", "é"),
        (b"_binary'\xc3\xa9'", "gbk", "gbk", "é"),
        (b"'\xc3\xa9'", "binary", "binary", "é"),
        (b"'\xe9'", "binary", "latin1", "é"),
        (b"'\xe9'", "latin1", "binary", "InvalidString"),
        (b"'\xe9\x80'", "latin1", "ascii", "??"),
        ("'漢é'".as_bytes(), "utf8mb4", "latin1", "?é"),
        ("'漢' 'é'".as_bytes(), "utf8mb4", "latin1", "?é"),
        (b"'\xe6\xbc' '\xa2'", "utf8mb4", "latin1", "InvalidString"),
        (b"'\xe6\xbc' '\xa2'", "utf8mb4", "utf8mb4", "漢"),
        (b"_utf8mb4'a' '\xe9'", "latin1", "utf8mb4", "LiteralKind"),
        (b"_utf8mb4'a' '\xc3\xa9'", "latin1", "latin1", "aé"),
        ("'漢' 'é'".as_bytes(), "utf8mb4", "utf8mb4", "漢é"),
        (b"'\\\\'", "utf8mb4", "sjis", "InvalidString"),
        (b"'\xff'", "gbk", "gbk", "InvalidString"),
        (b"'a'", "utf8mb4", "ucs2", "InvalidString"),
    ] {
        assert_eq!(insert(sql, client, connection), value, "{} {client} {connection}", String::from_utf8_lossy(sql));
    }

    ctx.character_set_client = Charset::Utf8mb4;
    let sql = b"INSERT INTO users (email) VALUES ('caf\xe9')";
    assert!(matches!(plan_in(sql, &ctx), Err(DmlError::Refusal(r)) if r.code == Code::InvalidString));
    ctx.character_set_client = Charset::Other;
    assert!(
        matches!(plan_in(b"SELECT id FROM users", &ctx), Err(DmlError::Refusal(r)) if r.code == Code::CharacterSet)
    );
}

#[test]
fn a_large_insert_is_planned_in_linear_time() {
    let rows: Vec<String> = (0..20_000).map(|n| format!("({n}, 'someone{n}@example.com')")).collect();
    let sql = format!("INSERT INTO users (id, email) VALUES {}", rows.join(", "));
    let started = std::time::Instant::now();
    let (_, plan) = accepted(&sql);
    assert_eq!(plan.edits.len(), 20_000);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
