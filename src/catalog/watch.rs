//! Which names make a statement interesting: a fixed point over "this text mentions a watched name".
//!
//! A mention is the name as a whole identifier anywhere in the text, whatever it stands for there, in
//! strings and comments too: too many are watched, never too few.

use std::collections::{HashMap, HashSet};

use super::facts::{IndirectRow, Objects, TriggerRow};
use super::{Routine, Watched};
use crate::config::TableName;

pub(super) struct Watch {
    pub names: HashMap<String, Watched>,
    /// Views that are watched, as the server spells them.
    pub views: Vec<TableName>,
    pub routines: HashMap<(String, String), Routine>,
}

/// Statements whose text the proxy does not see before the server runs it, and settings without which
/// it would lose sight of the session.
const DYNAMIC: [&str; 6] = [
    "prepare",
    "execute",
    "immediate",
    "session_track_schema",
    "session_track_system_variables",
    "session_track_state_change",
];

/// `protected`: configured tables, and their protected columns in lower case.
/// `allowed`: routines and triggers that the configuration allows.
pub(super) fn watch(
    protected: &[(TableName, HashSet<String>)],
    allowed: &[TableName],
    objects: &Objects,
    indirect: &[IndirectRow],
) -> Watch {
    let mut names: HashMap<String, Watched> = HashMap::new();
    for (table, _) in protected {
        names.insert(table.table.to_lowercase(), Watched::Protected);
    }
    carriers_by_foreign_key(protected, objects, &mut names);
    let views: Vec<(&TableName, Option<Words>)> =
        objects.views.iter().map(|view| (&view.name, view.definition.as_deref().map(Words::of))).collect();
    let triggers: Vec<(&TableName, &str, Option<Words>)> = objects
        .triggers
        .iter()
        .filter(|trigger| !is_allowed_trigger(allowed, trigger))
        .map(|trigger| (&trigger.table, trigger.name.as_str(), trigger.body.as_deref().map(Words::of)))
        .collect();
    let routines: Vec<(&str, &str, Option<Words>)> = objects
        .routines
        .iter()
        .map(|routine| (routine.schema.as_str(), routine.name.as_str(), routine.body.as_deref().map(Words::of)))
        .collect();
    let indirect: Vec<(&IndirectRow, Option<Words>)> =
        indirect.iter().map(|row| (row, row.create.as_deref().map(Words::of))).collect();
    let mut watched_views: HashSet<&TableName> = HashSet::new();
    let mut touching: HashSet<usize> = HashSet::new();
    loop {
        let before = names.len() + watched_views.len() + touching.len();
        for (name, words) in &views {
            if !watched_views.contains(*name) && mentions(words.as_ref(), &names) {
                watched_views.insert(name);
                names.entry(name.table.to_lowercase()).or_insert(Watched::View);
            }
        }
        for (at, (_, name, words)) in routines.iter().enumerate() {
            let opaque = words.as_ref().is_none_or(Words::dynamic);
            let touches = mentions(words.as_ref(), &names);
            if touches {
                touching.insert(at);
            }
            if touches || opaque {
                names.entry(name.to_lowercase()).or_insert(Watched::Routine);
            }
        }
        for (table, trigger, words) in &triggers {
            let reason = if mentions(words.as_ref(), &names) {
                format!("its trigger {trigger} names a protected table or what leads to one")
            } else if words.as_ref().is_some_and(Words::dynamic) {
                format!("its trigger {trigger} switches session tracking")
            } else {
                continue;
            };
            names.entry(table.table.to_lowercase()).or_insert(Watched::Carrier(reason));
        }
        for (row, words) in &indirect {
            if mentions(words.as_ref(), &names) {
                let reason = format!("its engine {} shows the rows of a protected table", row.engine);
                names.entry(row.name.table.to_lowercase()).or_insert(Watched::Carrier(reason));
            }
        }
        if before == names.len() + watched_views.len() + touching.len() {
            break;
        }
    }
    let mut found: HashMap<(String, String), Routine> = HashMap::new();
    for (at, (schema, name, words)) in routines.iter().enumerate() {
        let routine = found.entry((schema.to_lowercase(), name.to_lowercase())).or_insert(Routine {
            touches: false,
            dynamic: false,
            unreadable: false,
            allowed: true,
        });
        // A procedure and a function may share a name: the worse of the two counts.
        routine.touches |= touching.contains(&at);
        routine.dynamic |= words.as_ref().is_some_and(Words::dynamic);
        routine.unreadable |= words.is_none();
        routine.allowed &= is_allowed(allowed, schema, name) && words.as_ref().is_some_and(|words| !words.blind());
    }
    let mut views: Vec<TableName> = watched_views.into_iter().cloned().collect();
    views.sort();
    Watch { names, views, routines: found }
}

