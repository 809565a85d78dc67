//! How many values AES-256-GCM may seal with one data key. Its nonces are random, so every proxy counts against
//! one budget, far below the 2³² of NIST SP 800-38D: it reserves blocks of seals in the vault before it uses
//! them, so that a crash loses some and repeats none. Near the end the next version begins by itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Inner;
use super::cache::{TableKey, Which};
use super::error::KeyError;
use super::life::LifeError;
use super::vault::{STATE_ACTIVE, STATE_PENDING};

/// A block is this part of the budget, and no more than so many seals.
const BLOCK: (u64, u64) = (64, 1 << 16);
/// How long a renewal that failed waits, at most.
const RETRY: Duration = Duration::from_secs(60);

/// What this proxy may still seal with one data key.
#[derive(Default)]
pub struct Allowance {
    left: AtomicU64,
    /// The most that was ever reserved by all, as far as this proxy knows: a count that went back, by somebody's
    /// hand, a restored vault or a failover, goes on from there. Locked while more is asked for.
    reserved: tokio::sync::Mutex<u64>,
    renewing: AtomicBool,
}

impl Allowance {
    /// Takes one seal, if there is one at hand.
    pub fn take(&self) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// The allowances by id of the data key. They outlive the cached keys: what was reserved stays usable.
#[derive(Default)]
pub struct Allowances(Mutex<HashMap<u32, Arc<Allowance>>>);

impl Allowances {
    pub fn of(&self, id: u32) -> Arc<Allowance> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }
}

impl Inner {
    /// Takes one seal of `key`, the active one of `table`, reserving more where none is at hand. The key to seal
    /// with is the one that is answered: another, if `key` has no seals left and a newer version is active.
    pub(super) async fn take_seal(
        self: &Arc<Self>,
        table: &str,
        key: Arc<TableKey>,
    ) -> Result<Arc<TableKey>, KeyError> {
        match self.reserve(table, &key).await {
            Err(KeyError::Spent { .. }) => {}
            outcome => return outcome.map(|()| key),
        }
        let which = Which::Active(table.to_owned());
        self.envelope.refresh(which.clone()).await?;
        let newer = self.envelope.key(which, None).await?;
        // Without a newer one this says again that there is no seal left.
        self.reserve(table, &newer).await.map(|()| newer)
    }

    async fn reserve(self: &Arc<Self>, table: &str, key: &TableKey) -> Result<(), KeyError> {
        if key.allowance().take() {
            return Ok(());
        }
        let (this, table, id, version) = (self.clone(), table.to_owned(), key.id(), key.version());
        let allowance = key.allowance().clone();
        let run = async move {
            let mut known = allowance.reserved.lock().await;
            if allowance.take() {
                return Ok(());
            }
            let most = this.config.kms.seals_per_key;
            let block = (most / BLOCK.0).clamp(1, BLOCK.1);
            let reserved = this.envelope.store.reserve_seals(id, *known, block, most).await?;
            if reserved.is_none_or(|reserved| reserved >= most / 4 * 3) {
                this.renew_once(&table, id, &allowance);
            }
            match reserved {
                None => Err(KeyError::Spent { table, version }),
                Some(reserved) => {
                    *known = reserved;
                    // One of them is the caller's.
                    allowance.left.fetch_add(block.saturating_sub(1), Ordering::Relaxed);
                    Ok(())
                }
            }
        };
        self.envelope.runner.run(run).await.unwrap_or(Err(KeyError::ShuttingDown))
    }

    /// Leaves a renewal running, unless this proxy has one.
    fn renew_once(self: &Arc<Self>, table: &str, id: u32, allowance: &Arc<Allowance>) {
        if allowance.renewing.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::info!(table, id, "most of a data key's seals are reserved: its next version begins");
        let (this, table) = (Arc::downgrade(self), table.to_owned());
        let ttl = self.config.kms.cache.ttl;
        self.envelope.runner.spawn(async move {
            loop {
                let Some(inner) = this.upgrade() else { return };
                match inner.begin_renewal(&table, id).await {
                    // A newer version is active, by another proxy's doing or a person's.
                    Ok(false) => {
                        let _ = inner.envelope.refresh(Which::Active(table.clone())).await;
                        return;
                    }
                    Ok(true) => {
                        // Every proxy must have had the time to see it, whoever made it.
                        drop(inner);
                        tokio::time::sleep(ttl).await;
                        let Some(inner) = this.upgrade() else { return };
                        if let Err(error) = inner.activate_pending(&table).await {
                            tracing::debug!(table, %error, "the next version of a data key was activated by another");
                        }
                    }
                    Err(error) => {
                        tracing::warn!(table, %error, "the next version of a data key could not be made; trying again");
                        drop(inner);
                        tokio::time::sleep(ttl.min(RETRY)).await;
                    }
                }
            }
        });
    }

    /// Makes the version after `id` pending, if nobody has. False: one that is newer is active already.
    async fn begin_renewal(self: &Arc<Self>, table: &str, id: u32) -> Result<bool, LifeError> {
        let rows = self.envelope.store.rows(table, super::vault::PURPOSE_DATA).await?;
        match rows.first() {
            Some(newest) if newest.state == STATE_PENDING => Ok(true),
            Some(newest) if newest.state == STATE_ACTIVE && newest.id != id => Ok(false),
            _ => self.make_pending(table).await.map(|_| true),
        }
    }
}
