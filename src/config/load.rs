//! The configuration file into [`Config`]: every section but `kms` and `tables`, defaults and cross-checks.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use super::error::ConfigErrors;
use super::model::*;
use super::reader::{Keys, Reader, Section};
use super::tree::{self, Node, Value};
use super::values::{parse_backend, parse_listen};
use super::{kms, tables};
use crate::seal::module;

const TOP: Keys = Keys {
    path: "",
    names: &[
        "listen",
        "proxy_protocol",
        "tls",
        "compression",
        "backend",
        "kms",
        "vault",
        "vault_server",
        "catalog",
        "workers",
        "shutdown_grace",
        "metrics",
        "replication",
        "allow_routines",
        "cipher",
        "unapproved_algorithms",
        "tables",
    ],
    later: &[],
};
const PROXY_PROTOCOL: Keys = Keys { path: "proxy_protocol", names: &["accept", "send"], later: &[] };
const TLS: Keys = Keys { path: "tls", names: &["mode", "cert", "key"], later: &[] };
const BACKEND: Keys =
    Keys { path: "backend", names: &["address", "tls", "control", "connect_timeout", "multi_primary"], later: &[] };
const BACKEND_TLS: Keys = Keys { path: "backend.tls", names: &["mode", "ca", "cert", "key"], later: &[] };
const CONTROL: Keys = Keys { path: "backend.control", names: &["user", "password"], later: &[] };
const VAULT_SERVER: Keys =
    Keys { path: "vault_server", names: &["address", "tls", "control", "connect_timeout"], later: &[] };
const VAULT_TLS: Keys = Keys { path: "vault_server.tls", names: BACKEND_TLS.names, later: &[] };
const VAULT_CONTROL: Keys = Keys { path: "vault_server.control", names: CONTROL.names, later: &[] };
const CATALOG: Keys = Keys { path: "catalog", names: &["max_age"], later: &[] };
const METRICS: Keys = Keys { path: "metrics", names: &["listen"], later: &[] };

pub(super) const SECTIONS: &[Keys] = &[
    TOP,
    PROXY_PROTOCOL,
    TLS,
    BACKEND,
    BACKEND_TLS,
    CONTROL,
    CATALOG,
    METRICS,
    VAULT_SERVER,
    VAULT_TLS,
    VAULT_CONTROL,
];

impl Config {
    /// Reads, interpolates and validates a file.
    ///
    /// # Errors
    /// Everything wrong in the file at once.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigErrors::unreadable(path, &error))?;
        Self::parse(&text, path, &|name| std::env::var(name).ok())
    }

    /// As [`Config::load`] for text at hand; `path` is where relative paths start and what errors name.
    ///
    /// # Errors
    /// Everything wrong in the text at once.
    pub fn parse(text: &str, path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let (root, problems) = tree::parse(text).map_err(|problems| ConfigErrors::new(path, text, problems))?;
        let base = path.parent().unwrap_or(Path::new(""));
        let mut reader = Reader { problems, env, base };
        let config = read(&mut reader, &root);
        match config {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(ConfigErrors::new(path, text, reader.problems)),
        }
    }
}

