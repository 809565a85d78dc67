//! Sealing and opening through the border, with the local keyring and a vault in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::provider::{KmsError, Provider};
use super::vault::VaultRow;
use super::*;
use crate::catalog::{Physical, Width};
use crate::config::{
    Backend, BackendAddress, BackendTls, BackendTlsMode, CatalogConfig, ClientTls, ClientTlsMode, ColumnConfig,
    EmptyPolicy, KeyCache, Kms, Secret, TableConfig, TableName,
};
use crate::seal::Scope;

type Rows = Arc<Mutex<Vec<VaultRow>>>;

fn config(folder: &Path) -> Config {
    Config {
        listen: Vec::new(),
        proxy_protocol: crate::config::ProxyProtocol::default(),
        tls: ClientTls { mode: ClientTlsMode::Disabled, cert: None, key: None },
        backend: Backend {
            address: BackendAddress::Tcp("127.0.0.1".into(), 1),
            tls: BackendTls { mode: BackendTlsMode::Disabled, ca: None, cert: None, key: None },
            control: crate::config::Control { user: "u".into(), password: Secret::new(String::new()) },
            connect_timeout: Duration::from_secs(1),
            multi_primary: false,
        },
        kms: Kms {
            provider: crate::config::Provider::Local { keyring: folder.join("keyring.json") },
            mode: KmsMode::Envelope,
            key: None,
            keys: BTreeMap::new(),
            previous: Vec::new(),
            region: None,
            endpoint: None,
            fips: false,
            concurrency: 4,
            seals_per_key: 1 << 30,
            cache: KeyCache { ttl: Duration::from_secs(300), max_stale: Duration::from_secs(3600) },
            encryption_context: BTreeMap::from([("service".into(), "billing".into())]),
            accept_contexts: Vec::new(),
            plaintext_cache: None,
            assume_role: None,
            regions: Vec::new(),
            endpoints: BTreeMap::new(),
        },
        compression: crate::config::Compression::default(),
        vault: TableName::new("sealwire", "data_keys"),
        vault_server: None,
        catalog: CatalogConfig { max_age: Duration::from_secs(1) },
        workers: 1,
        shutdown_grace: std::time::Duration::ZERO,
        metrics: None,
        allow_routines: Vec::new(),
        allow_replication: false,
        tables: BTreeMap::new(),
    }
}

fn keys(config: Config, rows: &Rows) -> Keys {
    Keys::with(&Arc::new(config), Store::Memory(rows.clone()), Runner::Here).unwrap()
}

fn column(schema: &str, name: &str, mode: KmsMode) -> Arc<ProtectedColumn> {
    let table = TableName::new(schema, "users");
    Arc::new(ProtectedColumn {
        scope: Scope { table: table.to_string(), column: name.into() },
        table,
        name: name.into(),
        mode,
        physical: Physical::Text,
        charset: "utf8mb4".into(),
        width: Width::Characters(255),
        empty: EmptyPolicy::Refuse,
        pad: None,
        nullable: true,
        search: Search::None,
        cipher: Cipher::GcmSiv,
        logical: None,
        bind: Vec::new(),
    })
}

fn text(value: &str) -> Plaintext {
    Plaintext::new(value.as_bytes().to_vec())
}

async fn seal(keys: &Keys, column: &Arc<ProtectedColumn>, value: &str) -> Result<Vec<u8>, KeyError> {
    Ok(keys.seal(vec![(column.clone(), text(value))]).await?.remove(0))
}

async fn open(keys: &Keys, column: &Arc<ProtectedColumn>, stored: &[u8]) -> Result<String, KeyError> {
    let value = keys.open(vec![(column.clone(), stored.to_vec())], &keys.memo()).next().await.unwrap()?;
    Ok(String::from_utf8(value.expose().to_vec()).unwrap())
}

#[tokio::test]
async fn a_batch_keeps_its_order_in_both_modes() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys(config(folder.path()), &Rows::default());
    let (envelope, direct) = (column("shop", "email", KmsMode::Envelope), column("shop", "tax", KmsMode::Direct));
    let values: Vec<_> = (0..50)
        .map(|at| (if at % 3 == 0 { direct.clone() } else { envelope.clone() }, text(&format!("value {at}"))))
        .collect();
    let columns: Vec<_> = values.iter().map(|(column, _)| column.clone()).collect();
    let sealed = keys.seal(values).await.unwrap();
    let mut opening = keys.open(columns.into_iter().zip(sealed).collect(), &keys.memo());
    let mut opened = Vec::new();
    while let Some(value) = opening.next().await {
        opened.push(value.unwrap());
    }
    for (at, value) in opened.iter().enumerate() {
        assert_eq!(value.expose(), format!("value {at}").as_bytes());
    }
}

