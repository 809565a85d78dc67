//! The `kms` section of the configuration file.

use std::collections::BTreeMap;
use std::time::Duration;

use super::model::*;
use super::reader::{Keys, Reader, Section};
use super::tree::{Node, Value};
use super::values::names_kms_key;

const KMS: Keys = Keys {
    path: "kms",
    names: &[
        "provider",
        "mode",
        "key",
        "keys",
        "previous",
        "keyring",
        "allow_plaintext",
        "region",
        "regions",
        "endpoint",
        "endpoints",
        "fips",
        "assume_role",
        "concurrency",
        "seals_per_key",
        "cache",
        "plaintext_cache",
        "encryption_context",
        "accept_contexts",
    ],
    later: &[],
};
const CACHE: Keys = Keys { path: "kms.cache", names: &["ttl", "max_stale"], later: &[] };
const ASSUME_ROLE: Keys = Keys { path: "kms.assume_role", names: &["arn", "external_id", "session_name"], later: &[] };
const PLAINTEXT_CACHE: Keys = Keys { path: "kms.plaintext_cache", names: &["ttl", "entries", "bytes"], later: &[] };

pub(super) const SECTIONS: &[Keys] = &[KMS, CACHE, PLAINTEXT_CACHE, ASSUME_ROLE];

/// Keys of an encryption context that the proxy sets itself.
const RESERVED_CONTEXT: [&str; 4] = ["purpose", "table", "key", "column"];

pub(super) fn kms(r: &mut Reader<'_>, top: &Section<'_>) -> Option<Kms> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Aws,
        Local,
        None,
    }
    let Some((key, node)) = top.entry("kms") else {
        r.problem(top.key_pos("kms"), "`kms` is missing", "for example `kms: { provider: aws, key: alias/my-app }`");
        return None;
    };
    let section = r.section(key.pos, node, KMS);
    let kinds = [("aws", Kind::Aws), ("local", Kind::Local), ("none", Kind::None)];
    let kind = r.choice(&section, "provider", &kinds);
    if section.get("provider").is_none() {
        r.problem(
            section.key_pos("provider"),
            "`kms.provider` is missing",
            "write `provider: aws` (or local, for development)",
        );
    }
    let modes = [("envelope", KmsMode::Envelope), ("direct", KmsMode::Direct)];
    let mode = r.choice(&section, "mode", &modes).unwrap_or(KmsMode::Envelope);
    let key = section.get("key").and_then(|node| kms_key(r, node, "key", kind == Some(Kind::Aws)));
    let previous = match section.get("previous").map(|node| (node, &node.value)) {
        None => Vec::new(),
        Some((_, Value::Sequence(items))) => {
            items.iter().filter_map(|item| kms_key(r, item, "previous", kind == Some(Kind::Aws))).collect()
        }
        Some((node, _)) => {
            r.problem(node.pos, "`previous` must be a list", "for example `previous: [alias/old-app]`");
            Vec::new()
        }
    };
    let keys = keys(r, &section, kind == Some(Kind::Aws));
    let keyring = section.get("keyring").and_then(|node| r.path(node, "keyring"));
    let allow_plaintext = r.boolean(&section, "allow_plaintext", false);
    let fips = r.boolean(&section, "fips", false);
    let region = section.get("region").and_then(|node| r.text(node, "region"));
    let regions = regions(r, &section, key.as_deref(), &previous, &keys);
    let endpoint = section.get("endpoint").and_then(|node| url(r, node, "endpoint"));
    let mut endpoints = BTreeMap::new();
    if let Some(node) = section.get("endpoints") {
        for (key, node) in r.mapping(node, "endpoints", "for example `{ eu-west-1: https://kms.example }`") {
            endpoints.extend(url(r, node, &key.name).map(|url| (key.name.clone(), url)));
        }
    }
    if kind == Some(Kind::Aws) && section.get("key").is_none() {
        r.problem(
            section.pos,
            "`kms.key` is missing: provider aws needs the KMS key",
            "for example `key: alias/my-app`",
        );
    }
    if kind.is_some_and(|kind| kind != Kind::Aws) {
        for name in ["keys", "region", "regions", "endpoint", "endpoints", "fips", "assume_role"] {
            if section.get(name).is_some() {
                r.problem(section.key_pos(name), format!("`{name}` is for provider aws only"), "remove it");
            }
        }
    }
    if kind.is_some_and(|kind| kind != Kind::Local) && section.get("keyring").is_some() {
        r.problem(section.key_pos("keyring"), "`keyring` is for provider local only", "remove it");
    }
    if kind == Some(Kind::None) && !allow_plaintext {
        r.problem(
            section.key_pos("provider"),
            "provider none stores plaintext",
            "for an application's own tests only; say so with `allow_plaintext: true` beside it",
        );
    }
    if kind.is_some_and(|kind| kind != Kind::None) && allow_plaintext {
        r.problem(section.key_pos("allow_plaintext"), "`allow_plaintext` is for provider none only", "remove it");
    }
    let provider = match kind? {
        Kind::Aws => Provider::Aws,
        Kind::None => Provider::None,
        Kind::Local => {
            if section.get("keyring").is_none() {
                r.problem(
                    section.pos,
                    "`kms.keyring` is missing: provider local keeps its keys there",
                    "for example `keyring: keyring.json`",
                );
            }
            Provider::Local { keyring: keyring.unwrap_or_default() }
        }
    };
    let concurrency = r.integer(&section, "concurrency", 1..=1000).and_then(|n| usize::try_from(n).ok()).unwrap_or(16);
    // NIST SP 800-38D allows 2³² random nonces a key.
    let seals_per_key = r.integer(&section, "seals_per_key", 64..=1 << 30).unwrap_or(1 << 30);
    let cache = cache(r, &section);
    let plaintext_cache = plaintext_cache(r, &section);
    let assume_role = assume_role(r, &section);
    let encryption_context = match section.get("encryption_context") {
        Some(node) => context(r, node, "encryption_context", true),
        None => BTreeMap::new(),
    };
    let accept_contexts = match section.get("accept_contexts").map(|node| (node, &node.value)) {
        None => Vec::new(),
        Some((_, Value::Sequence(items))) => {
            items.iter().map(|item| context(r, item, "accept_contexts", false)).collect()
        }
        Some((node, _)) => {
            r.problem(
                node.pos,
                "`accept_contexts` must be a list of mappings",
                "for example `accept_contexts: [{ app: billing }]`",
            );
            Vec::new()
        }
    };
    Some(Kms {
        provider,
        mode,
        key,
        keys,
        previous,
        region,
        regions,
        endpoint,
        endpoints,
        fips,
        assume_role,
        concurrency,
        seals_per_key,
        cache,
        plaintext_cache,
        encryption_context,
        accept_contexts,
    })
}