/// `None` only together with a problem.
fn read(r: &mut Reader<'_>, root: &Node) -> Option<Config> {
    let top = r.section(root.pos, root, TOP);
    let listen = listen(r, &top);
    let proxy_protocol = proxy_protocol(r, &top);
    let tls = client_tls(r, &top);
    let compression = compression(r, &top);
    let backend = backend(r, &top);
    let kms = kms::kms(r, &top);
    let vault = match top.get("vault") {
        Some(node) => r.text(node, "vault").and_then(|name| tables::table_name(r, node.pos, "vault", &name)),
        None => Some(TableName::new("sealwire", "data_keys")),
    };
    let vault_server = vault_server(r, &top);
    let catalog = top.entry("catalog").map(|(key, node)| r.section(key.pos, node, CATALOG));
    let max_age = Duration::from_secs(1);
    let max_age = catalog.map_or(max_age, |section| {
        r.duration(&section, "max_age", Duration::from_millis(50), Duration::from_secs(3600), max_age)
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = r.integer(&top, "workers", 1..=1024).and_then(|n| usize::try_from(n).ok()).unwrap_or(cores);
    let grace = Duration::from_secs(20);
    let shutdown_grace = r.duration(&top, "shutdown_grace", Duration::ZERO, Duration::from_secs(3600), grace);
    let metrics = metrics(r, &top);
    let allow_replication = replication(r, &top);
    let allow_routines = allow_routines(r, &top);
    let mode = kms.as_ref().map_or(KmsMode::Envelope, |kms| kms.mode);
    let unapproved = r.choice(&top, "unapproved_algorithms", &[("refuse", false), ("allow", true)]).unwrap_or(false);
    let approved_only = module::APPROVED_ONLY && !unapproved && !provider_none(kms.as_ref());
    let defaults = tables::Defaults { mode, approved_only, cipher: tables::cipher(r, &top).unwrap_or_default() };
    let tables = tables::tables(r, &top, defaults, vault.as_ref());
    if let Some(kms) = &kms {
        kms::tables_of_keys(r, &top, kms, &tables);
    }
    Some(Config {
        listen,
        tls,
        compression,
        proxy_protocol,
        backend: backend?,
        kms: kms?,
        vault: vault?,
        vault_server,
        catalog: CatalogConfig { max_age },
        workers,
        shutdown_grace,
        metrics,
        allow_replication,
        allow_routines,
        tables,
    })
}

/// Nothing is sealed at all.
fn provider_none(kms: Option<&Kms>) -> bool {
    kms.is_some_and(|kms| kms.provider == Provider::None)
}

/// The items of a list; what is none stands for a list of itself.
pub(super) fn list(node: &Node) -> &[Node] {
    match &node.value {
        Value::Sequence(items) => items,
        _ => std::slice::from_ref(node),
    }
}

fn listen(r: &mut Reader<'_>, top: &Section<'_>) -> Vec<ListenAddress> {
    let Some(node) = top.get("listen") else {
        r.problem(top.key_pos("listen"), "`listen` is missing", "for example `listen: [127.0.0.1:3307]`");
        return Vec::new();
    };
    let items = list(node);
    let mut addresses = Vec::new();
    for item in items {
        let Some(text) = r.text(item, "listen") else { continue };
        match parse_listen(&text, r.base) {
            Ok(address) if addresses.contains(&address) => {
                r.problem(item.pos, "this address is listed twice", "remove one of the two");
            }
            Ok(address) => addresses.push(address),
            Err(hint) => r.problem(item.pos, "this is not an address to listen on", hint),
        }
    }
    if items.is_empty() {
        r.problem(node.pos, "`listen` names no address", "for example `listen: [127.0.0.1:3307]`");
    }
    addresses
}

/// `allow_routines: [shop.touch_user]`.
fn allow_routines(r: &mut Reader<'_>, top: &Section<'_>) -> Vec<TableName> {
    let Some(node) = top.get("allow_routines") else { return Vec::new() };
    let items = list(node);
    let name = |item: &Node| {
        let text = r.text(item, "allow_routines")?;
        tables::table_name(r, item.pos, "routine", &text)
    };
    items.iter().filter_map(name).collect()
}

/// `metrics: { listen: 127.0.0.1:9307 }`.
fn metrics(r: &mut Reader<'_>, top: &Section<'_>) -> Option<SocketAddr> {
    let (key, node) = top.entry("metrics")?;
    let section = r.section(key.pos, node, METRICS);
    let Some(node) = section.get("listen") else {
        r.problem(key.pos, "`metrics.listen` is missing", "for example `metrics: { listen: 127.0.0.1:9307 }`");
        return None;
    };
    let text = r.text(node, "listen")?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            let hint = "an IP address and a port: 127.0.0.1:9307, or 0.0.0.0:9307 for every interface";
            r.problem(node.pos, "this is not an address to serve metrics on", hint);
            None
        }
    }
}

