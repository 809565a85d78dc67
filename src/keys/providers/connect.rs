//! Clients of AWS KMS: where they call, and whose credentials they carry.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::timeout::TimeoutConfig;

use crate::keys::provider::KmsError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// With the SDK's retries. A statement may wait this long, once; see [`crate::keys`].
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// What is the same in every region.
pub struct Settings {
    pub fips: bool,
}

/// A client for `region`, the SDK's own choice if there is none. Loads the configuration that the SDK finds in
/// environment and profile; calls nothing.
pub async fn connect(settings: &Settings, region: Option<&str>, endpoint: Option<&str>) -> Result<Client, KmsError> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if settings.fips {
        loader = loader.use_fips(true);
    }
    let shared = Box::pin(loader.load()).await;
    if shared.region().is_none() {
        return Err(KmsError::Config("no AWS region: set kms.region, AWS_REGION, or name the key by its ARN".into()));
    }
    let mut config = aws_sdk_kms::config::Builder::from(&shared);
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}