fn is_allowed(allowed: &[TableName], schema: &str, name: &str) -> bool {
    let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
    allowed.iter().any(|allowed| same(&allowed.schema, schema) && same(&allowed.table, name))
}

/// Whether the configuration allows the trigger by name. One that switches session tracking is never allowed,
/// nor one that cannot be read.
pub(super) fn is_allowed_trigger(allowed: &[TableName], trigger: &TriggerRow) -> bool {
    is_allowed(allowed, &trigger.table.schema, &trigger.name)
        && trigger.body.as_deref().is_some_and(|body| !Words::of(body).blind())
}

/// ON UPDATE CASCADE writes the parent's new value into the child, raw, and from there into the child's
/// children. Deleting and SET NULL put no value there, and columns that are not protected may be written.
fn carriers_by_foreign_key(
    protected: &[(TableName, HashSet<String>)],
    objects: &Objects,
    names: &mut HashMap<String, Watched>,
) {
    let mut reached: HashSet<(String, String, String)> =
        protected.iter().flat_map(|(table, columns)| columns.iter().map(move |column| place(table, column))).collect();
    loop {
        let before = reached.len();
        for key in objects.foreign_keys.iter().filter(|key| key.writes()) {
            if reached.contains(&place(&key.child, &key.column)) {
                let reason = format!("its foreign key {} updates {}.{} by cascade", key.name, key.child, key.column);
                names.entry(key.parent.table.to_lowercase()).or_insert(Watched::Carrier(reason));
                reached.insert(place(&key.parent, &key.parent_column));
            }
        }
        if reached.len() == before {
            return;
        }
    }
}

/// A column without regard to case: on a server that tells `a` from `A` this reaches too much, never
/// too little.
fn place(table: &TableName, column: &str) -> (String, String, String) {
    (table.schema.to_lowercase(), table.table.to_lowercase(), column.to_lowercase())
}

/// What cannot be read may mention anything.
fn mentions(words: Option<&Words>, names: &HashMap<String, Watched>) -> bool {
    match words {
        None => true,
        Some(words) => names.keys().any(|name| words.mention(name)),
    }
}

/// The identifiers of a text, in lower case.
struct Words {
    words: HashSet<String>,
    /// The text itself, for names that are not one plain word.
    lower: String,
}