fn url(r: &mut Reader<'_>, node: &Node, what: &str) -> Option<String> {
    let text = r.text(node, what)?;
    if text.starts_with("http://") || text.starts_with("https://") {
        return Some(text);
    }
    r.problem(node.pos, format!("`{what}` must be a URL"), "for example `http://127.0.0.1:5000`");
    None
}

/// The regions of a multi-Region key. Anything else than such a key is in one region only; an alias may point to
/// another key in each.
fn regions(
    r: &mut Reader<'_>,
    kms: &Section<'_>,
    key: Option<&str>,
    previous: &[String],
    keys: &BTreeMap<String, String>,
) -> Vec<String> {
    let Some((name, node)) = kms.entry("regions") else { return Vec::new() };
    let mut regions: Vec<String> = Vec::new();
    let hint = "for example `regions: [eu-west-1, eu-central-1]`, first choice first";
    match &node.value {
        Value::Sequence(items) if !items.is_empty() => {
            for item in items {
                let Some(region) = r.text(item, "regions") else { continue };
                if regions.contains(&region) {
                    r.problem(item.pos, "this region is listed twice", "remove one of the two");
                }
                regions.push(region);
            }
        }
        _ => r.problem(node.pos, "`regions` must be a list of regions", hint),
    }
    if kms.get("region").is_some() {
        r.problem(kms.key_pos("region"), "`region` and `regions` exclude each other", "keep `regions`");
    }
    if regions.len() < 2 {
        return regions;
    }
    if kms.get("endpoint").is_some() {
        r.problem(
            kms.key_pos("endpoint"),
            "`endpoint` is one region's",
            "write `endpoints: { REGION: URL }` for several regions",
        );
    }
    let id = |key: &str| key.rsplit_once(":key/").map_or(key, |(_, id)| id).to_owned();
    if key.is_some_and(|key| !id(key).starts_with("mrk-")) {
        r.problem(
            kms.key_pos("key"),
            "`kms.key` does not name a multi-Region key, and `regions` lists several regions",
            "write its key id (mrk-…) or key ARN; an alias may point to another key in each region, and other keys \
             exist in one region only",
        );
    }
    let own = key.and_then(|key| key.strip_prefix("arn:")).and_then(|arn| arn.split(':').nth(2));
    if own.is_some_and(|own| !regions.iter().any(|region| region == own)) {
        r.problem(name.pos, "`regions` leaves out the region of the key's ARN", "list it, or name the key by its id");
    }
    let unsaid = |key: &String| !key.starts_with("arn:") && !key.starts_with("mrk-");
    for name in
        [("previous", previous.iter().any(unsaid)), ("keys", keys.values().any(unsaid))].iter().filter(|name| name.1)
    {
        r.problem(
            kms.key_pos(name.0),
            format!("a key of `{}` does not say its region", name.0),
            "write its ARN: with several regions a key id or an alias could be any region's",
        );
    }
    regions
}

