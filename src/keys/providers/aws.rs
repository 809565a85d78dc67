//! AWS KMS through the AWS SDK: credentials from the SDK's default chain, retries and their delays the
//! SDK's own. Its futures are boxed: they take tens of kilobytes each. Keys are always named from the configuration, never taken from a blob or a vault row.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_kms::Client;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, EncryptionAlgorithmSpec, KeySpec, KeyUsageType};
use tokio::sync::OnceCell;

use crate::config::Kms;
use crate::keys::context::EncryptionContext;
use crate::keys::provider::{KeyDescription, KmsError, WrappedKey};
use crate::seal::Plaintext;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
/// With the SDK's retries. A statement may wait this long, once; see [`crate::keys`].
const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

struct Settings {
    /// Key id, key ARN, alias or alias ARN.
    key: String,
    previous: Vec<String>,
    region: Option<String>,
    endpoint: Option<String>,
    fips: bool,
}

struct Shared {
    settings: Settings,
    /// Made at the first call, on the runtime that makes it.
    client: OnceCell<Client>,
    /// The key ARNs that aliases were found to stand for; `None`: describing keys is not allowed.
    aliases: Mutex<HashMap<String, Option<String>>>,
}

#[derive(Clone)]
pub struct AwsProvider(Arc<Shared>);

