//! The KMS emulator.

use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};

use super::backend::{SERVERS, missing};

/// Where moto listens, or `None` when the test is to be skipped.
pub fn moto_endpoint() -> Option<String> {
    let endpoint = SERVERS.moto.as_ref().map(|moto| moto.endpoint.clone());
    if endpoint.is_none() {
        missing("moto");
    }
    endpoint
}

/// A client of KMS at an endpoint, with rights and ideas of its own.
pub fn kms_client(endpoint: &str) -> aws_sdk_kms::Client {
    aws_sdk_kms::Client::from_conf(
        aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
            .build(),
    )
}

/// Makes a KMS key in moto and gives its ARN.
pub async fn moto_key() -> Option<String> {
    let created = kms_client(&moto_endpoint()?).create_key().send().await.expect("moto makes a key");
    created.key_metadata().and_then(|metadata| metadata.arn()).map(str::to_owned)
}
