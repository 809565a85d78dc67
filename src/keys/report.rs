//! What `sealwire check` shows of the keys: a real round trip through KMS, and whether the vault is there.

use std::time::{Duration, Instant};

use super::Keys;
use super::context::EncryptionContext;
use super::error::KeyError;
use super::provider::{KmsError, Provider};
use super::providers::rights::Excess;
use crate::config::KmsMode;
use crate::seal::Plaintext;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysReport {
    /// `aws`, `local` or `none`.
    pub provider: &'static str,
    /// The KMS key's ARN where it can be known.
    pub key: Option<String>,
    pub region: Option<String>,
    pub endpoint: Option<String>,
    /// The modes in use, each of which made its round trip.
    pub modes: Vec<KmsMode>,
    /// The slowest round trip: two KMS calls.
    pub latency: Duration,
    /// Data keys in the vault. `None`: there is no vault yet, or no column needs one.
    pub data_keys: Option<u64>,
    /// What AWS KMS would let the role do though the proxy does not need it, for each KMS key that wraps data keys,
    /// by the table that has it for its own.
    pub excess: Vec<(Option<String>, Excess)>,
}

/// How long the start waits for KMS to say what kind of key it has.
const AT_START: Duration = Duration::from_secs(3);

impl Keys {
    /// Refuses a key that can never seal anything: an asymmetric one, which takes no encryption context, or one
    /// of another use. What KMS does not say now is found out by the first statement that needs it.
    pub async fn refuse_unfit_key(&self) -> Result<(), KeyError> {
        let provider = self.inner.envelope.provider.clone();
        if matches!(provider, Provider::None) {
            return Ok(());
        }
        let tables: Vec<String> = self.inner.config.kms.keys.keys().cloned().collect();
        let describe = async move {
            for table in std::iter::once(None).chain(tables.iter().map(|table| Some(table.as_str()))) {
                provider.describe(table).await?;
            }
            Ok(())
        };
        let described = self.inner.envelope.runner.run(async move { tokio::time::timeout(AT_START, describe).await });
        match described.await {
            Some(Ok(Err(error @ (KmsError::Unsuitable(_) | KmsError::Config(_))))) => Err(error.into()),
            Some(Ok(Err(error))) => {
                tracing::warn!(%error, "KMS does not describe the key; statements that need it may fail");
                Ok(())
            }
            Some(Err(_)) => {
                tracing::warn!("KMS does not answer; statements that need it may fail");
                Ok(())
            }
            Some(Ok(Ok(_))) | None => Ok(()),
        }
    }

    /// Wraps and unwraps with KMS in every mode that a column uses, and counts the vault's rows. Makes
    /// nothing in the backend.
    pub async fn check(&self) -> Result<KeysReport, KeyError> {
        let inner = self.inner.clone();
        let run = async move {
            let config = &inner.config;
            let provider = &inner.envelope.provider;
            let mut report = KeysReport {
                provider: provider.name(),
                key: None,
                region: None,
                endpoint: config.kms.endpoint.clone(),
                modes: Vec::new(),
                latency: Duration::ZERO,
                data_keys: None,
                excess: Vec::new(),
            };
            if matches!(provider, Provider::None) {
                return Ok(report);
            }
            let described = provider.describe_everywhere().await?;
            report.key = described.first().map(|description| description.key.clone());
            let mut regions: Vec<&str> = Vec::new();
            for region in described.iter().filter_map(|found| found.region.as_deref()) {
                if !regions.contains(&region) {
                    regions.push(region);
                }
            }
            report.region = (!regions.is_empty()).then(|| regions.join(", "));
            for mode in [KmsMode::Envelope, KmsMode::Direct] {
                let tables = config.tables.iter().filter(|(_, table)| {
                    table.columns.values().any(|column| column.mode.unwrap_or(config.kms.mode) == mode)
                });
                let scopes = tables.map(|(name, table)| table.sealed_as.as_ref().unwrap_or(name).to_string());
                // One with each KMS key.
                let (own, common): (Vec<_>, Vec<_>) = scopes.partition(|scope| config.kms.keys.contains_key(scope));
                for scope in common.iter().take(1).chain(&own) {
                    let started = Instant::now();
                    let excess = round_trip(provider, mode, scope, &config.kms.encryption_context).await?;
                    report.latency = report.latency.max(started.elapsed());
                    let its_own = config.kms.keys.contains_key(scope).then(|| scope.clone());
                    report.excess.extend(excess.map(|excess| (its_own, excess)));
                    if !report.modes.contains(&mode) {
                        report.modes.push(mode);
                    }
                }
            }
            if report.modes.contains(&KmsMode::Envelope) {
                report.data_keys = inner.envelope.store.count().await?;
            }
            Ok(report)
        };
        self.inner.envelope.runner.run(run).await.unwrap_or(Err(KeyError::ShuttingDown))
    }
}

/// Answers what the role may do beyond its needs, where data keys are wrapped.
async fn round_trip(
    provider: &Provider,
    mode: KmsMode,
    table: &str,
    fixed: &std::collections::BTreeMap<String, String>,
) -> Result<Option<Excess>, KmsError> {
    match mode {
        KmsMode::Envelope => {
            // Id 0 is never given to a row.
            let context = EncryptionContext::data_key(table, 0, fixed);
            let wrapped = provider.generate_data_key_without_plaintext(&context).await?;
            let key = provider.decrypt(&context, &wrapped.blob).await?;
            if key.expose().len() != 32 {
                return Err(KmsError::InvalidCiphertext);
            }
            match provider {
                Provider::Aws(aws) => aws.excess(&context, &wrapped.blob).await.map(Some),
                _ => Ok(None),
            }
        }
        KmsMode::Direct => {
            let context = EncryptionContext::direct(table, fixed);
            let probe = Plaintext::new(b"sealwire check".to_vec());
            let blob = provider.encrypt(&context, &probe).await?;
            let opened = provider.decrypt(&context, &blob).await?;
            if opened.expose() == probe.expose() { Ok(None) } else { Err(KmsError::InvalidCiphertext) }
        }
    }
}
