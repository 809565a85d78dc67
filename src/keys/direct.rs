//! Direct mode: every value is encrypted and decrypted by KMS itself, many at once but never more than
//! `kms.concurrency`.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::context::EncryptionContext;
use super::error::KeyError;
use super::provider::{KmsError, Provider, Runner};
use crate::catalog::ProtectedColumn;
use crate::config::{EmptyPolicy, Kms};
use crate::seal::direct::{MAX_PLAINTEXT, decode, encode};
use crate::seal::{Plaintext, SealError};

pub struct Direct {
    provider: Provider,
    runner: Runner,
    permits: Arc<Semaphore>,
    static_pairs: BTreeMap<String, String>,
    /// Contexts of values that an application encrypted itself.
    accepted: Vec<EncryptionContext>,
}

impl Direct {
    pub fn new(provider: Provider, runner: Runner, kms: &Kms) -> Self {
        Self {
            provider,
            runner,
            permits: Arc::new(Semaphore::new(kms.concurrency.clamp(1, 1000))),
            static_pairs: kms.encryption_context.clone(),
            accepted: kms.accept_contexts.iter().cloned().map(EncryptionContext::new).collect(),
        }
    }

    /// What can be said of a value to seal without asking KMS.
    pub fn seal_now(column: &ProtectedColumn, value: &Plaintext) -> Option<Result<Vec<u8>, KeyError>> {
        match (value.expose().len(), column.empty) {
            (0, EmptyPolicy::AsIs) => Some(Ok(Vec::new())),
            (0, EmptyPolicy::Refuse) => Some(Err(KeyError::Empty { column: label(column) })),
            (len, _) if len > MAX_PLAINTEXT => Some(Err(KeyError::TooLongForKms { column: label(column) })),
            _ => None,
        }
    }

    /// What can be said of a stored value without asking KMS.
    pub fn open_now(column: &ProtectedColumn, stored: &[u8]) -> Option<Result<Plaintext, KeyError>> {
        if stored.is_empty() && column.empty == EmptyPolicy::AsIs {
            return Some(Ok(Plaintext::new(Vec::new())));
        }
        decode(stored, column.physical).err().map(|error| Err(KeyError::opening(label(column), error)))
    }

    /// Seals values that [`Direct::seal_now`] had no answer for. The numbers come back with the values.
    pub async fn seal(
        &self,
        values: Vec<(usize, Arc<ProtectedColumn>, Plaintext)>,
    ) -> Result<Vec<(usize, Vec<u8>)>, KeyError> {
        let jobs = values.into_iter().map(|(at, column, value)| {
            let context = EncryptionContext::direct(&column.scope.table, &self.static_pairs);
            let provider = self.provider.clone();
            async move {
                let blob = provider.encrypt(&context, &value).await?;
                Ok((at, encode(blob, column.physical)))
            }
        });
        self.all(jobs.collect()).await
    }

    /// Opens values that [`Direct::open_now`] had no answer for.
    pub async fn open(
        &self,
        values: Vec<(usize, Arc<ProtectedColumn>, Vec<u8>)>,
    ) -> Result<Vec<(usize, Plaintext)>, KeyError> {
        let jobs = values.into_iter().map(|(at, column, stored)| {
            let mut contexts = vec![EncryptionContext::direct(&column.scope.table, &self.static_pairs)];
            contexts.extend(self.accepted.iter().cloned());
            let provider = self.provider.clone();
            async move {
                let blob =
                    decode(&stored, column.physical).map_err(|error| KeyError::opening(label(&column), error))?;
                for context in &contexts {
                    match provider.decrypt(context, &blob).await {
                        Ok(value) => return Ok((at, value)),
                        Err(KmsError::InvalidCiphertext) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(KeyError::opening(label(&column), SealError::Authentication))
            }
        });
        self.all(jobs.collect()).await
    }

    /// Runs `jobs` on the control runtime; the first failure ends them all.
    async fn all<T, F>(&self, jobs: Vec<F>) -> Result<Vec<T>, KeyError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, KeyError>> + Send + 'static,
    {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let permits = self.permits.clone();
        let run = async move {
            let mut running = JoinSet::new();
            let mut done = Vec::with_capacity(jobs.len());
            for job in jobs {
                let permit = permits.clone().acquire_owned().await.map_err(|_| KeyError::ShuttingDown)?;
                running.spawn(async move {
                    let outcome = job.await;
                    drop(permit);
                    outcome
                });
                while let Some(outcome) = running.try_join_next() {
                    done.push(outcome.map_err(|_| KeyError::ShuttingDown)??);
                }
            }
            while let Some(outcome) = running.join_next().await {
                done.push(outcome.map_err(|_| KeyError::ShuttingDown)??);
            }
            Ok(done)
        };
        self.runner.run(run).await.unwrap_or(Err(KeyError::ShuttingDown))
    }
}

/// `schema.table.column`, for messages.
pub(super) fn label(column: &ProtectedColumn) -> String {
    format!("{}.{}", column.table, column.name)
}
