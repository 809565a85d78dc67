//! The configuration as the rest of the program sees it: validated, with defaults filled in.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::seal::types::LogicalType;

/// `schema.table`, as written in the configuration or as the server spells it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    pub schema: String,
    pub table: String,
}

impl TableName {
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }
}

/// The table beside the vault that counts, for each data key, the values that AES-256-GCM may have sealed.
pub fn seals_table(vault: &TableName) -> TableName {
    // A table's name has 64 characters at most.
    let name: String = vault.table.chars().take(58).collect();
    TableName::new(vault.schema.clone(), format!("{name}_seals"))
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A password or a similar secret from the configuration: wiped on drop, never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }
    /// The secret itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[derive(Clone, Debug)]
pub struct Config {
    pub listen: Vec<ListenAddress>,
    pub tls: ClientTls,
    /// What clients may ask for; none by default.
    pub compression: Compression,
    pub proxy_protocol: ProxyProtocol,
    pub backend: Backend,
    pub kms: Kms,
    /// The table of wrapped data keys, `sealwire.data_keys` by default.
    pub vault: TableName,
    /// The server that it is on; `None`: the backend.
    pub vault_server: Option<Backend>,
    pub catalog: CatalogConfig,
    /// Worker threads, each with a runtime of its own; one a core by default.
    pub workers: usize,
    /// How long sessions in a transaction or a statement may go on after SIGTERM.
    pub shutdown_grace: Duration,
    /// Where metrics are served, over HTTP; nowhere by default.
    pub metrics: Option<SocketAddr>,
    /// Procedures and triggers, `schema.name`, that may run though they touch protected tables or cannot be seen into.
    pub allow_routines: Vec<TableName>,
    /// Whether replicas may read the binary log through the proxy; values in it are sealed.
    pub allow_replication: bool,
    pub tables: BTreeMap<TableName, TableConfig>,
}

