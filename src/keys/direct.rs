//! Direct mode: every value is encrypted and decrypted by KMS itself, several at once but never more than
//! `kms.concurrency` in the whole proxy.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use tokio::sync::{Semaphore, mpsc};

use super::context::EncryptionContext;
use super::error::KeyError;
use super::flights::{Flights, in_order};
use super::plaintexts::{Denials, Fingerprint, Plaintexts};
use super::provider::{KmsError, Provider, Runner};
use crate::catalog::ProtectedColumn;
use crate::config::{EmptyPolicy, Kms, KmsMode, PlaintextCache, Search};
use crate::seal::derive::push_field;
use crate::seal::direct::{MAX_PLAINTEXT, aws_blob, decode, encode};
use crate::seal::{Plaintext, SealError};

/// What one result may remember of its values.
const MEMO: PlaintextCache = PlaintextCache { entries: 4096, bytes: 1 << 20, ttl: std::time::Duration::from_secs(60) };

/// The values of one result: what repeats in it is opened once.
#[derive(Clone)]
pub struct Memo(Arc<Plaintexts>);

#[derive(Clone)]
pub struct Direct {
    shared: Arc<Shared>,
    runner: Runner,
    static_pairs: BTreeMap<String, String>,
    /// Contexts of values that an application encrypted itself.
    accepted: Vec<EncryptionContext>,
    concurrency: usize,
}

struct Shared {
    provider: Provider,
    permits: Semaphore,
    flights: Flights,
    /// Beyond a result; off unless configured.
    cache: Option<Plaintexts>,
    denials: Denials,
}

impl Direct {
    pub fn new(provider: Provider, runner: Runner, kms: &Kms, denials: Denials) -> Self {
        let concurrency = kms.concurrency.clamp(1, 1000);
        let shared = Shared {
            provider,
            permits: Semaphore::new(concurrency),
            flights: Flights::default(),
            cache: kms.plaintext_cache.map(|limits| Plaintexts::new(limits, denials.clone())),
            denials,
        };
        Self {
            shared: Arc::new(shared),
            runner,
            static_pairs: kms.encryption_context.clone(),
            accepted: kms.accept_contexts.iter().cloned().map(EncryptionContext::new).collect(),
            concurrency,
        }
    }

    pub fn memo(&self) -> Memo {
        Memo(Arc::new(Plaintexts::new(MEMO, self.shared.denials.clone())))
    }

    /// Wipes opened values whose time is over.
    pub fn sweep(&self) {
        if let Some(cache) = &self.shared.cache {
            cache.sweep();
        }
    }

