//! Opened direct values that are kept for a while: within one result, so that a value that repeats is asked
//! for once; and beyond it where `kms.plaintext_cache` says so. Not a crate's cache: those keep what was
//! evicted until their next housekeeping, and these are plaintexts, to be wiped when their time is over.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::cache::{millis, now};
use crate::config::PlaintextCache;
use crate::seal::Plaintext;

/// Of a ciphertext and the encryption contexts that it may be opened under: SHA-256.
pub type Fingerprint = [u8; 32];

/// What an entry costs beside its plaintext, in bytes.
const OVERHEAD: usize = 128;

/// How often KMS has definitely said no. What was opened before the last time is not handed out again.
#[derive(Clone, Default)]
pub struct Denials(Arc<AtomicU64>);

impl Denials {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn note(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Entry {
    value: Plaintext,
    since: u64,
}

#[derive(Default)]
struct Held {
    entries: HashMap<Fingerprint, Entry>,
    /// Oldest first: what is evicted next, and what expires next.
    order: VecDeque<Fingerprint>,
    bytes: usize,
    /// The denials there were when the oldest entry was made.
    denials: u64,
}

pub struct Plaintexts {
    limits: PlaintextCache,
    denials: Denials,
    held: Mutex<Held>,
}

impl Plaintexts {
    pub fn new(limits: PlaintextCache, denials: Denials) -> Self {
        let held = Mutex::new(Held { denials: denials.count(), ..Held::default() });
        Self { limits, denials, held }
    }

    pub fn get(&self, key: &Fingerprint) -> Option<Plaintext> {
        self.get_at(key, now())
    }

    fn get_at(&self, key: &Fingerprint, now: u64) -> Option<Plaintext> {
        self.current(now).entries.get(key).map(|entry| entry.value.clone())
    }

    /// Keeps a value that KMS opened. `denials`: their count when KMS was asked.
    pub fn put(&self, key: Fingerprint, value: &Plaintext, denials: u64) {
        self.put_at(key, value, denials, now());
    }

    fn put_at(&self, key: Fingerprint, value: &Plaintext, denials: u64, now: u64) {
        let size = value.expose().len().saturating_add(OVERHEAD);
        let mut held = self.current(now);
        if held.denials != denials || size > self.limits.bytes || held.entries.contains_key(&key) {
            return;
        }
        while held.order.len() >= self.limits.entries.max(1) || held.bytes.saturating_add(size) > self.limits.bytes {
            held.drop_oldest();
        }
        held.bytes = held.bytes.saturating_add(size);
        held.order.push_back(key);
        held.entries.insert(key, Entry { value: value.clone(), since: now });
    }

    /// Wipes what is too old or was opened before a denial.
    pub fn sweep(&self) {
        drop(self.current(now()));
    }

    pub fn ttl(&self) -> Duration {
        self.limits.ttl
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).order.len()
    }

    /// With only what may be handed out at `now`.
    fn current(&self, now: u64) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let denials = self.denials.count();
        if held.denials != denials {
            *held = Held { denials, ..Held::default() };
        }
        let ttl = millis(self.limits.ttl);
        let old = |held: &Held| {
            let oldest = held.order.front().and_then(|key| held.entries.get(key));
            oldest.is_some_and(|entry| now.saturating_sub(entry.since) >= ttl)
        };
        while old(&held) {
            held.drop_oldest();
        }
        held
    }
}

impl Held {
    fn drop_oldest(&mut self) {
        let Some(entry) = self.order.pop_front().and_then(|key| self.entries.remove(&key)) else { return };
        self.bytes = self.bytes.saturating_sub(entry.value.expose().len().saturating_add(OVERHEAD));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plaintexts(entries: usize, bytes: usize) -> (Plaintexts, Denials) {
        let denials = Denials::default();
        (Plaintexts::new(PlaintextCache { entries, bytes, ttl: Duration::from_secs(10) }, denials.clone()), denials)
    }

    fn value(len: usize) -> Plaintext {
        Plaintext::new(vec![b'v'; len])
    }

    #[test]
    fn a_value_is_kept_for_its_time_and_not_a_millisecond_longer() {
        let (kept, _) = plaintexts(10, 10_000);
        kept.put_at([1; 32], &value(5), 0, 1000);
        assert!(kept.get_at(&[1; 32], 10_999).is_some());
        assert!(kept.get_at(&[2; 32], 10_999).is_none());
        assert!(kept.get_at(&[1; 32], 11_000).is_none());
        assert_eq!(kept.len(), 0, "it is dropped, not only hidden");
    }

    #[test]
    fn a_second_put_does_not_prolong_a_value() {
        let (kept, _) = plaintexts(10, 10_000);
        kept.put_at([1; 32], &value(5), 0, 0);
        kept.put_at([1; 32], &value(5), 0, 9000);
        assert!(kept.get_at(&[1; 32], 10_000).is_none());
    }

    #[test]
    fn neither_the_entries_nor_the_bytes_are_exceeded() {
        let (kept, _) = plaintexts(3, 10_000);
        for number in 0..9u8 {
            kept.put_at([number; 32], &value(1), 0, 0);
            assert!(kept.len() <= 3);
        }
        assert!(kept.get_at(&[5; 32], 1).is_none() && kept.get_at(&[6; 32], 1).is_some());
        let (kept, _) = plaintexts(100, 1000);
        for number in 0..9u8 {
            kept.put_at([number; 32], &value(300), 0, 0);
            assert!(kept.held.lock().unwrap().bytes <= 1000);
        }
        assert_eq!(kept.len(), 2);
        kept.put_at([99; 32], &value(1000), 0, 0);
        assert!(kept.get_at(&[99; 32], 1).is_none(), "larger than all of it");
        assert_eq!(kept.len(), 2);
    }

    #[test]
    fn a_denial_empties_it_and_what_was_asked_before_is_not_kept_after() {
        let (kept, denials) = plaintexts(10, 10_000);
        kept.put_at([1; 32], &value(5), 0, 0);
        denials.note();
        kept.put_at([2; 32], &value(5), 0, 1);
        assert!(kept.get_at(&[1; 32], 2).is_none() && kept.get_at(&[2; 32], 2).is_none());
        assert_eq!(kept.len(), 0);
        kept.put_at([3; 32], &value(5), 1, 3);
        assert!(kept.get_at(&[3; 32], 4).is_some());
    }
}