/// `replication: allow | refuse`.
fn replication(r: &mut Reader<'_>, top: &Section<'_>) -> bool {
    let Some(node) = top.get("replication") else { return false };
    match r.text(node, "replication").as_deref() {
        Some("allow") => true,
        Some("refuse") | None => false,
        Some(_) => {
            r.problem(node.pos, "`replication` is `allow` or `refuse`", "the default is `refuse`");
            false
        }
    }
}

fn compression(r: &mut Reader<'_>, top: &Section<'_>) -> Compression {
    let mut compression = Compression::default();
    let Some(node) = top.get("compression") else { return compression };
    let items = list(node);
    for item in items {
        match r.text(item, "compression").as_deref() {
            Some("zlib") => compression.zlib = true,
            Some("zstd") => compression.zstd = true,
            Some(_) => r.problem(item.pos, "this is not a compression algorithm", "`zlib`, `zstd`, or both in a list"),
            None => {}
        }
    }
    compression
}

fn proxy_protocol(r: &mut Reader<'_>, top: &Section<'_>) -> ProxyProtocol {
    let Some((key, node)) = top.entry("proxy_protocol") else { return ProxyProtocol::default() };
    let section = r.section(key.pos, node, PROXY_PROTOCOL);
    let mut accept = Vec::new();
    if let Some(node) = section.get("accept") {
        let items = list(node);
        for item in items {
            let Some(text) = r.text(item, "accept") else { continue };
            match text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)) {
                Ok(network) => accept.push(network),
                Err(_) => r.problem(
                    item.pos,
                    "this is not a network that load balancers connect from",
                    "write an address with a prefix length, 10.0.0.0/8 or fd00::/8, or a single address",
                ),
            }
        }
    }
    let versions = [("none", ProxyHeader::None), ("v1", ProxyHeader::V1), ("v2", ProxyHeader::V2)];
    let send = r.choice(&section, "send", &versions).unwrap_or_default();
    ProxyProtocol { accept, send }
}

fn client_tls(r: &mut Reader<'_>, top: &Section<'_>) -> ClientTls {
    let Some((key, node)) = top.entry("tls") else {
        return ClientTls { mode: ClientTlsMode::Disabled, cert: None, key: None };
    };
    let section = r.section(key.pos, node, TLS);
    let cert = section.get("cert").and_then(|node| r.path(node, "cert"));
    let private_key = section.get("key").and_then(|node| r.path(node, "key"));
    let choices = [
        ("disabled", ClientTlsMode::Disabled),
        ("optional", ClientTlsMode::Optional),
        ("required", ClientTlsMode::Required),
    ];
    let default = if section.get("cert").is_some() { ClientTlsMode::Optional } else { ClientTlsMode::Disabled };
    let mode = r.choice(&section, "mode", &choices).unwrap_or(default);
    if mode != ClientTlsMode::Disabled {
        for name in ["cert", "key"] {
            if section.get(name).is_none() {
                r.problem(
                    section.key_pos("mode"),
                    format!("`tls.{name}` is missing: TLS towards the clients needs it"),
                    format!("add `{name}: FILE.pem`, or `mode: disabled`"),
                );
            }
        }
    }
    ClientTls { mode, cert, key: private_key }
}

fn backend(r: &mut Reader<'_>, top: &Section<'_>) -> Option<Backend> {
    let Some((key, node)) = top.entry("backend") else {
        r.problem(
            top.key_pos("backend"),
            "`backend` is missing",
            "it says where the database server is; see config/sealwire.yaml",
        );
        return None;
    };
    let section = r.section(key.pos, node, BACKEND);
    let multi_primary = r.boolean(&section, "multi_primary", false);
    Some(Backend { multi_primary, ..server(r, &section, "backend", BACKEND_TLS, CONTROL)? })
}

/// Where the vault is, if not on the server of the tables.
fn vault_server(r: &mut Reader<'_>, top: &Section<'_>) -> Option<Backend> {
    let (key, node) = top.entry("vault_server")?;
    let section = r.section(key.pos, node, VAULT_SERVER);
    server(r, &section, "vault_server", VAULT_TLS, VAULT_CONTROL)
}

