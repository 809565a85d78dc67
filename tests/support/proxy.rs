//! The real binary, started with a configuration of its own on a free port and a unix socket.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};

use super::{Account, Backend, Schema, client, moto_endpoint};

/// How long the proxy may take to listen, to stop, and to write a log line.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where data keys are wrapped.
#[derive(Clone, Debug)]
pub enum Kms {
    /// A keyring file beside the configuration.
    Local,
    /// moto, with this key id, ARN or alias.
    Moto(String),
    /// What speaks for KMS at an endpoint, with this key id, ARN or alias.
    At(String, String),
    /// As before in several regions, first choice first: regions with their endpoints, and the key.
    Regions(Vec<(&'static str, String)>, String),
    /// Values pass unchanged.
    None,
}

/// What a test wants of its proxy. Everything that is not said is left out of the file, so that the
/// program's own defaults are tested.
pub struct ProxyBuilder {
    schema: String,
    address: String,
    vault: String,
    other: String,
    backend_address: String,
    backend_tls: String,
    backend_extra: String,
    tls_folder: PathBuf,
    client_tls: Option<&'static str>,
    kms: Kms,
    keyring: Option<PathBuf>,
    kms_mode: Option<&'static str>,
    kms_extra: String,
    catalog: String,
    extra: String,
    tables: BTreeMap<String, Vec<(String, String)>>,
    table_extra: BTreeMap<String, String>,
    whole_config: Option<String>,
    environment: Vec<(String, String)>,
}

/// A running proxy; killed when dropped.
pub struct Proxy {
    pub port: u16,
    pub socket: PathBuf,
    pub config: PathBuf,
    /// The folder of its configuration, keyring and socket.
    pub folder: tempfile::TempDir,
    schema: String,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// A proxy before the schema's server, with nothing of the test's protected yet.
    pub fn builder(schema: &Schema) -> ProxyBuilder {
        ProxyBuilder {
            schema: schema.name.clone(),
            address: "127.0.0.1".into(),
            vault: format!("{}.data_keys", schema.vault_schema()),
            other: schema.other_schema(),
            backend_address: format!("{}:{}", schema.backend.host, schema.backend.port),
            backend_tls: "{ mode: preferred }".into(),
            backend_extra: String::new(),
            tls_folder: schema.backend.tls.clone(),
            client_tls: None,
            kms: Kms::Local,
            keyring: None,
            kms_mode: None,
            kms_extra: String::new(),
            catalog: "{ max_age: 1s }".into(),
            extra: String::new(),
            tables: BTreeMap::new(),
            table_extra: BTreeMap::new(),
            whole_config: None,
            environment: Vec::new(),
        }
    }

    /// Options for a TCP connection through the proxy without TLS, in the test's schema.
    pub fn opts(&self, account: Account) -> OptsBuilder {
        client::opts("127.0.0.1", self.port, account, Some(&self.schema))
    }

    /// A connection through the proxy as the application's account.
    pub async fn connect(&self) -> Conn {
        client::connect(self.opts(Account::APP)).await
    }

    /// A connection through the proxy's unix socket.
    pub async fn connect_socket(&self) -> Conn {
        let socket = self.socket.display().to_string();
        client::connect(self.opts(Account::APP).socket(Some(socket))).await
    }

    /// Everything the proxy has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log's lock is never poisoned").join("\n")
    }

    /// Waits for a log line that holds this text.
    pub fn wait_for_log(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let lines = self.log.lock().expect("the log's lock is never poisoned");
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            drop(lines);
            assert!(Instant::now() < deadline, "the proxy never logged {text:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most resident memory that it ever had, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the proxy runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux reports it");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends the process as a power cut would (SIGKILL).
    pub fn kill(&mut self) {
        // Killing a process that has ended already is what the test wanted, too.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Asks the process to stop (SIGTERM) and waits for it.
    pub fn stop(&mut self) -> ExitStatus {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(killed.success(), "the proxy had ended before:\n{}", self.log());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the proxy is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the proxy does not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("the proxy's log:\n{}", self.log());
        }
    }
}

impl ProxyBuilder {
    /// Protects `schema.table.column` with the column's settings in YAML flow form, `{}` for none. A table
    /// name with a dot in it names its schema itself.
    pub fn column(mut self, table: &str, column: &str, settings: &str) -> Self {
        self.tables.entry(table.to_owned()).or_default().push((column.to_owned(), settings.to_owned()));
        self
    }

    /// A setting of the table beside `columns`, such as `allow_ddl: true`.
    pub fn table_setting(mut self, table: &str, line: &str) -> Self {
        let lines = self.table_extra.entry(table.to_owned()).or_default();
        writeln!(lines, "    {line}").expect("writing to a string");
        self
    }

    pub fn kms(mut self, kms: Kms) -> Self {
        self.kms = kms;
        self
    }

    /// The keyring file of the local provider; one beside the configuration unless said.
    pub fn keyring(mut self, path: &std::path::Path) -> Self {
        self.keyring = Some(path.to_owned());
        self
    }

    /// `envelope` or `direct`.
    pub fn kms_mode(mut self, mode: &'static str) -> Self {
        self.kms_mode = Some(mode);
        self
    }

    /// A further line below `kms:`.
    pub fn kms_setting(mut self, line: &str) -> Self {
        writeln!(self.kms_extra, "  {line}").expect("writing to a string");
        self
    }

    /// TLS towards clients with the test's server certificate: `optional` or `required`.
    pub fn client_tls(mut self, mode: &'static str) -> Self {
        self.client_tls = Some(mode);
        self
    }

    /// The value of `backend.tls` in YAML flow form; `{ mode: preferred }` unless said.
    pub fn backend_tls(mut self, settings: &str) -> Self {
        settings.clone_into(&mut self.backend_tls);
        self
    }

    /// A further line below `backend:`.
    pub fn backend_setting(mut self, line: &str) -> Self {
        writeln!(self.backend_extra, "  {line}").expect("writing to a string");
        self
    }

    /// `HOST:PORT` or `unix:PATH`; the schema's server over TCP unless said.
    pub fn backend_address(mut self, address: &str) -> Self {
        address.clone_into(&mut self.backend_address);
        self
    }

    /// The IP address that it listens on; 127.0.0.1 unless said.
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }

    /// The folder of `server.pem` and `server-key.pem` for TLS towards clients; the servers' own unless said.
    pub fn tls_folder(mut self, folder: &std::path::Path) -> Self {
        folder.clone_into(&mut self.tls_folder);
        self
    }

    /// The value of `catalog` in YAML flow form.
    pub fn catalog(mut self, settings: &str) -> Self {
        settings.clone_into(&mut self.catalog);
        self
    }

    /// Further top-level YAML.
    pub fn extra(mut self, yaml: &str) -> Self {
        writeln!(self.extra, "{yaml}").expect("writing to a string");
        self
    }

    /// The whole configuration instead of the parts above.
    pub fn whole_config(mut self, yaml: &str) -> Self {
        self.whole_config = Some(yaml.to_owned());
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn yaml(&self, folder: &std::path::Path) -> String {
        if let Some(whole) = &self.whole_config {
            return whole.clone();
        }
        let tls = self.tls_folder.display();
        let mut yaml = format!("listen: [\"{}:0\", \"unix:{}\"]\n", self.address, folder.join("proxy.sock").display());
        if let Some(mode) = self.client_tls {
            yaml += &format!("tls: {{ mode: {mode}, cert: \"{tls}/server.pem\", key: \"{tls}/server-key.pem\" }}\n");
        }
        yaml += &format!(
            "backend:\n  address: \"{}\"\n  tls: {}\n  control: {{ user: {}, password: {} }}\n",
            self.backend_address,
            self.backend_tls,
            Account::CONTROL.user,
            Account::CONTROL.password
        );
        yaml += &self.backend_extra;
        yaml += &match &self.kms {
            Kms::Local => {
                let keyring = self.keyring.clone().unwrap_or_else(|| folder.join("keyring"));
                format!("kms:\n  provider: local\n  keyring: \"{}\"\n", keyring.display())
            }
            Kms::Moto(key) => {
                let endpoint = moto_endpoint().expect("a test that names a moto key runs with moto");
                aws_yaml(&endpoint, key)
            }
            Kms::At(endpoint, key) => aws_yaml(endpoint, key),
            Kms::Regions(places, key) => {
                let regions: Vec<&str> = places.iter().map(|(region, _)| *region).collect();
                let endpoints: Vec<String> =
                    places.iter().map(|(region, endpoint)| format!("{region}: \"{endpoint}\"")).collect();
                format!(
                    "kms:\n  provider: aws\n  key: \"{key}\"\n  regions: [{}]\n  endpoints: {{ {} }}\n",
                    regions.join(", "),
                    endpoints.join(", ")
                )
            }
            Kms::None => "kms:\n  provider: none\n  allow_plaintext: true\n".into(),
        };
        if let Some(mode) = self.kms_mode {
            yaml += &format!("  mode: {mode}\n");
        }
        yaml += &self.kms_extra;
        yaml += &format!("vault: {}\ncatalog: {}\n{}", self.vault, self.catalog, self.extra);
        // A configuration protects something: if nothing of the test's, then a table elsewhere.
        yaml += "tables:\n";
        if self.tables.is_empty() {
            yaml += &format!("  {}.elsewhere:\n    columns:\n      hidden: {{}}\n", self.other);
        }
        for (table, columns) in &self.tables {
            yaml +=
                &if table.contains('.') { format!("  {table}:\n") } else { format!("  {}.{table}:\n", self.schema) };
            yaml += self.table_extra.get(table).map_or("", String::as_str);
            yaml += "    columns:\n";
            for (column, settings) in columns {
                yaml += &format!("      {column}: {settings}\n");
            }
        }
        yaml
    }

    /// Writes the configuration and gives its folder and path, without starting anything: for `check`.
    pub fn write(&self) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::Builder::new().prefix("sealwire").tempdir().expect("a temporary folder");
        let config = folder.path().join("sealwire.yaml");
        std::fs::write(&config, self.yaml(folder.path())).expect("the configuration is written");
        (folder, config)
    }

    /// A command of the binary with this test's environment and credentials for moto.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealwire"));
        command
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("SEALWIRE_LOG", std::env::var("SEALWIRE_LOG").unwrap_or_else(|_| "sealwire=debug".into()))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the proxy and waits until it listens; fails the test when it does not.
    pub fn start(self) -> Proxy {
        let (folder, config) = self.write();
        let mut child = self
            .command()
            .arg("run")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let stderr = child.stderr.take().expect("stderr is piped");
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                sink.lock().expect("the log's lock is never poisoned").push(line);
            }
        });
        let mut proxy = Proxy {
            port: 0,
            socket: folder.path().join("proxy.sock"),
            config,
            folder,
            schema: self.schema,
            child,
            log,
        };
        let deadline = Instant::now() + PATIENCE;
        while proxy.port == 0 {
            let announced = proxy.log();
            if let Some(port) = announced.lines().find_map(listening_port) {
                proxy.port = port;
            } else if let Some(status) = proxy.child.try_wait().expect("the proxy is our child") {
                std::thread::sleep(Duration::from_millis(100));
                panic!("the proxy ended with {status} before it listened:\n{}", proxy.log());
            } else {
                assert!(Instant::now() < deadline, "the proxy does not listen:\n{announced}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        proxy
    }
}

fn aws_yaml(endpoint: &str, key: &str) -> String {
    format!("kms:\n  provider: aws\n  key: \"{key}\"\n  region: eu-central-1\n  endpoint: \"{endpoint}\"\n")
}

/// The port of `listening on ADDRESS:PORT` in a log line.
fn listening_port(line: &str) -> Option<u16> {
    let digits = line.split("listening on ").nth(1)?.split_once(':')?.1;
    let end = digits.find(|character: char| !character.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// `sealed.email` is protected, `plain.email` is not.
pub async fn sealed_and_plain(backend: &Backend) -> (Schema, Proxy) {
    let schema = Schema::create(backend).await;
    let mut conn = schema.direct().await;
    for table in ["sealed", "plain"] {
        conn.query_drop(format!("CREATE TABLE {table} (id int PRIMARY KEY, email varchar(191), n int)"))
            .await
            .expect("the test's tables are made");
    }
    let proxy = Proxy::builder(&schema).column("sealed", "email", "{}").start();
    (schema, proxy)
}