#[tokio::test]
async fn the_first_value_waits_for_its_key_and_later_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys(config(folder.path()), &Rows::default());
    let email = column("shop", "email", KmsMode::Envelope);
    assert!(keys.seal_now(&email, None, &text("a")).is_none());
    let first = seal(&keys, &email, "a").await.unwrap();
    assert!(keys.seal_now(&email, None, &text("b")).unwrap().is_ok());
    assert_eq!(keys.open_now(&email, None, &first).unwrap().unwrap().expose(), b"a");
}

#[tokio::test]
async fn proxies_that_start_at_once_use_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::default();
    let email = column("shop", "email", KmsMode::Envelope);
    let proxies: Vec<_> = (0..8).map(|_| keys(config(folder.path()), &rows)).collect();
    let mut running = tokio::task::JoinSet::new();
    for proxy in proxies.clone() {
        let email = email.clone();
        running.spawn(async move { seal(&proxy, &email, "v").await.unwrap() });
    }
    for stored in running.join_all().await {
        assert_eq!(open(&proxies[0], &email, &stored).await.unwrap(), "v");
    }
    assert_eq!(rows.lock().unwrap().len(), 1);
}

/// A searchable column.
fn searched(schema: &str, name: &str) -> Arc<ProtectedColumn> {
    let column = column(schema, name, KmsMode::Envelope);
    Arc::new(ProtectedColumn { search: Search::Exact, ..column_parts(&column) })
}

#[tokio::test]
async fn every_proxy_seals_equal_values_of_a_searchable_column_alike() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::default();
    let (email, phone) = (searched("shop", "email"), searched("shop", "phone"));
    let proxies = [keys(config(folder.path()), &rows), keys(config(folder.path()), &rows)];
    assert!(proxies[0].seal_now(&email, None, &text("a")).is_none());
    let first = seal(&proxies[0], &email, "a").await.unwrap();
    assert_eq!(seal(&proxies[1], &email, "a").await.unwrap(), first);
    assert_eq!(proxies[1].seal_now(&email, None, &text("a")).unwrap().unwrap(), first);
    assert_ne!(seal(&proxies[0], &email, "b").await.unwrap(), first);
    assert_ne!(seal(&proxies[0], &phone, "a").await.unwrap()[..20], first[..20]);
    assert_eq!(open(&proxies[1], &email, &first).await.unwrap(), "a");
    let purposes: Vec<_> = rows.lock().unwrap().iter().map(|row| (row.purpose.clone(), row.version)).collect();
    assert_eq!(purposes, [("search".into(), 1), ("data".into(), 1)]);
}

#[tokio::test]
async fn a_lost_search_key_is_not_made_anew_and_a_data_key_does_not_stand_in_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::default();
    // The vault in memory takes every table of this schema for one that holds searchable values.
    let email = searched("searched", "email");
    let error = seal(&keys(config(folder.path()), &rows), &email, "a").await.unwrap_err();
    assert_eq!(error.sw_code(), "SW-1907");
    let email = searched("shop", "email");
    let stored = seal(&keys(config(folder.path()), &rows), &email, "a").await.unwrap();
    rows.lock().unwrap().retain(|row| row.purpose == "data");
    let mut forged = rows.lock().unwrap()[0].clone();
    forged.purpose = "search".into();
    rows.lock().unwrap().push(forged);
    let fresh = keys(config(folder.path()), &rows);
    assert_eq!(seal(&fresh, &email, "a").await.unwrap_err().fault(), Fault::Vault);
    assert_eq!(open(&fresh, &email, &stored).await.unwrap(), "a", "opening needs no search key");
}

