//! What the proxy needs of a KMS, and which one does it. Terms are those of the AWS KMS API.

use super::context::EncryptionContext;
use super::providers::{aws::AwsProvider, local::LocalProvider};
use crate::config::{Config, Provider as Configured};
use crate::control::Control;
use crate::seal::Plaintext;

/// Why a KMS call failed. Texts are safe to show: never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KmsError {
    /// The key is disabled, deleted or unknown, or its use is not allowed.
    #[error("refused: {code}: {detail}")]
    Denied { code: String, detail: String },
    /// Not reached, timed out, throttled, or failing; may pass by itself.
    #[error("not available: {0}")]
    Unavailable(String),
    #[error(
        "neither kms.key nor a key of kms.previous wrapped this; if the alias points to a new key, list the old one under kms.previous"
    )]
    WrongKey,
    #[error("the ciphertext does not belong to this encryption context, or was changed")]
    InvalidCiphertext,
    #[error(
        "the key cannot be used: {0}; it must be a symmetric encryption key, as other keys take no encryption context"
    )]
    Unsuitable(String),
    #[error("{0}")]
    Config(String),
    #[error("keyring: {0}")]
    Keyring(String),
    #[error("refused the call: {code}")]
    Rejected { code: String },
}

/// A data key as KMS wrapped it.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The ARN of the KMS key, as the answer named it.
    pub kms_key: String,
    pub blob: Vec<u8>,
}

/// What [`Provider::describe`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDescription {
    /// The ARN of the KMS key; what stands for it elsewhere.
    pub key: String,
    pub region: Option<String>,
}

/// Clones share what they hold.
#[derive(Clone)]
pub enum Provider {
    Aws(AwsProvider),
    Local(LocalProvider),
    /// Values pass unchanged: no method below is ever called.
    None,
    /// The local keyring, failing while an error is set.
    #[cfg(test)]
    Faulty(LocalProvider, std::sync::Arc<std::sync::Mutex<Option<KmsError>>>),
}

impl Provider {
    pub fn start(config: &Config) -> Result<Self, KmsError> {
        Ok(match &config.kms.provider {
            Configured::Aws => Self::Aws(AwsProvider::new(&config.kms)?),
            Configured::Local { keyring } => Self::Local(LocalProvider::open_or_create(keyring)?),
            Configured::None => Self::None,
        })
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Aws(_) => "aws",
            Self::Local(_) => "local",
            Self::None => "none",
            #[cfg(test)]
            Self::Faulty(..) => "faulty",
        }
    }

    /// A new 256-bit data key, wrapped; its plaintext is not asked for.
    pub async fn generate_data_key_without_plaintext(
        &self,
        context: &EncryptionContext,
    ) -> Result<WrappedKey, KmsError> {
        match self {
            Self::Aws(aws) => aws.generate_data_key_without_plaintext(context).await,
            Self::Local(local) => local.generate_data_key_without_plaintext(context),
            Self::None => Err(no_provider()),
            #[cfg(test)]
            Self::Faulty(local, fault) => match fault.lock().unwrap().clone() {
                Some(error) => Err(error),
                None => local.generate_data_key_without_plaintext(context),
            },
        }
    }

    /// Encrypts up to 4,096 bytes.
    pub async fn encrypt(&self, context: &EncryptionContext, value: &Plaintext) -> Result<Vec<u8>, KmsError> {
        match self {
            Self::Aws(aws) => aws.encrypt(context, value).await,
            Self::Local(local) => local.encrypt(context, value.expose()),
            Self::None => Err(no_provider()),
            #[cfg(test)]
            Self::Faulty(local, fault) => match fault.lock().unwrap().clone() {
                Some(error) => Err(error),
                None => local.encrypt(context, value.expose()),
            },
        }
    }

    /// Decrypts with the configured keys only, whatever key the blob names.
    pub async fn decrypt(&self, context: &EncryptionContext, blob: &[u8]) -> Result<Plaintext, KmsError> {
        match self {
            Self::Aws(aws) => aws.decrypt(context, blob).await,
            Self::Local(local) => local.decrypt(context, blob),
            Self::None => Err(no_provider()),
            #[cfg(test)]
            Self::Faulty(local, fault) => match fault.lock().unwrap().clone() {
                Some(error) => Err(error),
                None => local.decrypt(context, blob),
            },
        }
    }

    /// Wraps with the configured key what that or a previous one wrapped, under the same context. The
    /// content stays in KMS.
    pub async fn re_encrypt(&self, context: &EncryptionContext, blob: &[u8]) -> Result<WrappedKey, KmsError> {
        match self {
            Self::Aws(aws) => aws.re_encrypt(context, blob).await,
            Self::Local(local) => {
                let content = local.decrypt(context, blob)?;
                Ok(WrappedKey { kms_key: local.key_name(), blob: local.encrypt(context, content.expose())? })
            }
            Self::None => Err(no_provider()),
            #[cfg(test)]
            Self::Faulty(..) => Err(KmsError::Unavailable("not in these tests".into())),
        }
    }

    /// Resolves the key of `table`, or the one of all that have none of their own, and checks that it is a symmetric encryption key. The name is as
    /// configured where the account may not describe keys.
    pub async fn describe(&self, table: Option<&str>) -> Result<KeyDescription, KmsError> {
        match self {
            Self::Aws(aws) => aws.describe(table).await,
            Self::Local(local) => Ok(KeyDescription { key: local.key_name(), region: None }),
            Self::None => Err(no_provider()),
            #[cfg(test)]
            Self::Faulty(local, fault) => match fault.lock().unwrap().clone() {
                Some(error) => Err(error),
                None => Ok(KeyDescription { key: local.key_name(), region: None }),
            },
        }
    }
}

impl Provider {
    /// As [`Provider::describe`], every key in every region that is configured: a replica that is not there is found out
    /// before it is needed.
    pub async fn describe_everywhere(&self) -> Result<Vec<KeyDescription>, KmsError> {
        let Self::Aws(aws) = self else { return Ok(vec![self.describe(None).await?]) };
        let mut found: Vec<KeyDescription> = Vec::new();
        for (region, outcome) in aws.describe_everywhere().await {
            found.push(outcome.map_err(|error| match (error, region) {
                (KmsError::Denied { code, detail }, Some(region)) => {
                    KmsError::Denied { code, detail: format!("{detail} (in {region})") }
                }
                (KmsError::Unavailable(text), Some(region)) => KmsError::Unavailable(format!("{region}: {text}")),
                (error, _) => error,
            })?);
        }
        Ok(found)
    }
}

fn no_provider() -> KmsError {
    KmsError::Config("the provider is none: there are no keys".into())
}

/// Where KMS and vault calls run: on the control runtime, whichever worker awaits them.
#[derive(Clone)]
pub enum Runner {
    Control(Control),
    #[cfg(test)]
    Here,
}

impl Runner {
    /// Leaves `future` running.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        match self {
            Self::Control(control) => control.spawn(future),
            #[cfg(test)]
            Self::Here => drop(tokio::spawn(future)),
        }
    }

    /// `None`: the runtime is shutting down.
    pub async fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Option<T> {
        match self {
            Self::Control(control) => control.run(future).await,
            #[cfg(test)]
            Self::Here => tokio::spawn(future).await.ok(),
        }
    }
}