impl Words {
    fn of(text: &str) -> Self {
        let lower = text.to_lowercase();
        let words = lower.split(|c| !plain(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect();
        Self { words, lower }
    }

    fn mention(&self, name: &str) -> bool {
        if name.chars().all(plain) { self.words.contains(name) } else { self.lower.contains(name) }
    }

    /// Names what switches session tracking.
    fn blind(&self) -> bool {
        self.lower.contains("session_track")
    }

    fn dynamic(&self) -> bool {
        let has = |word: &str| self.words.contains(word);
        // DROP DATABASE names no table and drops the protected ones.
        DYNAMIC.iter().any(|word| has(word)) || has("drop") && (has("database") || has("schema"))
    }
}

/// Characters of an unquoted identifier.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::super::facts::*;
    use super::*;

    fn protected() -> Vec<(TableName, HashSet<String>)> {
        vec![(TableName::new("shop", "Users"), HashSet::from(["email".to_owned()]))]
    }

    fn view(name: &str, definition: Option<&str>) -> ViewRow {
        ViewRow { name: TableName::new("other", name), definition: definition.map(str::to_owned) }
    }

    fn routine(name: &str, body: Option<&str>) -> RoutineRow {
        RoutineRow { schema: "Shop".into(), name: name.into(), body: body.map(str::to_owned) }
    }

    fn trigger(table: &str, body: Option<&str>) -> TriggerRow {
        TriggerRow { table: TableName::new("shop", table), name: "t".into(), body: body.map(str::to_owned) }
    }

    #[test]
    fn views_over_views_over_a_protected_table_are_watched_in_any_order() {
        let objects = Objects {
            views: vec![
                view("A", Some("select `b`.`x` from `b`")),
                view("b", Some("select `shop`.`users`.`id` from `shop`.`users`")),
                view("c", Some("select 1 from superusers")),
                view("d", None),
            ],
            ..Objects::default()
        };
        let watch = watch(&protected(), &[], &objects, &[]);
        assert_eq!(watch.names.get("users"), Some(&Watched::Protected));
        assert_eq!(watch.names.get("a"), Some(&Watched::View));
        assert_eq!(watch.names.get("d"), Some(&Watched::View), "an unreadable view may show anything");
        assert!(!watch.names.contains_key("c"));
        assert_eq!(watch.views.len(), 3);
    }

    #[test]
    fn routines_that_touch_prepare_or_hide_their_body_are_watched() {
        let objects = Objects {
            routines: vec![
                routine("Outer", Some("begin call inner_one(); end")),
                routine("inner_one", Some("begin update USERS set id = 1; end")),
                routine("dyn", Some("begin prepare s from @x; execute s; end")),
                routine("dropper", Some("begin drop /* x */ schema crm; end")),
                routine("blinder", Some("begin set session_track_schema = off; end")),
                routine("hidden", None),
                routine("calm", Some("begin select 1; end")),
            ],
            ..Objects::default()
        };
        let watch = watch(&protected(), &[], &objects, &[]);
        let get = |name: &str| watch.routines.get(&("shop".to_owned(), name.to_owned())).unwrap();
        assert!(get("outer").touches && get("inner_one").touches && !get("dyn").touches);
        assert!(get("dyn").dynamic && get("hidden").unreadable && get("hidden").touches);
        assert!(get("dropper").dynamic && get("blinder").dynamic);
        assert!(!get("calm").touches && !get("calm").dynamic);
        assert!(watch.names.contains_key("dyn") && !watch.names.contains_key("calm"));
    }

    #[test]
    fn a_trigger_that_leads_to_a_protected_table_makes_its_own_table_a_carrier() {
        let objects = Objects {
            routines: vec![routine("touch", Some("update users set id = 1"))],
            triggers: vec![
                trigger("orders", Some("begin call touch(); end")),
                trigger("log", Some("set new.x = 1")),
                trigger("stages", Some("insert into orders values (1)")),
                trigger("blind", Some("set session session_track_schema = 0")),
            ],
            ..Objects::default()
        };
        let watch = watch(&protected(), &[], &objects, &[]);
        assert!(matches!(watch.names.get("orders"), Some(Watched::Carrier(_))));
        assert!(matches!(watch.names.get("stages"), Some(Watched::Carrier(_))));
        assert!(matches!(watch.names.get("blind"), Some(Watched::Carrier(_))));
        assert!(!watch.names.contains_key("log"));
    }

    #[test]
    fn a_parent_carries_only_what_a_cascade_writes_into_a_protected_column() {
        let key = |parent: &str, column: &str, rule: &str| ForeignKeyRow {
            child: TableName::new("shop", "users"),
            name: "fk".into(),
            column: column.into(),
            parent: TableName::new("crm", parent),
            parent_column: "x".into(),
            on_update: rule.into(),
        };
        let objects = Objects {
            foreign_keys: vec![
                key("people", "Email", "CASCADE"),
                key("tenants", "tenant_id", "CASCADE"),
                key("mails", "email", "RESTRICT"),
            ],
            ..Objects::default()
        };
        let watch = watch(&protected(), &[], &objects, &[]);
        assert!(matches!(watch.names.get("people"), Some(Watched::Carrier(_))));
        assert!(!watch.names.contains_key("tenants") && !watch.names.contains_key("mails"));
    }

    #[test]
    fn a_cascade_is_followed_over_several_tables_in_any_order_and_around_circles() {
        let key = |parent: &str, child: &str, column: &str| ForeignKeyRow {
            child: TableName::new("shop", child),
            name: "fk".into(),
            column: column.into(),
            parent: TableName::new("shop", parent),
            parent_column: "x".into(),
            on_update: "CASCADE".into(),
        };
        let objects = Objects {
            foreign_keys: vec![
                key("top", "middle", "x"),
                key("aside", "middle", "y"),
                key("middle", "users", "email"),
                key("middle", "top", "X"),
            ],
            ..Objects::default()
        };
        let watch = watch(&protected(), &[], &objects, &[]);
        assert!(matches!(watch.names.get("top"), Some(Watched::Carrier(_))));
        assert!(!watch.names.contains_key("aside"));
    }

    #[test]
    fn names_that_are_not_one_word_are_found_inside_quotes() {
        let protected = vec![(TableName::new("shop", "user-data"), HashSet::new())];
        let objects =
            Objects { views: vec![view("v", Some("select 1 from `shop`.`User-Data`"))], ..Objects::default() };
        assert!(watch(&protected, &[], &objects, &[]).names.contains_key("v"));
    }
}
