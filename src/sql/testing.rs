//! A made-up schema for the tests of this room, and the context around a statement.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::bind::key_column;
use crate::catalog::{
    Column, ColumnDefault, Index, Physical, ProtectedColumn, Routine, ServerFlavor, ServerVersion, Snapshot, Table,
    TableKind, Watched, Width,
};
use crate::config::{EmptyPolicy, KmsMode, Search, TableName};
use crate::seal::Scope;
use crate::sql::{Charset, Context, Protocol, SqlMode};

/// `name type[!][=default]`, comma separated: `*` after the name protects, `%` makes searchable beside, `&` binds to the row, `!` is NOT NULL, `~` is invisible,
/// `=x` a literal default, `=x()` an expression.
fn columns(table: &TableName, text: &str) -> Vec<Column> {
    text.split(", ")
        .map(|spec| {
            let (head, default) = spec.split_once('=').map_or((spec, None), |(h, d)| (h, Some(d)));
            let (name, data_type) = head.split_once(' ').unwrap();
            let searchable = name.ends_with('%');
            let protects = searchable || name.ends_with(['*', '&']);
            let name = name.trim_end_matches(['*', '%', '&']).to_owned();
            let nullable = !data_type.contains('!');
            let invisible = data_type.contains('~');
            let data_type = data_type.trim_matches(['!', '~']).to_owned();
            let binary = data_type == "varbinary";
            let width = if binary { Width::Bytes(255) } else { Width::Characters(191) };
            Column {
                name: name.clone(),
                column_type: data_type.clone(),
                data_type,
                charset: None,
                collation: None,
                width,
                nullable,
                default: match default {
                    Some(d) if d.ends_with("()") => ColumnDefault::Expression(d.to_owned()),
                    Some(d) => ColumnDefault::Literal(d.to_owned()),
                    None if nullable => ColumnDefault::Null,
                    None => ColumnDefault::None,
                },
                auto_increment: name == "id",
                generated: None,
                invisible,
                comment: String::new(),
                protected: protects.then(|| {
                    Arc::new(ProtectedColumn {
                        table: table.clone(),
                        name: name.clone(),
                        scope: Scope { table: table.to_string(), column: name.clone() },
                        mode: KmsMode::Envelope,
                        physical: if binary { Physical::Binary } else { Physical::Text },
                        charset: "utf8mb4".into(),
                        width,
                        empty: EmptyPolicy::Refuse,
                        pad: None,
                        nullable,
                        search: if searchable { Search::Exact } else { Search::None },
                        cipher: crate::config::Cipher::GcmSiv,
                        logical: None,
                        bind: Vec::new(),
                    })
                }),
                bound: false,
            }
        })
        .collect()
}

/// Binds what is marked so to the columns `tenant` and `code` that the table has.
fn bind(table: &TableName, columns: &mut [Column], spec: &str) {
    let keys: Vec<Arc<ProtectedColumn>> = columns
        .iter()
        .filter(|column| matches!(column.name.as_str(), "tenant" | "code"))
        .map(|column| Arc::new(key_column(table, column).unwrap()))
        .collect();
    for column in columns.iter_mut() {
        column.bound = spec.contains('&') && keys.iter().any(|key| key.name == column.name);
        if spec.contains(&format!("{}&", column.name)) {
            let protected = column.protected.as_deref().unwrap().clone();
            column.protected = Some(Arc::new(ProtectedColumn { bind: keys.clone(), ..protected }));
        }
    }
}

