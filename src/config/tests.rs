//! The loader against whole files: the samples, the JSON Schema, and everything that can be wrong.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

const MINIMAL: &str = "\
listen: [127.0.0.1:3307]
backend:
  address: db
  control: { user: u, password: p }
kms: { provider: local, keyring: k.json }
tables:
  shop.users:
    columns:
      email: {}
";

fn env(name: &str) -> Option<String> {
    match name {
        "SEALWIRE_CONTROL_PASSWORD" => Some("s3cret".into()),
        "PORT" => Some("3310".into()),
        name if name.starts_with("DEMO_") => Some("3307".into()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse(text, Path::new("/etc/sealwire/sealwire.yaml"), &env)
}

/// `(line, column, message)` of every problem, and the whole report.
fn problems(text: &str) -> (Vec<(usize, usize, String)>, String) {
    let errors = parse(text).expect_err("this configuration is wrong");
    let report = errors.to_string();
    (errors.problems.into_iter().map(|p| (p.line, p.column, p.message)).collect(), report)
}

fn swap(from: &str, to: &str) -> String {
    assert!(MINIMAL.contains(from), "{from}");
    MINIMAL.replace(from, to)
}

#[test]
fn a_build_with_the_fips_module_seals_with_approved_algorithms_unless_allowed_otherwise() {
    let approved = swap("email: {}", "email: { cipher: aes-256-gcm }");
    let direct = swap("email: {}", "email: { mode: direct }");
    let all = format!("{MINIMAL}cipher: aes-256-gcm\n");
    let allowed = format!("{MINIMAL}unapproved_algorithms: allow\n");
    for accepted in [approved, direct, all, allowed] {
        parse(&accepted).unwrap_or_else(|errors| panic!("{accepted}\n{errors}"));
    }
    assert_eq!(parse(MINIMAL).is_err(), cfg!(feature = "fips"));
    if cfg!(feature = "fips") {
        let (found, report) = problems(MINIMAL);
        assert!(found.iter().any(|(.., message)| message.contains("not an approved algorithm")), "{report}");
        assert!(report.contains("cipher: aes-256-gcm"), "{report}");
        let (_, report) = problems(&swap("email: {}", "email: { search: exact, cipher: aes-256-gcm-siv }"));
        assert!(report.contains("not an approved algorithm"), "{report}");
    }
}

#[test]
fn a_minimal_file_takes_the_documented_defaults() {
    let config = parse(MINIMAL).unwrap();
    assert_eq!(config.backend.address, BackendAddress::Tcp("db".into(), 3306));
    assert_eq!(config.backend.tls.mode, BackendTlsMode::Preferred);
    assert_eq!(config.tls.mode, ClientTlsMode::Disabled);
    assert_eq!(config.kms.provider, Provider::Local { keyring: "/etc/sealwire/k.json".into() });
    assert_eq!(config.kms.cache.ttl.as_secs(), 300);
    assert_eq!(config.kms.cache.max_stale.as_secs(), 3600);
    assert_eq!(config.kms.concurrency, 16);
    assert_eq!(config.vault, TableName::new("sealwire", "data_keys"));
    assert_eq!(config.catalog.max_age.as_secs(), 1);
    assert!(config.workers >= 1);
    assert_eq!(config.shutdown_grace.as_secs(), 20);
    assert!(!config.allow_replication);
    assert!(parse(&format!("{MINIMAL}\nreplication: allow\n")).unwrap().allow_replication);
    let (_, report) = problems(&format!("{MINIMAL}\nreplication: maybe\n"));
    assert!(report.contains("`allow` or `refuse`"), "{report}");
    assert_eq!(config.tables.len(), 1);
}

#[test]
fn several_regions_want_a_key_that_is_the_same_in_each() {
    const MRK: &str = "mrk-1234abcd12ab34cd56ef1234567890ab";
    let kms =
        |rest: &str| swap("kms: { provider: local, keyring: k.json }", &format!("kms: {{ provider: aws, {rest} }}"));
    let regions = "regions: [eu-west-1, eu-central-1]";
    for right in [
        format!("key: {MRK}, {regions}"),
        format!("key: \"arn:aws:kms:eu-west-1:111122223333:key/{MRK}\", {regions}"),
        "key: alias/app, regions: [eu-west-1]".to_owned(),
        format!("key: {MRK}, {regions}, endpoints: {{ eu-west-1: \"http://127.0.0.1:1\" }}"),
        format!("key: {MRK}, {regions}, previous: [\"arn:aws:kms:eu-north-1:111122223333:alias/old\", {MRK}]"),
    ] {
        parse(&kms(&right)).unwrap_or_else(|error| panic!("{right}: {error}"));
    }
    for (wrong, why) in [
        (format!("key: alias/app, {regions}"), "an alias may point to another key"),
        (format!("key: 1234abcd-12ab-34cd-56ef-1234567890ab, {regions}"), "exist in one region only"),
        (
            format!("key: \"arn:aws:kms:eu-west-1:111122223333:alias/app\", {regions}"),
            "does not name a multi-Region key",
        ),
        (format!("key: \"arn:aws:kms:eu-north-1:111122223333:key/{MRK}\", {regions}"), "leaves out the region"),
        (format!("key: {MRK}, {regions}, region: eu-west-1"), "exclude each other"),
        (format!("key: {MRK}, {regions}, endpoint: \"http://127.0.0.1:1\""), "one region's"),
        (format!("key: {MRK}, {regions}, previous: [alias/old]"), "does not say its region"),
        (format!("key: {MRK}, {regions}, keys: {{ shop.users: alias/own }}"), "does not say its region"),
        (format!("key: {MRK}, regions: [eu-west-1, eu-west-1]"), "listed twice"),
        (format!("key: {MRK}, regions: eu-west-1"), "must be a list"),
        (format!("key: {MRK}, {regions}, endpoints: {{ eu-west-1: kms }}"), "must be a URL"),
    ] {
        let (_, report) = problems(&kms(&wrong));
        assert!(report.contains(why), "{wrong}: {report}");
    }
}

#[test]
fn a_role_to_assume_is_named_by_its_arn() {
    let kms = |role: &str| {
        let kms = format!("kms: {{ provider: aws, key: alias/app, assume_role: {role} }}");
        swap("kms: { provider: local, keyring: k.json }", &kms)
    };
    let config = parse(&kms("{ arn: \"arn:aws:iam::111122223333:role/app\", external_id: x }")).unwrap();
    let role = config.kms.assume_role.unwrap();
    assert_eq!((role.external_id.as_deref(), role.session_name), (Some("x"), None));
    for wrong in ["{ arn: app }", "{ external_id: x }"] {
        let (_, report) = problems(&kms(wrong));
        assert!(report.contains("does not name a role"), "{report}");
    }
}

#[test]
fn no_column_is_read_under_the_context_of_data_keys() {
    for name in ["purpose", "Purpose", "aws:x"] {
        let (_, report) = problems(&swap("kms: {", &format!("kms: {{ accept_contexts: [{{ {name}: x }}],")));
        assert!(report.contains("cannot be a key of an encryption context"), "{report}");
    }
    parse(&swap("kms: {", "kms: { accept_contexts: [{ table: x, app: y }],")).unwrap();
}

#[test]
fn the_samples_load() {
    for sample in ["sealwire.yaml", "demo.yaml", "docker.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(sample);
        let text = std::fs::read_to_string(&path).unwrap();
        if let Err(errors) = Config::parse(&text, &path, &env) {
            panic!("{errors}");
        }
    }
}

#[test]
fn the_annotated_sample_holds_every_key() {
    let text = include_str!("../../config/sealwire.yaml");
    for keys in known_keys() {
        for name in keys.names {
            let written = |line: &str| {
                let line = line.trim_start().trim_start_matches("# ");
                line.starts_with(&format!("{name}:"))
            };
            assert!(text.lines().any(written), "`{name}` of `{}` is not in config/sealwire.yaml", keys.path);
        }
    }
}

#[test]
fn the_json_schema_knows_the_same_keys_as_the_loader() {
    let schema: serde_json::Value = serde_json::from_str(include_str!("../../config/schema.json")).unwrap();
    for keys in known_keys() {
        let mut at = &schema;
        let mut stars = 0;
        for part in keys.path.split('.').filter(|part| !part.is_empty()) {
            at = match part {
                "*" => {
                    stars += 1;
                    &schema["$defs"][if stars == 1 { "table" } else { "column" }]
                }
                part => &at["properties"][part],
            };
        }
        assert_eq!(at["additionalProperties"], false, "{}", keys.path);
        let in_schema: BTreeSet<&str> = at["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let in_loader: BTreeSet<&str> = keys.names.iter().copied().collect();
        assert_eq!(in_schema, in_loader, "{}", keys.path);
    }
}

#[test]
fn compression_is_off_unless_it_is_named() {
    assert_eq!(parse(MINIMAL).unwrap().compression, Compression::default());
    let compression = |line: &str| parse(&format!("{line}\n{MINIMAL}")).unwrap().compression;
    assert_eq!(compression("compression: zstd"), Compression { zlib: false, zstd: true });
    assert_eq!(compression("compression: [zlib, zstd]"), Compression { zlib: true, zstd: true });
    let (_, report) = problems(&format!("compression: [lz4]\n{MINIMAL}"));
    assert!(report.contains("not a compression algorithm"), "{report}");
}

#[test]
fn unknown_keys_name_their_place_and_what_was_meant() {
    let (found, report) = problems(&swap("  address: db", "  adress: db"));
    assert!(found.contains(&(3, 3, "unknown key `adress` in `backend`".into())), "{report}");
    assert!(report.contains("--> /etc/sealwire/sealwire.yaml:3:3"), "{report}");
    assert!(report.contains(" 3 |   adress: db\n   |   ^^^^^^\n   = did you mean `address`?"), "{report}");
}

#[test]
fn every_problem_of_a_file_is_reported_at_once() {
    let text = "\
listen: [here]
backend: { address: 'unix:', control: { user: '' } }
kms: { provider: awz, cache: { ttl: 5 } }
tables:
  users: {}
  shop.Über: { columns: { email: {} } }
  shop.a: { columns: { email: { domain: mail, empty: as_is } } }
wrokers: 1
tables: {}
";
    let (found, report) = problems(text);
    let lines: BTreeSet<usize> = found.iter().map(|(line, ..)| *line).collect();
    assert_eq!(lines, BTreeSet::from([1, 2, 3, 5, 6, 7, 8, 9]), "{report}");
    assert!(report.contains("`domain` comes in a later version"), "{report}");
    assert!(report.contains("did you mean `workers`?"), "{report}");
    assert!(report.contains("did you mean `aws`?"), "{report}");
}

#[test]
fn a_configuration_that_is_printed_shows_no_password() {
    let config = parse(&swap("password: p", "password: of-the-control-account")).unwrap();
    let printed = format!("{config:?}");
    assert!(printed.contains("(secret)") && !printed.contains("of-the-control-account"), "{printed}");
}

#[test]
fn each_impossible_value_is_refused_where_it_stands() {
    let cases = [
        ("email: {}", "email: { type: geometry }", "`type` of `email`: `geometry` is not a type"),
        ("email: {}", "email: { type: float, search: exact }", "cannot be searched"),
        ("email: {}", "email: { domain: mail }", "`domain` comes in a later version"),
        ("email: {}", "email: { search: nocase }", "`search`"),
        ("email: {}", "email: { search: exact, pad: 32 }", "exclude each other"),
        ("email: {}", "email: { search: exact, mode: direct }", "envelope mode only"),
        ("email: {}", "email: { search: exact, cipher: aes-256-gcm }", "aes-256-gcm must never have"),
        ("email: {}", "email: { mode: direct, cipher: aes-256-gcm }", "envelope mode only"),
        ("email: {}", "email: { cipher: aes-128-gcm }", "`cipher`"),
        ("email: {}", "email: { cipher: aes-256-gcm }\n      tax: { search: exact }", "others with aes-256-gcm"),
        ("keyring: k.json", "keyring: k.json, seals_per_key: 1073741825", "`seals_per_key`"),
        ("email: {}", "email: { compare: binary }", "not searchable"),
        ("email: {}", "email: { search: exact, compare: nocase }", "`compare`"),
        ("email: {}", "email: { pad: 1 }", "`pad` must be a whole number"),
        ("email: {}", "email: { pad: '32' }", "`pad` must be a whole number"),
        ("email: {}", "email: 5", "must be a mapping"),
        ("email: {}", "'e`mail': {}", "cannot be the name of a protected column"),
        ("email: {}", "\"e\\0mail\": {}", "control character"),
        ("email: {}", "émail: {}", "beyond ASCII"),
        ("email: {}", "email: {}\n      EMAIL: {}", "column `EMAIL` is given twice"),
        ("email: {}", "email: {}\n      email: {}", "`email` is given twice"),
        ("email: {}", "email: {}\n      mail: { sealed_as: email }", "and so is another column"),
        ("shop.users", "shop.us.ers", "not of the form schema.table"),
        ("shop.users", "mysql.user", "belongs to the server itself"),
        ("shop.users", "Sealwire.data_keys", "is the key vault"),
        ("provider: local, keyring: k.json", "provider: none", "provider none stores plaintext"),
        ("provider: local, keyring: k.json", "provider: local", "`kms.keyring` is missing"),
        ("provider: local, keyring: k.json", "provider: aws", "`kms.key` is missing"),
        ("provider: local, keyring: k.json", "provider: aws, key: my-app", "does not name a KMS key"),
        ("keyring: k.json", "keyring: k.json, region: x", "for provider aws only"),
        ("keyring: k.json", "keyring: k.json, keys: { shop.users: alias/x }", "for provider aws only"),
        (
            "provider: local, keyring: k.json",
            "provider: aws, key: alias/a, keys: { shop.other: alias/x }",
            "no table is sealed as that",
        ),
        (
            "provider: local, keyring: k.json",
            "provider: aws, key: alias/a, keys: { shop.users: x }",
            "`keys` does not name a KMS key",
        ),
        ("keyring: k.json", "keyring: k.json, fips: yes", "must be true or false"),
        ("keyring: k.json", "keyring: k.json, encryption_context: { Table: x }", "the proxy sets it itself"),
        ("keyring: k.json", "keyring: k.json, encryption_context: { 'aws:x': x }", "KMS keeps that name"),
        ("keyring: k.json", "keyring: k.json, cache: { ttl: 2h, max_stale: 1h }", "shorter than `ttl`"),
        ("keyring: k.json", "keyring: k.json, concurrency: 0", "from 1 to 1000"),
        ("address: db", "address: db\n  tls: { mode: verify-ca }", "`backend.tls.ca` is missing"),
        ("address: db", "address: unix:/x\n  tls: { mode: required }", "not used over a unix socket"),
        ("address: db", "address: db\n  connect_timeout: 1ms", "must be between"),
        ("password: p", "password: \"${NO_SUCH}\"", "the environment variable `NO_SUCH` is not set"),
        ("listen: [127.0.0.1:3307]", "listen: [127.0.0.1:3307]\ntls: { mode: required }", "`tls.cert` is missing"),
        ("listen: [127.0.0.1:3307]", "listen: [127.0.0.1:3307, 127.0.0.1:3307]", "listed twice"),
        ("listen: [127.0.0.1:3307]", "listen: []", "names no address"),
    ];
    for (from, to, expected) in cases {
        let (found, report) = problems(&swap(from, to));
        assert!(found.iter().any(|(_, _, message)| message.contains(expected)), "{to}\n{report}");
        assert!(found.iter().all(|(line, column, _)| *line > 0 && *column > 0), "{to}\n{report}");
    }
}

#[test]
fn variables_make_numbers_and_secrets_and_are_never_read_as_yaml() {
    let text = swap("address: db", "address: \"db:${PORT}\"")
        .replace("password: p", "password: \"${SEALWIRE_CONTROL_PASSWORD}\"")
        .replace("[127.0.0.1:3307]", "127.0.0.1:3307\nworkers: ${WORKERS:-3}");
    let config = parse(&text).unwrap();
    assert_eq!(config.backend.address, BackendAddress::Tcp("db".into(), 3310));
    assert_eq!(config.backend.control.password.expose(), "s3cret");
    assert_eq!(config.workers, 3);
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn a_report_never_shows_a_password() {
    let (_, report) = problems(&swap("user: u, password: p", "usr: u, password: hunter2"));
    assert!(!report.contains("hunter2"), "{report}");
    let (_, report) = problems(&swap("{ user: u, password: p }", "\n    user: u\n    pasword: hunter2"));
    assert!(!report.contains("hunter2") && report.contains("did you mean `password`?"), "{report}");
    let (_, report) = problems(&swap("password: p }", "password: hunter2"));
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn a_missing_file_is_an_error_without_a_line() {
    let errors = Config::load(Path::new("/nonexistent/x.yaml")).unwrap_err();
    assert!(errors.to_string().contains("cannot read the configuration"));
}
