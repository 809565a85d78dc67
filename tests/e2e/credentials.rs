//! Where AWS credentials come from, each source on the loopback: `sealwire check` wraps and unwraps with what it
//! finds, and the stand-in for KMS says who signed.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use mysql_async::prelude::Queryable;

use crate::support::{Backend, Kms, Proxy, ProxyBuilder, Schema, Server, StandIn, moto_key};

struct Scene {
    schema: Schema,
    kms: StandIn,
    key: String,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Option<Self> {
        let backend = Backend::get(Server::MariaDb1011)?;
        let kms = StandIn::start().await?;
        let key = moto_key().await?;
        let schema = Schema::create(&backend).await;
        schema.direct().await.query_drop("CREATE TABLE users (id int PRIMARY KEY, email text)").await.unwrap();
        Some(Self { schema, kms, key, folder: tempfile::tempdir().unwrap() })
    }

    fn builder(&self) -> ProxyBuilder {
        Proxy::builder(&self.schema)
            .kms(Kms::At(self.kms.endpoint.clone(), self.key.clone()))
            .column("users", "email", "{}")
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Runs `check` with no credentials but what `set` gives it; who signed the calls of KMS.
    fn signed_by(&self, builder: &ProxyBuilder, set: impl Fn(&mut Command)) -> Vec<String> {
        let (_folder, config) = builder.write();
        let mut command = builder.command();
        command.args(["check", "-c"]).arg(&config).env("SEALWIRE_LOG", "off");
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"] {
            command.env_remove(name);
        }
        command.env("AWS_CONFIG_FILE", "/nowhere").env("AWS_SHARED_CREDENTIALS_FILE", "/nowhere");
        command.env("AWS_ENDPOINT_URL_STS", &self.kms.endpoint);
        set(&mut command);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert!(!said.contains("secret"), "{said}");
        self.kms.signed_by()
    }

    fn form(&self) -> String {
        let forms = self.kms.forms();
        assert_eq!(forms.len(), 1, "{forms:?}");
        forms[0].clone()
    }
}