pub fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot {
        generation: 1,
        version: ServerVersion { flavor: ServerFlavor::MariaDb, number: 101106 },
        lower_case_table_names: 0,
        tables: HashMap::new(),
        watched: HashMap::new(),
        routines: HashMap::new(),
        protected_schemas: vec!["shop".to_owned()],
        missing: HashMap::new(),
    };
    let mut add = |name: &str, spec: &str, engine: &str, view: Option<Option<&str>>, triggers: &[&str]| {
        let name = TableName::new("shop", name);
        let name = if name.table.contains('.') {
            let (schema, table) = name.table.split_once('.').unwrap();
            TableName::new(schema, table)
        } else {
            name
        };
        let mut columns = columns(&name, spec);
        bind(&name, &mut columns, spec);
        let protected = columns.iter().any(|c| c.protected.is_some());
        if protected {
            snapshot.watched.insert(name.table.clone(), Watched::Protected);
        }
        let key = columns.iter().find(|c| view.is_none() && matches!(c.name.as_str(), "id" | "code"));
        let key = key.map(|column| (column.name.clone(), None));
        let primary = |part| Index { name: "PRIMARY".into(), unique: true, columns: vec![part] };
        let table = Table {
            name: name.clone(),
            kind: match view {
                Some(definition) => TableKind::View { definition: definition.map(str::to_owned) },
                None => TableKind::Base,
            },
            columns,
            indexes: key.map(primary).into_iter().collect(),
            triggers: triggers.iter().map(|t| (*t).to_owned()).collect(),
            engine: Some(engine.to_owned()),
            protected,
            allow_ddl: false,
        };
        if view.is_some() {
            snapshot.watched.insert(name.table.clone(), Watched::View);
        }
        snapshot.tables.insert(name, Some(Arc::new(table)));
    };
    add("users", "id int!, email* varchar, note varchar, age int", "InnoDB", None, &[]);
    add("crm.users", "id int!, email varchar, note varchar", "InnoDB", None, &[]);
    add("orders", "id int!, user_id int, email varchar, total int", "InnoDB", None, &[]);
    add("people", "id int!, name* varchar!, plan* varchar!=free, note varchar", "InnoDB", None, &[]);
    add("isam", "id int!, name* varchar!, note varchar", "MyISAM", None, &[]);
    add("tokens", "id int!, token* varchar=uuid(), note varchar", "InnoDB", None, &[]);
    add("blobs", "id int!, data* varbinary", "InnoDB", None, &[]);
    add("accounts", "id int!, tax% varchar, iban% varchar!, email* varchar, note varchar", "InnoDB", None, &[]);
    add("vaults", "id int!, data% varbinary, note varchar", "InnoDB", None, &[]);
    add("notes", "code varchar!, title varchar, body& varchar, seen int", "InnoDB", None, &[]);
    add("ledger", "code int!, tenant int!, payee& varchar!, memo* varchar, seen int", "InnoDB", None, &[]);
    add("hidden", "id int!, secret* varchar~, note varchar", "InnoDB", None, &[]);
    add("logged", "id int!, email* varchar", "InnoDB", None, &["logged_ai"]);
    add("audit", "id int!, line varchar", "InnoDB", None, &[]);
    add("merged", "id int!, email varchar", "MRG_MyISAM", None, &[]);
    add(
        "v_users",
        "id int!, mail varchar, age int",
        "",
        Some(Some(
            "select `shop`.`users`.`id` AS `id`,`shop`.`users`.`email` AS `mail`,`shop`.`users`.`age` AS `age` from `shop`.`users`",
        )),
        &[],
    );
    add(
        "v_nested",
        "m varchar",
        "",
        Some(Some("select `shop`.`v_users`.`mail` AS `m` from `shop`.`v_users` where (`shop`.`v_users`.`age` > 3)")),
        &[],
    );
    add("v_upper", "u varchar", "", Some(Some("select ucase(`shop`.`users`.`email`) AS `u` from `shop`.`users`")), &[]);
    add("v_opaque", "u varchar", "", Some(None), &[]);
    snapshot.watched.insert("audit".to_owned(), Watched::Carrier("its trigger writes shop.users".to_owned()));
    snapshot.watched.insert("merged".to_owned(), Watched::Carrier("it merges shop.users".to_owned()));
    snapshot.watched.insert("reveal".to_owned(), Watched::Routine);
    snapshot.routines.insert(("shop".to_owned(), "reveal".to_owned()), Routine { touches: true, ..Routine::default() });
    snapshot.missing.insert(TableName::new("shop", "ghosts"), "column soul".to_owned());
    snapshot.watched.insert("ghosts".to_owned(), Watched::Protected);
    for absent in [TableName::new("shop", "tmp"), TableName::new("shop", "ghosts")] {
        snapshot.tables.insert(absent, None);
    }
    snapshot
}

/// Strict mode, utf8mb4, schema `shop`.
pub fn context(catalog: &Snapshot) -> Context<'_> {
    Context {
        catalog,
        schema: Some("shop"),
        sql_mode: SqlMode { strict_trans_tables: true, ..SqlMode::default() },
        character_set_client: Charset::Utf8mb4,
        character_set_connection: Charset::Utf8mb4,
        protocol: Protocol::Text,
        multi_statements: false,
        versions: crate::seal::versions::KeyVersions::NONE,
    }
}