    /// How long opened values are kept beyond a result, if they are.
    pub fn cached_for(&self) -> Option<std::time::Duration> {
        self.shared.cache.as_ref().map(Plaintexts::ttl)
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

    /// Whether a stored value of an enveloped column is one that an application encrypted itself, to be opened
    /// under [`Kms::accept_contexts`]. Not in searchable columns, where a comparison would not find it, nor in those
    /// that bind values to rows, of which it knows nothing.
    pub fn is_foreign(&self, column: &ProtectedColumn, stored: &[u8]) -> bool {
        column.mode == KmsMode::Envelope
            && column.search == Search::None
            && column.bind.is_empty()
            && !self.accepted.is_empty()
            && aws_blob(stored, column.physical).is_some()
    }

    /// Seals values that [`Direct::seal_now`] had no answer for, answers in their order.
    pub fn seal(&self, values: Vec<(Arc<ProtectedColumn>, Plaintext)>) -> mpsc::Receiver<Result<Vec<u8>, KeyError>> {
        let jobs = values.into_iter().map(|(column, value)| {
            let context = EncryptionContext::direct(&column.scope.table, &self.static_pairs);
            let shared = self.shared.clone();
            async move {
                let blob = shared.encrypt(&context, &value).await?;
                Ok(encode(blob, column.physical))
            }
        });
        in_order(&self.runner, jobs.collect(), self.concurrency)
    }

    /// Opens values that [`Direct::open_now`] had no answer for or that [`Direct::is_foreign`], answers in their
    /// order.
    pub fn open(
        &self,
        values: Vec<(Arc<ProtectedColumn>, Vec<u8>)>,
        memo: &Memo,
    ) -> mpsc::Receiver<Result<Plaintext, KeyError>> {
        let jobs = values.into_iter().map(|(column, stored)| {
            let own = EncryptionContext::direct(&column.scope.table, &self.static_pairs);
            let own = (column.mode == KmsMode::Direct).then_some(own);
            let contexts: Vec<_> = own.into_iter().chain(self.accepted.iter().cloned()).collect();
            let (shared, memo) = (self.shared.clone(), memo.clone());
            async move {
                let fail = |error| KeyError::opening(label(&column), error);
                let blob = decode(&stored, column.physical).map_err(fail)?;
                shared.open(contexts, blob, &memo).await.map_err(|error| match error {
                    KmsError::InvalidCiphertext => fail(SealError::Authentication),
                    error => error.into(),
                })
            }
        });
        in_order(&self.runner, jobs.collect(), self.concurrency)
    }
}

impl Shared {
    async fn encrypt(&self, context: &EncryptionContext, value: &Plaintext) -> Result<Vec<u8>, KmsError> {
        let _permit = self.permits.acquire().await.map_err(|_| stopped())?;
        self.noted(self.provider.encrypt(context, value).await)
    }

    /// From what is kept, from another's call for the same, or by one of its own.
    async fn open(&self, contexts: Vec<EncryptionContext>, blob: Vec<u8>, memo: &Memo) -> Result<Plaintext, KmsError> {
        let key = fingerprint(&contexts, &blob);
        if let Some(value) = memo.0.get(&key).or_else(|| self.cache.as_ref()?.get(&key)) {
            return Ok(value);
        }
        let denials = self.denials.count();
        let call = async {
            let value = self.decrypt(&contexts, &blob).await?;
            // Before the call counts as ended, so that whoever asks next finds the one or the other.
            memo.0.put(key, &value, denials);
            if let Some(cache) = &self.cache {
                cache.put(key, &value, denials);
            }
            Ok(value)
        };
        let outcome = self.flights.join(key, call).await;
        if let Ok(value) = &outcome {
            memo.0.put(key, value, denials);
        }
        outcome
    }

    /// Under one context after the other: KMS says no more of a wrong one than that the blob is invalid.
    async fn decrypt(&self, contexts: &[EncryptionContext], blob: &[u8]) -> Result<Plaintext, KmsError> {
        for context in contexts {
            let _permit = self.permits.acquire().await.map_err(|_| stopped())?;
            match self.noted(self.provider.decrypt(context, blob).await) {
                Err(KmsError::InvalidCiphertext) => {}
                outcome => return outcome,
            }
        }
        Err(KmsError::InvalidCiphertext)
    }

    fn noted<T>(&self, outcome: Result<T, KmsError>) -> Result<T, KmsError> {
        if matches!(outcome, Err(KmsError::Denied { .. })) {
            self.denials.note();
            if let Some(cache) = &self.cache {
                cache.sweep();
            }
        }
        outcome
    }
}

fn fingerprint(contexts: &[EncryptionContext], blob: &[u8]) -> Fingerprint {
    let mut message = Vec::with_capacity(blob.len().saturating_add(128));
    for context in contexts {
        push_field(&mut message, &context.canonical());
    }
    push_field(&mut message, b"");
    push_field(&mut message, blob);
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(digest::digest(&digest::SHA256, &message).as_ref());
    fingerprint
}

fn stopped() -> KmsError {
    KmsError::Unavailable("the proxy is shutting down".into())
}

/// `schema.table.column`, for messages.
pub(super) fn label(column: &ProtectedColumn) -> String {
    format!("{}.{}", column.table, column.name)
}