impl Config {
    /// Whether an enveloped column may hold values that an application encrypted itself, beside sealed ones.
    pub fn is_mixed(&self, table: &TableName, column: &str) -> bool {
        let settings = self.tables.get(table).and_then(|table| table.columns.get(column));
        settings.is_some_and(|settings| {
            self.kms.provider == Provider::Aws
                && !self.kms.accept_contexts.is_empty()
                && settings.mode.unwrap_or(self.kms.mode) == KmsMode::Envelope
                && settings.search == Search::None
                && settings.bind.is_empty()
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Compression towards the clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    pub zlib: bool,
    pub zstd: bool,
}

/// The PROXY protocol, which tells a client's address to who is connected to in its place.
#[derive(Clone, Debug, Default)]
pub struct ProxyProtocol {
    /// Networks of load balancers: a connection from them begins with a header, others never do.
    pub accept: Vec<IpNet>,
    /// The header that the server gets, which must be set to take it.
    pub send: ProxyHeader,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    #[default]
    None,
    V1,
    V2,
}

/// TLS towards the clients.
#[derive(Clone, Debug)]
pub struct ClientTls {
    pub mode: ClientTlsMode,
    /// PEM files; both present unless the mode is `Disabled`.
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTlsMode {
    Disabled,
    Optional,
    Required,
}

#[derive(Clone, Debug)]
pub struct Backend {
    pub address: BackendAddress,
    pub tls: BackendTls,
    pub control: Control,
    /// How long connecting to the server may take.
    pub connect_timeout: Duration,
    /// The address leads to several servers that all take writes, and what one has committed the others have, too.
    pub multi_primary: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendAddress {
    /// A host name or address, and a port.
    Tcp(String, u16),
    Unix(PathBuf),
}

/// TLS towards the server.
#[derive(Clone, Debug)]
pub struct BackendTls {
    pub mode: BackendTlsMode,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendTlsMode {
    Disabled,
    Preferred,
    Required,
    VerifyCa,
    VerifyIdentity,
}

/// The account of the proxy's own connection: catalog, vault, bulk work.
#[derive(Clone, Debug)]
pub struct Control {
    pub user: String,
    pub password: Secret,
}

#[derive(Clone, Debug)]
pub struct Kms {
    pub provider: Provider,
    pub mode: KmsMode,
    /// Key id, key ARN, alias or alias ARN. `None` only for the providers that need none.
    pub key: Option<String>,
    /// The KMS keys of tables that have one of their own, by the `schema.table` that they are sealed as.
    pub keys: BTreeMap<String, String>,
    /// Earlier KMS keys that may still unwrap data keys.
    pub previous: Vec<String>,
    pub region: Option<String>,
    /// Regions of a multi-Region key, first choice first; empty: `region`, or what the SDK's chain says.
    pub regions: Vec<String>,
    pub endpoint: Option<String>,
    /// Endpoints of single regions.
    pub endpoints: BTreeMap<String, String>,
    pub fips: bool,
    /// A role that is assumed with the credentials that the SDK's chain finds.
    pub assume_role: Option<AssumeRole>,
    /// KMS calls in flight at once, at most.
    pub concurrency: usize,
    /// How many values AES-256-GCM seals with one version of a data key, all proxies together.
    pub seals_per_key: u64,
    pub cache: KeyCache,
    /// Direct mode only: opened values are kept beyond their result; off by default.
    pub plaintext_cache: Option<PlaintextCache>,
    /// Static pairs that go into every encryption context beside `table`.
    pub encryption_context: BTreeMap<String, String>,
    /// Further contexts under which values are read that an application encrypted itself; never written.
    pub accept_contexts: Vec<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssumeRole {
    pub arn: String,
    /// What the role's trust policy asks for where it is in another party's account.
    pub external_id: Option<String>,
    /// Shown by CloudTrail; `sealwire` if there is none.
    pub session_name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    Aws,
    /// A keyring file of the proxy's own, mode 0600.
    Local {
        keyring: PathBuf,
    },
    /// Values pass unchanged. Only with `allow_plaintext: true` beside it.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KmsMode {
    /// Data keys wrapped by KMS, values sealed here.
    Envelope,
    /// Every value is a KMS `CiphertextBlob` in base64.
    Direct,
}

#[derive(Clone, Copy, Debug)]
pub struct KeyCache {
    pub ttl: Duration,
    pub max_stale: Duration,
}

/// What is kept of opened direct values, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaintextCache {
    pub ttl: Duration,
    pub entries: usize,
    /// Of plaintext and what an entry costs beside it.
    pub bytes: usize,
}

#[derive(Clone, Copy, Debug)]
pub struct CatalogConfig {
    /// How old a snapshot may be when a statement is planned on it.
    pub max_age: Duration,
}

#[derive(Clone, Debug, Default)]
pub struct TableConfig {
    pub columns: BTreeMap<String, ColumnConfig>,
    /// The `schema.table` that values were first sealed as, when the table was renamed since.
    pub sealed_as: Option<TableName>,
    /// Lets DDL through that narrows, retypes, renames, drops or exchanges protected columns.
    pub allow_ddl: bool,
}

#[derive(Clone, Debug, Default)]
pub struct ColumnConfig {
    /// This column's own mode, when it differs from `kms.mode`.
    pub mode: Option<KmsMode>,
    /// The column name that values were first sealed as.
    pub sealed_as: Option<String>,
    /// Rounds the plaintext's length up to a multiple of this many bytes before sealing.
    pub pad: Option<u32>,
    /// What the server may compare values by.
    pub search: Search,
    /// What seals its values, in envelope mode.
    pub cipher: Cipher,
    /// The columns of the table that tell the row apart which each value is bound to; none: values may stand in any
    /// row.
    pub bind: Vec<String>,
    /// `compare: binary`: the application knows that a searchable column compares bytes, whatever its
    /// collation.
    pub compare_binary: bool,
    /// Direct mode only: what becomes of the empty string, which KMS cannot encrypt.
    pub empty: EmptyPolicy,
    /// What the column is to the application; `None`: what the stored column is, text or bytes.
    pub logical: Option<LogicalType>,
}

/// What the server may compare the stored values of a column by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// Nothing: equal values are sealed differently.
    #[default]
    None,
    /// Equality of the plaintext's bytes: equal values are sealed alike.
    Exact,
}

/// What seals the values of a column. What opens them, each value says itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cipher {
    /// AES-256-GCM-SIV.
    #[default]
    GcmSiv,
    /// AES-256-GCM with random nonces, an approved algorithm; its values are counted.
    Gcm,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptyPolicy {
    #[default]
    Refuse,
    AsIs,
}