/// The keys of single tables. That there are such tables is checked when they are read.
fn keys(r: &mut Reader<'_>, kms: &Section<'_>, aws: bool) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    if let Some(node) = kms.get("keys") {
        for (table, node) in r.mapping(node, "keys", "for example `{ shop.payments: alias/payments }`") {
            if let Some(key) = kms_key(r, node, "keys", aws) {
                keys.insert(table.name.clone(), key);
            }
        }
    }
    keys
}

/// A key of its own for a table that there is not would leave the table that is meant without.
pub(super) fn tables_of_keys(
    r: &mut Reader<'_>,
    top: &Section<'_>,
    kms: &Kms,
    tables: &BTreeMap<TableName, TableConfig>,
) {
    let scopes: Vec<String> =
        tables.iter().map(|(name, table)| table.sealed_as.as_ref().unwrap_or(name).to_string()).collect();
    for table in kms.keys.keys().filter(|table| !scopes.contains(table)) {
        r.problem(
            top.key_pos("kms"),
            format!("`kms.keys` names `{table}`, and no table is sealed as that"),
            "write schema.table as it is below `tables`, or its `sealed_as`",
        );
    }
}

fn kms_key(r: &mut Reader<'_>, node: &Node, what: &str, aws: bool) -> Option<String> {
    let text = r.text(node, what)?;
    if aws && !names_kms_key(&text) {
        r.problem(
            node.pos,
            format!("`{what}` does not name a KMS key"),
            "write an alias (alias/my-app), a key id, a key ARN or an alias ARN",
        );
        return None;
    }
    Some(text)
}

fn cache(r: &mut Reader<'_>, kms: &Section<'_>) -> KeyCache {
    let default = KeyCache { ttl: Duration::from_secs(300), max_stale: Duration::from_secs(3600) };
    let Some((key, node)) = kms.entry("cache") else { return default };
    let section = r.section(key.pos, node, CACHE);
    let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let ttl = r.duration(&section, "ttl", second, day, default.ttl);
    let max_stale = r.duration(&section, "max_stale", second, day, default.max_stale.max(ttl));
    if max_stale < ttl {
        r.problem(
            section.key_pos("max_stale"),
            "`max_stale` is shorter than `ttl`",
            "both count from the last good Decrypt; make `max_stale` at least as long as `ttl`",
        );
    }
    KeyCache { ttl, max_stale }
}

fn assume_role(r: &mut Reader<'_>, kms: &Section<'_>) -> Option<AssumeRole> {
    let (key, node) = kms.entry("assume_role")?;
    let section = r.section(key.pos, node, ASSUME_ROLE);
    let arn = section.get("arn").and_then(|node| r.text(node, "arn"));
    if arn.as_ref().is_none_or(|arn| !arn.starts_with("arn:") || !arn.contains(":role/")) {
        r.problem(
            section.key_pos("arn"),
            "`kms.assume_role.arn` does not name a role",
            "for example `arn: arn:aws:iam::111122223333:role/sealwire`",
        );
    }
    let external_id = section.get("external_id").and_then(|node| r.text(node, "external_id"));
    let session_name = section.get("session_name").and_then(|node| r.text(node, "session_name"));
    Some(AssumeRole { arn: arn?, external_id, session_name })
}

/// Off unless the section is there.
fn plaintext_cache(r: &mut Reader<'_>, kms: &Section<'_>) -> Option<PlaintextCache> {
    let (key, node) = kms.entry("plaintext_cache")?;
    let section = r.section(key.pos, node, PLAINTEXT_CACHE);
    let (least, hour) = (Duration::from_millis(100), Duration::from_secs(3600));
    let ttl = r.duration(&section, "ttl", least, hour, Duration::from_secs(60));
    let entries = r.integer(&section, "entries", 1..=10_000_000).unwrap_or(10_000);
    let bytes = r.integer(&section, "bytes", 8192..=1 << 34).unwrap_or(16 << 20);
    Some(PlaintextCache { entries: usize::try_from(entries).ok()?, bytes: usize::try_from(bytes).ok()?, ttl })
}

fn context(r: &mut Reader<'_>, node: &Node, what: &str, written: bool) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for (key, node) in r.mapping(node, what, "for example `{ service: billing }`") {
        let name = key.name.to_ascii_lowercase();
        // Under `purpose` KMS keeps the data keys: no column's value is ever opened so.
        let reserved = if written { RESERVED_CONTEXT.contains(&name.as_str()) } else { name == "purpose" };
        if reserved || name.starts_with("aws:") || name.is_empty() {
            let who = if reserved { "the proxy sets it itself" } else { "KMS keeps that name for itself" };
            r.problem(
                key.pos,
                format!("`{}` cannot be a key of an encryption context: {who}", key.name),
                "choose another name",
            );
            continue;
        }
        if let Some(value) = r.text(node, &key.name) {
            pairs.insert(key.name.clone(), value);
        }
    }
    pairs
}
