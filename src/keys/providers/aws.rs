//! AWS KMS through the AWS SDK: credentials from the SDK's default chain, retries and their delays the
//! SDK's own. Its futures are boxed: they take tens of kilobytes each. Keys are always named from the configuration, never taken from a blob or a vault row.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kms::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeySpec, EncryptionAlgorithmSpec, KeySpec, KeyUsageType};

use super::connect::Settings;
use super::regions::{Place, in_turn};
use crate::config::Kms;
use crate::keys::context::EncryptionContext;
use crate::keys::provider::{KeyDescription, KmsError, WrappedKey};
use crate::seal::Plaintext;

struct Shared {
    /// Key id, key ARN, alias or alias ARN.
    key: String,
    /// Of single tables, by `schema.table` as sealed.
    keys: BTreeMap<String, String>,
    previous: Vec<String>,
    settings: Settings,
    /// Where the key is called, first choice first.
    places: Vec<Place>,
    /// The regions of previous keys that are named by their ARNs, beyond those.
    elsewhere: Vec<Place>,
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
        let regions: Vec<Option<String>> = match kms.regions.as_slice() {
            [] => vec![kms.region.clone().or_else(|| region_of(&key).map(str::to_owned))],
            regions => regions.iter().cloned().map(Some).collect(),
        };
        let endpoint = |region: &Option<String>| region.as_ref().and_then(|region| kms.endpoints.get(region)).cloned();
        let places =
            regions.iter().map(|region| Place::new(region.clone(), endpoint(region).or_else(|| kms.endpoint.clone())));
        let mut elsewhere: Vec<Option<String>> = kms
            .previous
            .iter()
            .chain(kms.keys.values())
            .filter_map(|key| region_of(key))
            .map(|region| Some(region.to_owned()))
            .collect();
        elsewhere.retain(|region| !regions.contains(region));
        elsewhere.sort();
        elsewhere.dedup();
        Ok(Self(Arc::new(Shared {
            places: places.collect(),
            elsewhere: elsewhere.into_iter().map(|region| Place::new(region.clone(), endpoint(&region))).collect(),
            key,
            keys: kms.keys.clone(),
            previous: kms.previous.clone(),
            settings: Settings { fips: kms.fips, assume_role: kms.assume_role.clone() },
            aliases: Mutex::default(),
        })))
    }

    /// The key that wraps and encrypts under `context`.
    fn key_of(&self, context: &EncryptionContext) -> &str {
        self.key_for(context.pairs().get("table").map(String::as_str))
    }

    fn key_for(&self, table: Option<&str>) -> &str {
        table.and_then(|table| self.0.keys.get(table)).unwrap_or(&self.0.key)
    }

    /// The keys that may have wrapped or encrypted under `context`: the present one first.
    fn candidates<'k>(&'k self, context: &EncryptionContext) -> impl Iterator<Item = &'k str> {
        let present = self.key_of(context);
        let others = std::iter::once(&self.0.key).chain(&self.0.previous).map(String::as_str);
        std::iter::once(present).chain(others.filter(move |key| *key != present))
    }

    /// Where `key` can be called: a multi-Region key in every region, another that is named by its ARN in its
    /// own.
    fn places(&self, key: &str) -> Vec<&Place> {
        let shared = &self.0;
        let own = region_of(key).filter(|_| !is_multi_region(key) && key != shared.key);
        let Some(own) = own else { return shared.places.iter().collect() };
        let all = shared.places.iter().chain(&shared.elsewhere);
        all.filter(|place| place.region.as_deref() == Some(own)).take(1).collect()
    }

    pub async fn generate_data_key_without_plaintext(
        &self,
        context: &EncryptionContext,
    ) -> Result<WrappedKey, KmsError> {
        let key = self.key_of(context);
        in_turn(&self.places(key), key, Some(context), |place| async move {
            let call = place
                .client(&self.0.settings)
                .await?
                .generate_data_key_without_plaintext()
                .key_id(key_in(key, place))
                .key_spec(DataKeySpec::Aes256)
                .set_encryption_context(Some(pairs(context)))
                .send();
            let answer = observed("GenerateDataKeyWithoutPlaintext", call).await?;
            let kms_key = answer.key_id.ok_or_else(|| incomplete("KeyId"))?;
            let blob = answer.ciphertext_blob.ok_or_else(|| incomplete("CiphertextBlob"))?.into_inner();
            Ok(WrappedKey { kms_key, blob })
        })
        .await
    }

    pub async fn encrypt(&self, context: &EncryptionContext, value: &Plaintext) -> Result<Vec<u8>, KmsError> {
        let key = self.key_of(context);
        in_turn(&self.places(key), key, Some(context), |place| async move {
            let call = place
                .client(&self.0.settings)
                .await?
                .encrypt()
                .key_id(key_in(key, place))
                .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
                .set_encryption_context(Some(pairs(context)))
                .plaintext(Blob::new(value.expose()))
                .send();
            let answer = observed("Encrypt", call).await?;
            Ok(answer.ciphertext_blob.ok_or_else(|| incomplete("CiphertextBlob"))?.into_inner())
        })
        .await
    }

    /// Tries the configured key as the source, then the previous ones, each in a region that has both: KMS does
    /// not wrap from one region to another.
    pub async fn re_encrypt(&self, context: &EncryptionContext, blob: &[u8]) -> Result<WrappedKey, KmsError> {
        let shared = &self.0;
        let mut worst = KmsError::WrongKey;
        let mut apart = false;
        let target = self.key_of(context);
        for source in self.candidates(context) {
            let here = self.places(target);
            let places: Vec<&Place> = self
                .places(source)
                .into_iter()
                .filter(|place| here.iter().any(|here| std::ptr::eq(*here, *place)))
                .collect();
            if places.is_empty() {
                apart = true;
                continue;
            }
            let outcome = in_turn(&places, source, Some(context), |place| async move {
                let call = place
                    .client(&shared.settings)
                    .await?
                    .re_encrypt()
                    .ciphertext_blob(Blob::new(blob))
                    .source_key_id(key_in(source, place))
                    .set_source_encryption_context(Some(pairs(context)))
                    .destination_key_id(key_in(target, place))
                    .set_destination_encryption_context(Some(pairs(context)))
                    .send();
                let answer = observed("ReEncrypt", call).await?;
                let kms_key = answer.key_id.ok_or_else(|| incomplete("KeyId"))?;
                let blob = answer.ciphertext_blob.ok_or_else(|| incomplete("CiphertextBlob"))?.into_inner();
                Ok(WrappedKey { kms_key, blob })
            });
            match outcome.await {
                Err(error @ KmsError::Unavailable(_)) => return Err(error),
                Err(error) => worst = graver(worst, error),
                wrapped => return wrapped,
            }
        }
        if apart && worst == KmsError::WrongKey {
            return Err(KmsError::Config(
                "a key of kms.previous is in another region than kms.key, and KMS wraps anew within one region only: \
                 make kms.key a multi-Region key with a replica there, and list both regions in kms.regions"
                    .into(),
            ));
        }
        Err(worst)
    }

    /// Tries the key of the context's table, then the configured one and the previous ones.
    pub async fn decrypt(&self, context: &EncryptionContext, blob: &[u8]) -> Result<Plaintext, KmsError> {
        let mut worst = KmsError::WrongKey;
        for key in self.candidates(context) {
            let places = self.places(key);
            match in_turn(&places, key, Some(context), |place| self.decrypt_in(place, key, context, blob)).await {
                Ok(plaintext) => return Ok(plaintext),
                // Not worth another timeout for every previous key.
                Err(error @ KmsError::Unavailable(_)) => return Err(error),
                Err(KmsError::WrongKey) => {}
                Err(error) => worst = graver(worst, error),
            }
        }
        Err(worst)
    }

    async fn decrypt_in(
        &self,
        place: &Place,
        key: &str,
        context: &EncryptionContext,
        blob: &[u8],
    ) -> Result<Plaintext, KmsError> {
        let call = place
            .client(&self.0.settings)
            .await?
            .decrypt()
            .key_id(key_in(key, place))
            .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
            .set_encryption_context(Some(pairs(context)))
            .ciphertext_blob(Blob::new(blob))
            .send();
        let answer = observed("Decrypt", call).await?;
        let plaintext = Plaintext::new(answer.plaintext.ok_or_else(|| incomplete("Plaintext"))?.into_inner());
        let used = answer.key_id.ok_or_else(|| incomplete("KeyId"))?;
        if self.is_key(place, key, &used).await? { Ok(plaintext) } else { Err(KmsError::WrongKey) }
    }

    /// Whether the ARN `used` is that of the configured `key` in that place.
    async fn is_key(&self, place: &Place, key: &str, used: &str) -> Result<bool, KmsError> {
        if !is_alias(key) {
            return Ok(used == key_in(key, place) || used.rsplit_once('/').is_some_and(|(_, id)| id == key));
        }
        let known = self.0.aliases.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        if known.as_ref().is_some_and(|arn| arn.as_deref().is_none_or(|arn| arn == used)) {
            return Ok(true);
        }
        // Never asked, or the alias was pointed elsewhere since. Where describing is not allowed, KMS's
        // own refusal of blobs of other keys has to do.
        let arn = match self.describe_in(place, key).await {
            Ok(description) => Some(description.key),
            Err(KmsError::Denied { .. }) => None,
            Err(error) => return Err(error),
        };
        let same = arn.as_deref().is_none_or(|arn| arn == used);
        self.0.aliases.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), arn);
        Ok(same)
    }

    /// A client of the first region of the key for `context`, and the key as it is named there.
    pub(super) async fn first_client(
        &self,
        context: &EncryptionContext,
    ) -> Result<(&aws_sdk_kms::Client, String), KmsError> {
        let key = self.key_of(context);
        let place = *self.places(key).first().ok_or_else(|| KmsError::Config("no AWS region".into()))?;
        Ok((place.client(&self.0.settings).await?, key_in(key, place).into_owned()))
    }

    /// The key of `table`, or the one of all that have none of their own, in the first region that answers.
    pub async fn describe(&self, table: Option<&str>) -> Result<KeyDescription, KmsError> {
        let key = self.key_for(table);
        in_turn(&self.places(key), key, None, |place| self.describe_or_name(place, key)).await
    }

    /// Every key in each of its regions, in order.
    pub async fn describe_everywhere(&self) -> Vec<(Option<String>, Result<KeyDescription, KmsError>)> {
        let mut all = Vec::new();
        for key in std::iter::once(&self.0.key).chain(self.0.keys.values()) {
            for place in self.places(key) {
                all.push((place.region.clone(), self.describe_or_name(place, key).await));
            }
        }
        all
    }

    async fn describe_or_name(&self, place: &Place, key: &str) -> Result<KeyDescription, KmsError> {
        match self.describe_in(place, key).await {
            Err(KmsError::Denied { code, .. }) if code == "AccessDeniedException" => {
                let region = place.client(&self.0.settings).await?.config().region().map(ToString::to_string);
                Ok(KeyDescription { key: key.to_owned(), region })
            }
            answer => answer,
        }
    }

    async fn describe_in(&self, place: &Place, key: &str) -> Result<KeyDescription, KmsError> {
        let client = place.client(&self.0.settings).await?;
        let answer = observed("DescribeKey", client.describe_key().key_id(key_in(key, place)).send()).await?;
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

pub(super) fn pairs(context: &EncryptionContext) -> HashMap<String, String> {
    context.pairs().iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn is_alias(key: &str) -> bool {
    key.starts_with("alias/") || key.contains(":alias/")
}

/// Whether two ARNs are those of one key: the same, or of replicas of it.
pub fn same_key(one: &str, two: &str) -> bool {
    let apart = |key: &str| region_of(key).map(|region| key.replacen(&format!(":{region}:"), "::", 1));
    one == two || (is_multi_region(one) && is_multi_region(two) && apart(one).is_some() && apart(one) == apart(two))
}

/// Named by key id or ARN; an alias does not tell.
fn is_multi_region(key: &str) -> bool {
    key.starts_with("mrk-") || key.contains(":key/mrk-")
}

/// As `key` is named in a region: the replicas of a multi-Region key differ by that part of the ARN.
fn key_in<'k>(key: &'k str, place: &Place) -> Cow<'k, str> {
    match (&place.region, region_of(key)) {
        (Some(region), Some(own)) if own != region && is_multi_region(key) => {
            Cow::Owned(key.replacen(&format!(":{own}:"), &format!(":{region}:"), 1))
        }
        _ => Cow::Borrowed(key),
    }
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
    fn only_the_region_tells_the_replicas_of_a_key_apart() {
        let key = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab";
        let there = Place::new(Some("eu-central-1".into()), None);
        assert_eq!(
            key_in(key, &there),
            "arn:aws:kms:eu-central-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab"
        );
        assert_eq!(key_in(key, &Place::new(None, None)), key);
        let single = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
        assert_eq!(key_in(single, &there), single, "a key of one region is never called another's");
        assert!(same_key(key, &key_in(key, &there)) && same_key(single, single));
        assert!(!same_key(key, &key_in(key, &there).replace("mrk-1", "mrk-2")));
        assert!(!same_key(single, &single.replace("eu-west-1", "eu-central-1")));
        assert_eq!(key_in("mrk-1234abcd12ab34cd56ef1234567890ab", &there), "mrk-1234abcd12ab34cd56ef1234567890ab");
    }

    #[test]
    fn a_denial_outweighs_a_key_that_did_not_wrap_the_blob() {
        let denied = KmsError::Denied { code: "DisabledException".into(), detail: String::new() };
        assert_eq!(graver(KmsError::WrongKey, denied.clone()), denied);
        assert_eq!(graver(denied.clone(), KmsError::WrongKey), denied);
    }
}