/// A server and the proxy's account there.
fn server(
    r: &mut Reader<'_>,
    section: &Section<'_>,
    name: &str,
    tls_keys: Keys,
    control_keys: Keys,
) -> Option<Backend> {
    let address = match section.get("address") {
        None => {
            r.problem(
                section.key_pos("address"),
                format!("`{name}.address` is missing"),
                "for example `address: 127.0.0.1:3306`",
            );
            None
        }
        Some(node) => r.text(node, "address").and_then(|text| match parse_backend(&text, r.base) {
            Ok(address) => Some(address),
            Err(hint) => {
                r.problem(node.pos, "this is not the address of a server", hint);
                None
            }
        }),
    };
    let unix = matches!(address, Some(BackendAddress::Unix(_)));
    let tls = backend_tls(r, section, unix, name, tls_keys);
    let control = control(r, section, name, control_keys);
    let default = Duration::from_secs(10);
    let connect_timeout =
        r.duration(section, "connect_timeout", Duration::from_millis(100), Duration::from_secs(300), default);
    Some(Backend { address: address?, tls, control: control?, connect_timeout, multi_primary: false })
}

fn backend_tls(r: &mut Reader<'_>, backend: &Section<'_>, unix: bool, name: &str, keys: Keys) -> BackendTls {
    let default = if unix { BackendTlsMode::Disabled } else { BackendTlsMode::Preferred };
    let Some((key, node)) = backend.entry("tls") else {
        return BackendTls { mode: default, ca: None, cert: None, key: None };
    };
    let section = r.section(key.pos, node, keys);
    let choices = [
        ("disabled", BackendTlsMode::Disabled),
        ("preferred", BackendTlsMode::Preferred),
        ("required", BackendTlsMode::Required),
        ("verify-ca", BackendTlsMode::VerifyCa),
        ("verify-identity", BackendTlsMode::VerifyIdentity),
    ];
    let mut mode = r.choice(&section, "mode", &choices).unwrap_or(default);
    let ca = section.get("ca").and_then(|node| r.path(node, "ca"));
    let cert = section.get("cert").and_then(|node| r.path(node, "cert"));
    let private_key = section.get("key").and_then(|node| r.path(node, "key"));
    if matches!(mode, BackendTlsMode::VerifyCa | BackendTlsMode::VerifyIdentity) && section.get("ca").is_none() {
        r.problem(
            section.key_pos("mode"),
            format!("`{name}.tls.ca` is missing: this mode checks the server's certificate against it"),
            "add `ca: FILE.pem`, the certificate of the authority that signed the server's",
        );
    }
    if section.get("cert").is_some() != section.get("key").is_some() {
        r.problem(section.pos, format!("`{name}.tls.cert` and `{name}.tls.key` go together"), "give both or neither");
    }
    if unix {
        if !matches!(mode, BackendTlsMode::Disabled | BackendTlsMode::Preferred) {
            r.problem(
                section.key_pos("mode"),
                "TLS is not used over a unix socket",
                "the socket does not leave the machine; write `mode: disabled`",
            );
        }
        mode = BackendTlsMode::Disabled;
    }
    BackendTls { mode, ca, cert, key: private_key }
}

fn control(r: &mut Reader<'_>, backend: &Section<'_>, name: &str, keys: Keys) -> Option<Control> {
    let hint = "for example `control: { user: sealwire, password: \"${SEALWIRE_CONTROL_PASSWORD}\" }`";
    let Some((key, node)) = backend.entry("control") else {
        r.problem(backend.pos, format!("`{name}.control` is missing: the proxy's own account on the server"), hint);
        return None;
    };
    let section = r.section(key.pos, node, keys);
    let user = match section.get("user") {
        Some(node) => r.text(node, "user"),
        None => {
            r.problem(section.pos, format!("`{name}.control.user` is missing"), hint);
            None
        }
    };
    let password = match section.get("password") {
        Some(node) => r.any_text(node, "password"),
        None => Some(String::new()),
    };
    Some(Control { user: user?, password: Secret::new(password?) })
}