#[tokio::test]
async fn a_value_moved_to_another_column_or_table_does_not_open_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys(config(folder.path()), &Rows::default());
    for mode in [KmsMode::Envelope, KmsMode::Direct] {
        let stored = seal(&keys, &column("shop", "email", mode), "a@b.c").await.unwrap();
        let error = open(&keys, &column("archive", "email", mode), &stored).await.unwrap_err();
        assert_eq!((error.sw_code(), error.fault()), ("SW-1902", Fault::Value), "{error}");
        assert!(error.to_string().contains("archive.users.email"), "{error}");
        if mode == KmsMode::Envelope {
            let error = open(&keys, &column("shop", "phone", mode), &stored).await.unwrap_err();
            assert_eq!(error.sw_code(), "SW-1902");
        }
    }
}

#[tokio::test]
async fn plaintext_in_a_protected_column_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys(config(folder.path()), &Rows::default());
    for mode in [KmsMode::Envelope, KmsMode::Direct] {
        for value in ["", "jane@example.org", "c2VjcmV0"] {
            let error = open(&keys, &column("shop", "email", mode), value.as_bytes()).await.unwrap_err();
            assert_eq!(error.sw_code(), "SW-1901");
            assert!(value.is_empty() || !error.to_string().contains(value));
        }
    }
}

#[tokio::test]
async fn direct_mode_has_the_limits_of_kms() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys(config(folder.path()), &Rows::default());
    let tax = column("shop", "tax", KmsMode::Direct);
    assert!(seal(&keys, &tax, &"x".repeat(4096)).await.is_ok());
    let error = seal(&keys, &tax, &"x".repeat(4097)).await.unwrap_err();
    assert_eq!((error.sw_code(), error.errno(), error.sqlstate()), ("SW-1920", 1406, "22001"));
    assert!(error.to_string().contains("4096"), "{error}");
    assert_eq!(seal(&keys, &tax, "").await.unwrap_err().sw_code(), "SW-1921");
    let mut as_is = ProtectedColumn { empty: EmptyPolicy::AsIs, ..column_parts(&tax) };
    as_is.name = "tax".into();
    let as_is = Arc::new(as_is);
    assert_eq!(seal(&keys, &as_is, "").await.unwrap(), b"");
    assert_eq!(open(&keys, &as_is, b"").await.unwrap(), "");
}

fn column_parts(column: &ProtectedColumn) -> ProtectedColumn {
    ProtectedColumn {
        table: column.table.clone(),
        name: column.name.clone(),
        scope: column.scope.clone(),
        mode: column.mode,
        physical: column.physical,
        charset: column.charset.clone(),
        width: column.width,
        empty: column.empty,
        pad: column.pad,
        nullable: column.nullable,
        search: column.search,
        cipher: column.cipher,
        logical: None,
        bind: Vec::new(),
    }
}

#[tokio::test]
async fn a_direct_value_under_an_accepted_context_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = config(folder.path());
    other.kms.encryption_context = BTreeMap::from([("app".into(), "legacy".into())]);
    let tax = column("shop", "tax", KmsMode::Direct);
    let stored = seal(&keys(other, &Rows::default()), &tax, "1234").await.unwrap();
    let strict = keys(config(folder.path()), &Rows::default());
    assert_eq!(open(&strict, &tax, &stored).await.unwrap_err().sw_code(), "SW-1902");
    let mut accepting = config(folder.path());
    accepting.kms.accept_contexts =
        vec![BTreeMap::from([("app".into(), "legacy".into()), ("table".into(), "shop.users".into())])];
    assert_eq!(open(&keys(accepting, &Rows::default()), &tax, &stored).await.unwrap(), "1234");
}

#[tokio::test]
async fn a_changed_row_of_the_vault_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let email = column("shop", "email", KmsMode::Envelope);
    let changes: [fn(&mut VaultRow); 5] = [
        |row| row.state = "retired".into(),
        |row| row.version = 9,
        |row| row.mac.clear(),
        |row| row.wrapped.reverse(),
        |row| row.context = context::EncryptionContext::data_key("shop.staff", row.id, &BTreeMap::new()),
    ];
    for change in changes {
        let rows = Rows::default();
        let stored = seal(&keys(config(folder.path()), &rows), &email, "a").await.unwrap();
        rows.lock().unwrap().iter_mut().for_each(change);
        let fresh = keys(config(folder.path()), &rows);
        for error in [open(&fresh, &email, &stored).await.unwrap_err(), seal(&fresh, &email, "a").await.unwrap_err()] {
            assert_eq!(error.fault(), if error.sw_code() == "SW-1912" { Fault::Kms } else { Fault::Vault }, "{error}");
        }
    }
}

