//! A stand-in for KMS: it passes calls on to moto, unless it was told to fail them, to be slow, or to hold
//! to the key policy of `deploy/cloudformation/kms-key.yaml`. For what moto does not do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::{Backend, Schema, moto_endpoint, moto_key};

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// KMS answers this error: HTTP status and code.
    Error(u16, &'static str),
    /// As before, for so many calls; then all is well.
    ErrorTimes(u32, u16, &'static str),
    Slow(Duration),
    /// The answer never comes.
    Hang,
    /// The connection is closed without an answer.
    Drop,
}

/// Errors as AWS documents them, with their HTTP status.
pub const THROTTLED: Fault = Fault::Error(400, "ThrottlingException");
pub const DISABLED: Fault = Fault::Error(400, "DisabledException");
pub const ACCESS_DENIED: Fault = Fault::Error(400, "AccessDeniedException");
pub const INVALID_STATE: Fault = Fault::Error(400, "KMSInvalidStateException");
pub const TIMED_OUT: Fault = Fault::Error(503, "DependencyTimeoutException");
pub const INTERNAL: Fault = Fault::Error(500, "KMSInternalException");

#[derive(Default)]
struct State {
    fault: Option<Fault>,
    /// What becomes of calls that name this key.
    failing: Option<(String, Fault)>,
    /// Hold to the key policy's denials.
    policy: bool,
    /// Blobs begin as those of AWS do.
    dress: bool,
    /// The access key ids that signed calls of KMS.
    signed_by: BTreeSet<String>,
    /// Bodies of calls that are not KMS's: forms for STS.
    forms: Vec<String>,
    /// Names as the proxy knows them, and as moto does.
    renamed: Vec<(String, String)>,
    calls: BTreeMap<String, u64>,
    /// Under way now, and the most there ever were at once.
    running: BTreeMap<String, (u64, u64)>,
    /// Calls of the operation beyond so many wait until the gate is opened.
    gate: Option<(String, Arc<Semaphore>)>,
    denied_at: Option<Instant>,
}

/// Ends when dropped.
pub struct StandIn {
    pub endpoint: String,
    state: Arc<Mutex<State>>,
    _alive: tokio::sync::oneshot::Sender<()>,
}

impl StandIn {
    /// `None` when moto is not running and the test is to be skipped. On a thread of its own: a test that waits
    /// for its proxy to start blocks its runtime.
    pub async fn start() -> Option<Self> {
        let moto = moto_endpoint()?.trim_start_matches("http://").to_owned();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        let (alive, ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        tokio::spawn(serve(stream, moto.clone(), shared.clone()));
                    }
                });
                let _ = ended.await;
            });
        });
        Some(Self { endpoint, state, _alive: alive })
    }

    pub fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// Fails the calls that name this key, and no others.
    pub fn fail_key(&self, key: &str, fault: Fault) {
        self.state().failing = Some((key.to_owned(), fault));
    }

    pub fn recover(&self) {
        self.state().fault = None;
    }

    pub fn hold_to_the_policy(&self) {
        self.state().policy = true;
    }

    /// From now on blobs begin with the bytes that those of AWS begin with, which moto's do not.
    pub fn dress_blobs(&self) {
        self.state().dress = true;
    }

    /// From now on moto's key of this ARN, of eu-central-1, goes by the id of a multi-Region key and is in `region`;
    /// its ARN there. moto itself has such keys, but opens nothing under them: its ciphertexts cut their ids.
    pub fn replicate(&self, arn: &str, region: &str) -> String {
        let id = arn.rsplit('/').next().expect("an ARN ends with the id");
        let new = format!("mrk-{}", id.replace('-', ""));
        let told = arn.replace(id, &new).replace("eu-central-1", region);
        self.state().renamed = vec![(new, id.to_owned()), (region.to_owned(), "eu-central-1".to_owned())];
        told
    }

    /// Lets `calls` calls of the operation through; the others wait for [`StandIn::open_gate`].
    pub fn close_gate_after(&self, operation: &str, calls: usize) {
        self.state().gate = Some((operation.to_owned(), Arc::new(Semaphore::new(calls))));
    }

    pub fn open_gate(&self) {
        if let Some((_, gate)) = self.state().gate.take() {
            gate.add_permits(100_000);
        }
    }

    /// The most calls of an operation that were under way at the same time.
    pub fn most_at_once(&self, operation: &str) -> u64 {
        self.state().running.get(operation).map_or(0, |(_, most)| *most)
    }

    /// Calls so far of an operation, `Decrypt`; failed ones too.
    pub fn calls(&self, operation: &str) -> u64 {
        self.state().calls.get(operation).copied().unwrap_or(0)
    }

    /// Calls so far.
    pub fn all_calls(&self) -> u64 {
        self.state().calls.values().sum()
    }

    /// The access key ids that signed calls of KMS so far.
    pub fn signed_by(&self) -> Vec<String> {
        self.state().signed_by.iter().cloned().collect()
    }

    /// The bodies of calls of STS so far.
    pub fn forms(&self) -> Vec<String> {
        self.state().forms.clone()
    }

    /// When the last call was answered with an error.
    pub fn last_denial(&self) -> Option<Instant> {
        self.state().denied_at
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

/// A schema with these tables, a stand-in for KMS, and a key of it; `None` where the test is to be skipped.
pub async fn kms_scene(backend: &Backend, tables: &[&str]) -> Option<(Schema, StandIn, String)> {
    let (kms, key) = (StandIn::start().await?, moto_key().await?);
    let schema = Schema::create(backend).await;
    let mut direct = schema.direct().await;
    for table in tables {
        direct.query_drop(*table).await.unwrap();
    }
    Some((schema, kms, key))
}

/// One connection: requests one after the other.
async fn serve(mut stream: TcpStream, moto: String, state: Arc<Mutex<State>>) {
    while let Some(request) = read_request(&mut stream).await {
        let target = request.header("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let fault = {
            let mut state = state.lock().expect("nobody panics while holding it");
            let signer =
                request.header("authorization").and_then(|value| value.split("Credential=").nth(1)?.split('/').next());
            match signer {
                Some(signer) if !operation.is_empty() => drop(state.signed_by.insert(signer.to_owned())),
                _ => state.forms.push(String::from_utf8_lossy(&request.body).into_owned()),
            }
            *state.calls.entry(operation.clone()).or_default() += 1;
            let (running, most) = state.running.entry(operation.clone()).or_default();
            *running += 1;
            *most = (*most).max(*running);
            let fault = match &mut state.fault {
                Some(Fault::ErrorTimes(0, ..)) => None,
                Some(Fault::ErrorTimes(left, status, code)) => {
                    *left -= 1;
                    Some(Fault::Error(*status, code))
                }
                other => other.clone(),
            };
            let failing = state.failing.as_ref().filter(|(key, _)| body["KeyId"].as_str() == Some(key));
            let fault = fault.or_else(|| failing.map(|(_, fault)| fault.clone()));
            let fault = fault.or_else(|| (state.policy && denied(&operation, &body)).then_some(ACCESS_DENIED));
            if matches!(fault, Some(Fault::Error(..))) {
                state.denied_at = Some(Instant::now());
            }
            fault
        };
        let gate = state.lock().expect("nobody panics while holding it").gate.clone();
        if let Some((_, gate)) = gate.filter(|(held, _)| *held == operation) {
            gate.acquire().await.expect("it is never closed").forget();
        }
        let answer = match fault {
            Some(Fault::Error(status, code) | Fault::ErrorTimes(_, status, code)) => error(status, code),
            Some(Fault::Hang) => return std::future::pending().await,
            Some(Fault::Drop) => return,
            slow => {
                if let Some(Fault::Slow(delay)) = slow {
                    tokio::time::sleep(delay).await;
                }
                // moto knows no dry runs: it would do the thing.
                if body.get("DryRun") == Some(&Value::Bool(true)) {
                    error(412, "DryRunOperationException")
                } else {
                    let (dress, renamed) = {
                        let state = state.lock().expect("nobody panics while holding it");
                        (state.dress, state.renamed.clone())
                    };
                    let mut passed = if dress { undressed(&request) } else { request };
                    for (ours, motos) in &renamed {
                        passed = translated(passed, ours, motos);
                    }
                    let wrong = names_another_key(&operation, &passed);
                    let Ok(mut answer) = pass_on(&moto, &passed).await else { return };
                    let refused = answer.windows(21).any(|part| part == b"AccessDeniedException");
                    if wrong && (refused || answer.starts_with(b"HTTP/1.1 200")) {
                        answer = error(400, "IncorrectKeyException");
                    }
                    for (ours, motos) in &renamed {
                        let (head, body) = split(&answer);
                        let answered = translated(Request { head, body }, motos, ours);
                        answer = [answered.head.into_bytes(), answered.body].concat();
                    }
                    if dress { dressed(&operation, answer) } else { answer }
                }
            }
        };
        if let Some((running, _)) = state.lock().expect("nobody panics while holding it").running.get_mut(&operation) {
            *running -= 1;
        }
        if stream.write_all(&answer).await.is_err() || !answer.starts_with(b"HTTP/1.1 4") {
            // moto's own answers say `Connection: close`.
            return;
        }
    }
}

fn error(status: u16, code: &str) -> Vec<u8> {
    let body = format!("{{\"__type\":\"{code}\",\"message\":\"the stand-in says so\"}}");
    let head = format!(
        "HTTP/1.1 {status} Error\r\ncontent-type: application/x-amz-json-1.1\r\nx-amzn-requestid: stand-in\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Whether the template's key policy denies a call: `Deny` statements whose actions hold the operation and
/// whose `StringEquals` conditions on the encryption context all hold.
fn denied(operation: &str, body: &Value) -> bool {
    let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/cloudformation/kms-key.yaml"));
    let template: serde_yaml::Value = serde_yaml::from_str(text).expect("the template is YAML");
    let statements = &template["Resources"]["Key"]["Properties"]["KeyPolicy"]["Statement"];
    // One call that needs two permissions.
    let action = if operation == "ReEncrypt" { "kms:ReEncryptFrom".to_owned() } else { format!("kms:{operation}") };
    statements.as_sequence().expect("it has statements").iter().any(|statement| {
        let actions = match &statement["Action"] {
            serde_yaml::Value::Sequence(actions) => actions.clone(),
            one => vec![one.clone()],
        };
        let holds = statement["Condition"]["StringEquals"].as_mapping().is_none_or(|conditions| {
            conditions.iter().all(|(key, value)| {
                let key =
                    key.as_str().and_then(|key| key.strip_prefix("kms:EncryptionContext:")).expect("of the context");
                body["EncryptionContext"][key].as_str() == value.as_str()
            })
        });
        statement["Effect"] == "Deny" && holds && actions.iter().any(|name| name.as_str() == Some(&action))
    })
}

struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let mut request = Request { head: String::from_utf8(bytes[..end].to_vec()).ok()?, body: bytes.split_off(end) };
    let length: usize = request.header("content-length")?.parse().ok()?;
    while request.body.len() < length {
        if stream.read_buf(&mut request.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(request)
}

/// How the blobs of `Encrypt` and of the data key operations begin in AWS.
const VALUE_HEAD: [u8; 5] = [1, 2, 2, 0, 0x78];
const DATA_KEY_HEAD: [u8; 5] = [1, 2, 3, 0, 0x78];

/// The request with moto's own blob in it.
fn undressed(request: &Request) -> Request {
    let mut body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let blob = body["CiphertextBlob"].as_str().and_then(|text| STANDARD.decode(text).ok());
    if let Some(blob) = blob.filter(|blob| blob.starts_with(&VALUE_HEAD) || blob.starts_with(&DATA_KEY_HEAD)) {
        body["CiphertextBlob"] = STANDARD.encode(&blob[VALUE_HEAD.len()..]).into();
    }
    let body = serde_json::to_vec(&body).expect("it is JSON");
    Request { head: with_length(&request.head, body.len()), body }
}

/// The answer with the blob as AWS would have it.
fn dressed(operation: &str, answer: Vec<u8>) -> Vec<u8> {
    let (head, body) = split(&answer);
    let Ok(mut body) = serde_json::from_slice::<Value>(&body) else { return answer };
    let Some(blob) = body["CiphertextBlob"].as_str().and_then(|text| STANDARD.decode(text).ok()) else { return answer };
    let head_of_blob = if operation.starts_with("GenerateDataKey") { DATA_KEY_HEAD } else { VALUE_HEAD };
    body["CiphertextBlob"] = STANDARD.encode([&head_of_blob[..], &blob].concat()).into();
    let body = serde_json::to_vec(&body).expect("it is JSON");
    let head = with_length(&head, body.len());
    [head.into_bytes(), body].concat()
}

/// Whether a request names another key than the one that made its blob, which AWS compares and moto does not: its
/// blobs begin with the key's id.
fn names_another_key(operation: &str, request: &Request) -> bool {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let named = if operation == "ReEncrypt" { &body["SourceKeyId"] } else { &body["KeyId"] };
    let named = named.as_str().filter(|key| !key.contains("alias/")).and_then(|key| key.rsplit('/').next());
    let blob = body["CiphertextBlob"].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    named.is_some_and(|named| !blob.is_empty() && !blob.starts_with(named.as_bytes()))
}

/// Head and body of an answer.
fn split(answer: &[u8]) -> (String, Vec<u8>) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("it is HTTP") + 4;
    (String::from_utf8(answer[..end].to_vec()).expect("it is text"), answer[end..].to_vec())
}

/// With every `from` replaced.
fn translated(message: Request, from: &str, to: &str) -> Request {
    let body = String::from_utf8(message.body).expect("it is JSON").replace(from, to).into_bytes();
    Request { head: with_length(&message.head.replace(from, to), body.len()), body }
}

fn with_length(head: &str, length: usize) -> String {
    let lines = head.trim_end().lines().map(|line| match line.split_once(':') {
        Some((name, _)) if name.eq_ignore_ascii_case("content-length") => format!("Content-Length: {length}"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\r\n") + "\r\n\r\n"
}

/// moto's answer, whole.
async fn pass_on(moto: &str, request: &Request) -> std::io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(moto).await?;
    let head = request.head.trim_end();
    upstream.write_all(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    upstream.write_all(&request.body).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    Ok(answer)
}