/// A web server of a container or an instance, which answers paths; and the heads of its requests.
fn pages(pages: Vec<(&'static str, String)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::<Mutex<Vec<String>>>::default();
    let kept = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
            let page = pages.iter().find(|(name, _)| *name == path);
            let (status, body) = page.map_or(("404 Not Found", ""), |(_, body)| ("200 OK", body.as_str()));
            let answer = format!(
                "HTTP/1.1 {status}\r\nx-aws-ec2-metadata-token-ttl-seconds: 600\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            kept.lock().unwrap().push(head.join("\n"));
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, requests)
}

fn credentials(id: &str) -> String {
    format!(
        "{{\"Version\": 1, \"Code\": \"Success\", \"Type\": \"AWS-HMAC\", \"AccessKeyId\": \"{id}\", \"SecretAccessKey\": \
         \"secret\", \"Token\": \"t\", \"SessionToken\": \"t\", \"Expiration\": \"2099-01-01T00:00:00Z\", \
         \"LastUpdated\": \"2026-01-01T00:00:00Z\"}}"
    )
}

const ROLE: &str = "arn:aws:iam::123456789012:role/sealwire";

#[tokio::test]
async fn the_environment_and_a_profile_give_credentials() {
    let Some(scene) = Scene::set().await else { return };
    let signed = scene.signed_by(&scene.builder(), |command| {
        command.env("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT").env("AWS_SECRET_ACCESS_KEY", "secret");
    });
    assert_eq!(signed, ["AKIAENVIRONMENT"]);
    let Some(scene) = Scene::set().await else { return };
    let file = scene.write("credentials", "[app]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret\n");
    let signed = scene.signed_by(&scene.builder(), |command| {
        command.env("AWS_PROFILE", "app").env("AWS_SHARED_CREDENTIALS_FILE", &file);
    });
    assert_eq!(signed, ["AKIAPROFILE"]);
}

#[tokio::test]
async fn a_process_that_a_profile_names_gives_credentials() {
    let Some(scene) = Scene::set().await else { return };
    let script = scene.write("process", &format!("#!/bin/sh\ncat <<'END'\n{}\nEND\n", credentials("AKIAPROCESS")));
    std::fs::set_permissions(Path::new(&script), std::fs::Permissions::from_mode(0o700)).unwrap();
    let file = scene.write("config", &format!("[profile app]\ncredential_process = {script}\n"));
    let signed = scene.signed_by(&scene.builder(), |command| {
        command.env("AWS_PROFILE", "app").env("AWS_CONFIG_FILE", &file);
    });
    assert_eq!(signed, ["AKIAPROCESS"]);
}

#[tokio::test]
async fn a_role_is_assumed_with_its_external_id_by_a_profile_and_by_the_configuration() {
    let Some(scene) = Scene::set().await else { return };
    let file = scene.write(
        "config",
        &format!("[profile app]\nrole_arn = {ROLE}\nexternal_id = agreed\nsource_profile = base\n[profile base]\n"),
    );
    let base = scene.write("credentials", "[base]\naws_access_key_id = AKIABASE\naws_secret_access_key = secret\n");
    let signed = scene.signed_by(&scene.builder(), |command| {
        command.env("AWS_PROFILE", "app").env("AWS_CONFIG_FILE", &file).env("AWS_SHARED_CREDENTIALS_FILE", &base);
    });
    assert!(signed.len() == 1 && signed[0].starts_with("ASIA"), "{signed:?}");
    let form = scene.form();
    assert!(form.contains("Action=AssumeRole&") && form.contains("ExternalId=agreed"), "{form}");

    let Some(scene) = Scene::set().await else { return };
    let role = format!("assume_role: {{ arn: \"{ROLE}\", external_id: agreed, session_name: proxy-1 }}");
    let signed = scene.signed_by(&scene.builder().kms_setting(&role), |command| {
        command.env("AWS_ACCESS_KEY_ID", "AKIABASE").env("AWS_SECRET_ACCESS_KEY", "secret");
    });
    assert!(signed.len() == 1 && signed[0].starts_with("ASIA"), "{signed:?}");
    let form = scene.form();
    for part in ["Action=AssumeRole&", "ExternalId=agreed", "RoleSessionName=proxy-1", "role%2Fsealwire"] {
        assert!(form.contains(part), "{part}: {form}");
    }
}

#[tokio::test]
async fn a_web_identity_token_is_exchanged_for_credentials() {
    let Some(scene) = Scene::set().await else { return };
    let token = scene.write("token", "token-of-the-pod");
    let signed = scene.signed_by(&scene.builder(), |command| {
        command.env("AWS_WEB_IDENTITY_TOKEN_FILE", &token).env("AWS_ROLE_ARN", ROLE);
    });
    assert!(signed.len() == 1 && signed[0].starts_with("ASIA"), "{signed:?}");
    let form = scene.form();
    assert!(form.contains("Action=AssumeRoleWithWebIdentity&") && form.contains("token-of-the-pod"), "{form}");
}

#[tokio::test]
async fn containers_and_instances_give_credentials() {
    let Some(scene) = Scene::set().await else { return };
    let (address, requests) = pages(vec![("/creds", credentials("ASIACONTAINER"))]);
    let signed = scene.signed_by(&scene.builder(), |command| {
        command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{address}/creds"));
        command.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token");
    });
    assert_eq!(signed, ["ASIACONTAINER"]);
    let asked = requests.lock().unwrap().join("\n").to_lowercase();
    assert!(asked.contains("authorization: container-token"), "{asked}");

    let Some(scene) = Scene::set().await else { return };
    let (address, requests) = pages(vec![
        ("/latest/api/token", "session-token".into()),
        ("/latest/meta-data/iam/security-credentials/", "the-role".into()),
        ("/latest/meta-data/iam/security-credentials/the-role", credentials("ASIAINSTANCE")),
    ]);
    let signed = scene.signed_by(&scene.builder(), |command| {
        command.env("AWS_EC2_METADATA_DISABLED", "false").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &address);
    });
    assert_eq!(signed, ["ASIAINSTANCE"]);
    // Version 2 of the service: with a session's token.
    let asked = requests.lock().unwrap().join("\n").to_lowercase();
    assert!(asked.contains("x-aws-ec2-metadata-token: session-token"), "{asked}");
}
