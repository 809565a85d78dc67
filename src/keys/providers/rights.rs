//! What the proxy's role may do with KMS beyond what it needs, asked by calls with `DryRun`: KMS then only says
//! whether the call would have been allowed.

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;

use super::aws::{AwsProvider, pairs};
use crate::keys::context::EncryptionContext;
use crate::keys::provider::KmsError;

/// Whether a call would be allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    Denied,
    Allowed,
    /// KMS did not say: it was not reached, or is an emulator that does not know `DryRun`.
    Unknown,
}

/// Calls that the proxy's role should not be able to make under the context of data keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excess {
    /// `kms:Encrypt` and `kms:GenerateDataKey` hand their caller a wrapped key whose content is known.
    pub encrypt: Right,
    pub generate_data_key: Right,
    /// `kms:ReEncryptFrom` and `kms:ReEncryptTo`: for the role that rewraps alone.
    pub re_encrypt: Right,
}

impl AwsProvider {
    /// Asks in the first region, with a `blob` that was wrapped under `context`. Nothing is encrypted or opened.
    pub async fn excess(&self, context: &EncryptionContext, blob: &[u8]) -> Result<Excess, KmsError> {
        let (client, key) = self.first_client(context).await?;
        let encrypt = client
            .encrypt()
            .key_id(&key)
            .set_encryption_context(Some(pairs(context)))
            .plaintext(Blob::new([0]))
            .dry_run(true);
        let generate = client
            .generate_data_key()
            .key_id(&key)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(Some(pairs(context)))
            .dry_run(true);
        Ok(Excess {
            encrypt: right(Box::pin(encrypt.send()).await),
            generate_data_key: right(Box::pin(generate.send()).await),
            re_encrypt: re_encrypt(client, &key, context, blob).await,
        })
    }
}

async fn re_encrypt(client: &Client, key: &str, context: &EncryptionContext, blob: &[u8]) -> Right {
    let call = client
        .re_encrypt()
        .ciphertext_blob(Blob::new(blob))
        .source_key_id(key)
        .set_source_encryption_context(Some(pairs(context)))
        .destination_key_id(key)
        .set_destination_encryption_context(Some(pairs(context)))
        .dry_run(true);
    right(Box::pin(call.send()).await)
}

/// AWS answers every call with `DryRun` with an error; that of an allowed one is named after it.
fn right<T, E: ProvideErrorMetadata>(answer: Result<T, SdkError<E>>) -> Right {
    let code = answer.as_ref().err().and_then(SdkError::as_service_error).and_then(|error| error.code());
    match code {
        Some("DryRunOperationException") => Right::Allowed,
        Some("AccessDeniedException" | "AccessDenied") => Right::Denied,
        _ => Right::Unknown,
    }
}