impl AwsProvider {
    /// Checks the settings; calls nothing.
    pub fn new(kms: &Kms) -> Result<Self, KmsError> {
        let key = kms.key.clone().filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| KmsError::Config("kms.key is missing: the aws provider needs a key".into()))?;
        let region = kms.region.clone().or_else(|| region_of(&key).map(str::to_owned));
        let settings =
            Settings { key, previous: kms.previous.clone(), region, endpoint: kms.endpoint.clone(), fips: kms.fips };
        Ok(Self(Arc::new(Shared { settings, client: OnceCell::new(), aliases: Mutex::default() })))
    }

    async fn client(&self) -> Result<&Client, KmsError> {
        Box::pin(self.0.client.get_or_try_init(|| connect(&self.0.settings))).await
    }

    pub async fn generate_data_key_without_plaintext(
        &self,
        context: &EncryptionContext,
    ) -> Result<WrappedKey, KmsError> {
        let call = self
            .client()
            .await?
            .generate_data_key_without_plaintext()
            .key_id(&self.0.settings.key)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(pairs(context)))
            .send();
        let answer = observed("GenerateDataKeyWithoutPlaintext", call).await?;
        let kms_key = answer.key_id.ok_or_else(|| incomplete("KeyId"))?;
        let blob = answer.ciphertext_blob.ok_or_else(|| incomplete("CiphertextBlob"))?.into_inner();
        Ok(WrappedKey { kms_key, blob })
    }

    pub async fn encrypt(&self, context: &EncryptionContext, value: &Plaintext) -> Result<Vec<u8>, KmsError> {
        let call = self
            .client()
            .await?
            .encrypt()
            .key_id(&self.0.settings.key)
            .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
            .set_encryption_context(Some(pairs(context)))
            .plaintext(Blob::new(value.expose()))
            .send();
        let answer = observed("Encrypt", call).await?;
        Ok(answer.ciphertext_blob.ok_or_else(|| incomplete("CiphertextBlob"))?.into_inner())
    }

    /// Tries the configured key as the source, then the previous ones.
    pub async fn re_encrypt(&self, context: &EncryptionContext, blob: &[u8]) -> Result<WrappedKey, KmsError> {
        let settings = &self.0.settings;
        let mut worst = KmsError::WrongKey;
        for key in std::iter::once(&settings.key).chain(&settings.previous) {
            let call = self
                .client()
                .await?
                .re_encrypt()
                .ciphertext_blob(Blob::new(blob))
                .source_key_id(key)
                .set_source_encryption_context(Some(pairs(context)))
                .destination_key_id(&settings.key)
                .set_destination_encryption_context(Some(pairs(context)))
                .send();
            match observed("ReEncrypt", call).await {
                Ok(answer) => {
                    let kms_key = answer.key_id.ok_or_else(|| incomplete("KeyId"))?;
                    let blob = answer.ciphertext_blob.ok_or_else(|| incomplete("CiphertextBlob"))?.into_inner();
                    return Ok(WrappedKey { kms_key, blob });
                }
                Err(error @ KmsError::Unavailable(_)) => return Err(error),
                Err(error) => worst = graver(worst, error),
            }
        }
        Err(worst)
    }

    /// Tries the configured key, then the previous ones.
    pub async fn decrypt(&self, context: &EncryptionContext, blob: &[u8]) -> Result<Plaintext, KmsError> {
        let settings = &self.0.settings;
        let mut worst = KmsError::WrongKey;
        for key in std::iter::once(&settings.key).chain(&settings.previous) {
            match self.decrypt_with(key, context, blob).await {
                Ok(plaintext) => return Ok(plaintext),
                // Not worth another timeout for every previous key.
                Err(error @ KmsError::Unavailable(_)) => return Err(error),
                Err(KmsError::WrongKey) => {}
                Err(error) => worst = graver(worst, error),
            }
        }
        Err(worst)
    }

    async fn decrypt_with(&self, key: &str, context: &EncryptionContext, blob: &[u8]) -> Result<Plaintext, KmsError> {
        let call = self
            .client()
            .await?
            .decrypt()
            .key_id(key)
            .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
            .set_encryption_context(Some(pairs(context)))
            .ciphertext_blob(Blob::new(blob))
            .send();
        let answer = observed("Decrypt", call).await?;
        let plaintext = Plaintext::new(answer.plaintext.ok_or_else(|| incomplete("Plaintext"))?.into_inner());
        let used = answer.key_id.ok_or_else(|| incomplete("KeyId"))?;
        if self.is_key(key, &used).await? { Ok(plaintext) } else { Err(KmsError::WrongKey) }
    }

    /// Whether the ARN `used` is that of the configured `key`.
    async fn is_key(&self, key: &str, used: &str) -> Result<bool, KmsError> {
        if !is_alias(key) {
            return Ok(used == key || used.rsplit_once('/').is_some_and(|(_, id)| id == key));
        }
        let known = self.0.aliases.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if known.as_ref().is_some_and(|arn| arn.as_deref().is_none_or(|arn| arn == used)) {
            return Ok(true);
        }
        // Never asked, or the alias was pointed elsewhere since. Where describing is not allowed, KMS's
        // own refusal of blobs of other keys has to do.
        let arn = match self.describe_key(key).await {
            Ok(description) => Some(description.key),
            Err(KmsError::Denied { .. }) => None,
            Err(error) => return Err(error),
        };
        let same = arn.as_deref().is_none_or(|arn| arn == used);
        self.0.aliases.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), arn);
        Ok(same)
    }

    pub async fn describe(&self) -> Result<KeyDescription, KmsError> {
        let key = &self.0.settings.key;
        match self.describe_key(key).await {
            Err(KmsError::Denied { code, .. }) if code == "AccessDeniedException" => {
                let region = self.client().await?.config().region().map(ToString::to_string);
                Ok(KeyDescription { key: key.clone(), region })
            }
            answer => answer,
        }
    }

    async fn describe_key(&self, key: &str) -> Result<KeyDescription, KmsError> {
        let client = self.client().await?;
        let answer = observed("DescribeKey", client.describe_key().key_id(key).send()).await?;
        let metadata = answer.key_metadata.ok_or_else(|| incomplete("KeyMetadata"))?;
        if let Some(spec) = metadata.key_spec.as_ref().filter(|spec| **spec != KeySpec::SymmetricDefault) {
            return Err(KmsError::Unsuitable(format!("its KeySpec is {}", spec.as_str())));
        }
        if let Some(usage) = metadata.key_usage.as_ref().filter(|usage| **usage != KeyUsageType::EncryptDecrypt) {
            return Err(KmsError::Unsuitable(format!("its KeyUsage is {}", usage.as_str())));
        }
        let key = metadata.arn.ok_or_else(|| incomplete("Arn"))?;
        Ok(KeyDescription { key, region: client.config().region().map(ToString::to_string) })
    }
}