#[tokio::test]
async fn without_its_row_a_value_does_not_open_and_no_new_key_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::default();
    // The vault in memory takes every table of this schema for one that holds sealed values.
    let email = column("sealed", "email", KmsMode::Envelope);
    let fresh = keys(config(folder.path()), &rows);
    assert_eq!(seal(&fresh, &email, "a").await.unwrap_err().sw_code(), "SW-1907");
    assert!(rows.lock().unwrap().is_empty());
    let shop = column("shop", "email", KmsMode::Envelope);
    let stored = seal(&fresh, &shop, "a").await.unwrap();
    rows.lock().unwrap().clear();
    let restarted = keys(config(folder.path()), &rows);
    assert_eq!(open(&restarted, &shop, &stored).await.unwrap_err().sw_code(), "SW-1903");
}

#[tokio::test]
async fn reserved_pairs_and_ambiguous_names_are_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    for key in ["table", "Purpose", "KEY", "column", "aws:x", "AWS:x", ""] {
        let mut config = config(folder.path());
        config.kms.encryption_context = BTreeMap::from([(key.into(), "v".into())]);
        assert!(Keys::with(&Arc::new(config), Store::Memory(Rows::default()), Runner::Here).is_err(), "{key}");
    }
    let mut config = config(folder.path());
    config.tables.insert(TableName::new("a.b", "c"), TableConfig::default());
    assert!(Keys::with(&Arc::new(config), Store::Memory(Rows::default()), Runner::Here).is_err());
}

#[tokio::test]
async fn the_provider_none_passes_values_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.kms.provider = crate::config::Provider::None;
    let keys = keys(config, &Rows::default());
    let email = column("shop", "email", KmsMode::Envelope);
    assert_eq!(seal(&keys, &email, "a").await.unwrap(), b"a");
    assert_eq!(open(&keys, &email, b"a").await.unwrap(), "a");
}

#[tokio::test]
async fn check_makes_a_round_trip_in_every_mode_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let direct = ColumnConfig { mode: Some(KmsMode::Direct), ..ColumnConfig::default() };
    let columns = BTreeMap::from([("email".into(), ColumnConfig::default()), ("tax".into(), direct)]);
    config.tables.insert(TableName::new("shop", "users"), TableConfig { columns, ..TableConfig::default() });
    let report = keys(config, &Rows::default()).check().await.unwrap();
    assert_eq!(report.modes, [KmsMode::Envelope, KmsMode::Direct]);
    assert!(report.key.unwrap().starts_with("local/"));
    assert_eq!(report.data_keys, Some(0));
}

/// Keys whose KMS fails while an error is set, and which ask it again at every use.
fn faulty(folder: &Path, rows: &Rows) -> (Keys, Arc<Mutex<Option<KmsError>>>) {
    let fault = Arc::new(Mutex::new(None));
    let local = providers::local::LocalProvider::open_or_create(&folder.join("keyring.json")).unwrap();
    let provider = Provider::Faulty(local, fault.clone());
    let cache = Cache::new(Duration::ZERO, Duration::from_secs(3600));
    let config = Arc::new(config(folder));
    let direct = Direct::new(provider.clone(), Runner::Here, &config.kms, Denials::default());
    let envelope =
        Envelope::new(provider, Store::Memory(rows.clone()), Runner::Here, cache, BTreeMap::new(), Denials::default());
    (
        Keys {
            inner: Arc::new(Inner {
                config,
                envelope: Arc::new(envelope),
                direct,
                picture: versions::Picture::default(),
            }),
        },
        fault,
    )
}

fn denied() -> KmsError {
    KmsError::Denied { code: "DisabledException".into(), detail: String::new() }
}

#[tokio::test]
async fn while_kms_is_away_a_cached_key_serves_and_an_unknown_one_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, fault) = faulty(folder.path(), &Rows::default());
    let email = column("shop", "email", KmsMode::Envelope);
    let stored = seal(&keys, &email, "a").await.unwrap();
    open(&keys, &email, &stored).await.unwrap();
    *fault.lock().unwrap() = Some(KmsError::Unavailable("timeout".into()));
    assert_eq!(open(&keys, &email, &stored).await.unwrap(), "a");
    seal(&keys, &email, "b").await.unwrap();
    let other = column("archive", "email", KmsMode::Envelope);
    let error = seal(&keys, &other, "a").await.unwrap_err();
    assert_eq!((error.sw_code(), error.retryable(), error.fault()), ("SW-1911", true, Fault::Kms));
    *fault.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    seal(&keys, &other, "a").await.unwrap();
}

