//! Clients of AWS KMS: where they call, and whose credentials they carry.

use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::timeout::TimeoutConfig;

use crate::config::AssumeRole;
use crate::keys::provider::KmsError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// With the SDK's retries. A statement may wait this long, once; see [`crate::keys`].
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// What is the same in every region.
pub struct Settings {
    pub fips: bool,
    pub assume_role: Option<AssumeRole>,
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
    if let Some(role) = &settings.assume_role {
        // By whatever credentials the chain finds.
        let mut provider = AssumeRoleProvider::builder(&role.arn).configure(&shared);
        provider = provider.session_name(role.session_name.as_deref().unwrap_or("sealwire"));
        if let Some(id) = &role.external_id {
            provider = provider.external_id(id);
        }
        config = config.credentials_provider(Box::pin(provider.build()).await);
    }
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_sdk_kms::config::interceptors::BeforeTransmitInterceptorContextRef;
    use aws_sdk_kms::config::{ConfigBag, Credentials, Intercept, RuntimeComponents};
    use aws_sdk_kms::error::BoxError;

    use super::*;

    /// Takes down where a request would go, and lets none go.
    #[derive(Clone, Debug, Default)]
    struct Held(Arc<Mutex<Vec<String>>>);

    impl Intercept for Held {
        fn name(&self) -> &'static str {
            "held"
        }

        fn read_before_transmit(
            &self,
            context: &BeforeTransmitInterceptorContextRef<'_>,
            _components: &RuntimeComponents,
            _config: &mut ConfigBag,
        ) -> Result<(), BoxError> {
            self.0.lock().unwrap().push(context.request().uri().to_owned());
            Err("held".into())
        }
    }

    async fn called(fips: bool, region: &str) -> String {
        let settings = Settings { fips, assume_role: None };
        let client = connect(&settings, Some(region), None).await.unwrap();
        let held = Held::default();
        let config = client.config().to_builder().interceptor(held.clone());
        let config = config.credentials_provider(Credentials::new("a", "b", None, None, "tests")).build();
        let _ = Box::pin(Client::from_conf(config).list_keys().send()).await;
        let uris = held.0.lock().unwrap().clone();
        uris.first().cloned().unwrap()
    }

    #[tokio::test]
    async fn the_fips_endpoint_of_the_region_is_called_where_it_is_asked_for() {
        assert_eq!(called(true, "us-east-1").await, "https://kms-fips.us-east-1.amazonaws.com/");
        assert_eq!(called(true, "eu-central-1").await, "https://kms-fips.eu-central-1.amazonaws.com/");
        assert_eq!(called(false, "eu-central-1").await, "https://kms.eu-central-1.amazonaws.com/");
    }
}