/// Makes a call, counts and times it, and logs its request id if it fails, for AWS's support.
async fn observed<'a, T, E>(
    operation: &'static str,
    call: impl Future<Output = Result<T, SdkError<E>>> + Send + 'a,
) -> Result<T, KmsError>
where
    E: ProvideErrorMetadata + RequestId + std::error::Error + 'static,
{
    let started = std::time::Instant::now();
    // Without its type, too: the SDK's are deeper than the compiler follows.
    let call: Pin<Box<dyn Future<Output = _> + Send + 'a>> = Box::pin(call);
    let answer: Result<T, SdkError<E>> = call.await;
    metrics::histogram!("sealwire_kms_call_seconds", "operation" => operation).record(started.elapsed().as_secs_f64());
    let outcome = match &answer {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let code =
                error.as_service_error().map_or("not answered", |error| error.code().unwrap_or("without a code"));
            let request_id = error.as_service_error().and_then(RequestId::request_id).unwrap_or("none");
            tracing::warn!(operation, code, request_id, "a KMS call failed");
            code.to_owned()
        }
    };
    metrics::counter!("sealwire_kms_calls_total", "operation" => operation, "outcome" => outcome).increment(1);
    answer.map_err(failure)
}

async fn connect(settings: &Settings) -> Result<Client, KmsError> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if settings.fips {
        loader = loader.use_fips(true);
    }
    let shared = Box::pin(loader.load()).await;
    if shared.region().is_none() {
        return Err(KmsError::Config("no AWS region: set kms.region, AWS_REGION, or name the key by its ARN".into()));
    }
    let mut config = aws_sdk_kms::config::Builder::from(&shared);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}

fn pairs(context: &EncryptionContext) -> HashMap<String, String> {
    context.pairs().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn is_alias(key: &str) -> bool {
    key.starts_with("alias/") || key.contains(":alias/")
}

/// The region of an ARN.
fn region_of(key: &str) -> Option<&str> {
    let mut parts = key.split(':');
    (parts.next() == Some("arn")).then(|| parts.nth(2)).flatten().filter(|region| !region.is_empty())
}

fn incomplete(field: &str) -> KmsError {
    KmsError::Unavailable(format!("the answer lacks {field}"))
}

/// Of two failures of the same blob under different keys, the one that says more.
fn graver(one: KmsError, other: KmsError) -> KmsError {
    let rank = |error: &KmsError| match error {
        KmsError::WrongKey => 0,
        KmsError::Denied { .. } => 1,
        KmsError::InvalidCiphertext => 2,
        _ => 3,
    };
    if rank(&other) > rank(&one) { other } else { one }
}

/// Classifies a failed call. KMS's own text is passed on only for codes whose text speaks of keys and
/// principals; that of a failed validation may quote the request.
fn failure<E>(error: SdkError<E>) -> KmsError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Some(service) = error.as_service_error() else {
        return KmsError::Unavailable(format!("{}", DisplayErrorContext(&error)));
    };
    let code = service.code().unwrap_or("without a code");
    let detail = || service.message().unwrap_or("no reason given").to_owned();
    match code {
        "AccessDeniedException"
        | "DisabledException"
        | "KMSInvalidStateException"
        | "NotFoundException"
        | "AccessDenied" => KmsError::Denied { code: code.to_owned(), detail: detail() },
        "IncorrectKeyException" => KmsError::WrongKey,
        "InvalidCiphertextException" => KmsError::InvalidCiphertext,
        "InvalidKeyUsageException" | "UnsupportedOperationException" => KmsError::Unsuitable(code.to_owned()),
        "ValidationException" | "InvalidArnException" | "InvalidAliasNameException" | "DryRunOperationException" => {
            KmsError::Rejected { code: code.to_owned() }
        }
        // Throttling, internal errors, timeouts of dependencies, and credentials that expired or are
        // being replaced: nothing that says the key may not be used.
        _ => KmsError::Unavailable(format!("{code}: {}", detail())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_of_an_arn_is_used_where_none_is_configured() {
        assert_eq!(region_of("arn:aws:kms:eu-central-1:111122223333:key/1234"), Some("eu-central-1"));
        assert_eq!(region_of("arn:aws-cn:kms:cn-north-1:111122223333:alias/app"), Some("cn-north-1"));
        assert_eq!(region_of("alias/app"), None);
        assert_eq!(region_of("1234abcd-12ab-34cd-56ef-1234567890ab"), None);
    }

    #[test]
    fn a_denial_outweighs_a_key_that_did_not_wrap_the_blob() {
        let denied = KmsError::Denied { code: "DisabledException".into(), detail: String::new() };
        assert_eq!(graver(KmsError::WrongKey, denied.clone()), denied);
        assert_eq!(graver(denied.clone(), KmsError::WrongKey), denied);
    }
}