#[tokio::test]
async fn a_denial_purges_the_key_at_once_and_it_comes_back_with_the_permission() {
    let folder = tempfile::tempdir().unwrap();
    let (keys, fault) = faulty(folder.path(), &Rows::default());
    let email = column("shop", "email", KmsMode::Envelope);
    let stored = seal(&keys, &email, "a").await.unwrap();
    *fault.lock().unwrap() = Some(denied());
    assert_eq!(seal(&keys, &email, "b").await.unwrap_err().sw_code(), "SW-1910");
    *fault.lock().unwrap() = Some(KmsError::Unavailable("timeout".into()));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(open(&keys, &email, &stored).await.unwrap_err().sw_code(), "SW-1911", "nothing stale is left");
    *fault.lock().unwrap() = None;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(open(&keys, &email, &stored).await.unwrap(), "a");
}

/// A connection to that server, made longer ago than anything that follows.
async fn server(name: &str) -> Destination {
    tokio::time::sleep(Duration::from_millis(3)).await;
    let connected = connected(name);
    tokio::time::sleep(Duration::from_millis(3)).await;
    connected
}

fn connected(name: &str) -> Destination {
    Destination::connected(Some(Identity { variables: &["server_uuid"], values: name.into() }))
}

#[tokio::test]
async fn a_key_whose_row_is_gone_seals_nothing_until_the_row_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::default();
    let keys = keys(config(folder.path()), &rows);
    let email = column("shop", "email", KmsMode::Envelope);
    let vouch = async |to: &Destination| keys.vouch(std::iter::once(email.as_ref()), to).await;
    let session = server("memory").await;
    vouch(&session).await.unwrap();
    let stored = seal(&keys, &email, "a").await.unwrap();
    let kept = std::mem::take(&mut *rows.lock().unwrap());
    // This connection saw the row a moment ago, and its server is still there.
    vouch(&session).await.unwrap();
    // Another was made since.
    let error = vouch(&server("memory").await).await.unwrap_err();
    assert_eq!((error.sw_code(), error.errno(), error.retryable()), ("SW-1919", 1815, false));
    for _ in 0..2 {
        assert_eq!(vouch(&session).await.unwrap_err().sw_code(), "SW-1919");
        assert_eq!(seal(&keys, &email, "b").await.unwrap_err().sw_code(), "SW-1919", "no new key is made either");
    }
    assert!(rows.lock().unwrap().is_empty());
    rows.lock().unwrap().extend(kept);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    vouch(&server("memory").await).await.unwrap();
    assert_eq!(open(&keys, &email, &stored).await.unwrap(), "a");
    seal(&keys, &email, "b").await.unwrap();
}

#[tokio::test]
async fn a_row_that_was_changed_is_loaded_and_judged_again() {
    let folder = tempfile::tempdir().unwrap();
    let rows = Rows::default();
    let keys = keys(config(folder.path()), &rows);
    let email = column("shop", "email", KmsMode::Envelope);
    keys.vouch(std::iter::once(email.as_ref()), &server("memory").await).await.unwrap();
    rows.lock().unwrap()[0].mac.reverse();
    let error = keys.vouch(std::iter::once(email.as_ref()), &server("memory").await).await.unwrap_err();
    assert_eq!(error.sw_code(), "SW-1906");
}

#[tokio::test]
async fn a_vault_that_is_read_on_another_server_vouches_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let keys = keys(config(folder.path()), &Rows::default());
    let email = column("shop", "email", KmsMode::Envelope);
    let error = keys.vouch(std::iter::once(email.as_ref()), &server("elsewhere").await).await.unwrap_err();
    assert_eq!((error.sw_code(), error.errno(), error.retryable()), ("SW-1924", 1205, true));
    keys.vouch(std::iter::once(email.as_ref()), &server("memory").await).await.unwrap();
    assert!(keys.vouch(std::iter::once(email.as_ref()), &server("elsewhere").await).await.is_err());
    // As with `multi_primary: true`.
    keys.vouch(std::iter::once(email.as_ref()), &Destination::connected(None)).await.unwrap();
}
