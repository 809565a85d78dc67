//! Unwrapped data keys in memory: how long each may be used, and when to ask KMS again. The fast path
//! reads one atomic pointer and takes no lock that anything waits under. Loading is in [`super::envelope`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::budget::{Allowance, Allowances};
use crate::seal::{ColumnKey, DataKey, Scope, SealError, SearchKey};

/// How long a failed or running refresh is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Which key is asked for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Which {
    /// The one that seals new values of a table (`schema.table`).
    Active(String),
    /// The one with that id in the vault, of that table.
    Id(String, u32),
    /// The one that makes the nonces of a table's searchable columns.
    Search(String),
}

impl Which {
    pub fn table(&self) -> &str {
        match self {
            Which::Active(table) | Which::Id(table, _) | Which::Search(table) => table,
        }
    }

    /// As metrics call it.
    pub fn purpose(&self) -> &'static str {
        match self {
            Which::Active(_) => "seal",
            Which::Id(..) => "open",
            Which::Search(_) => "search",
        }
    }
}

/// A key that KMS unwrapped just now.
#[derive(Clone)]
pub struct Unwrapped {
    pub id: u32,
    /// Of its scope and purpose, from 1.
    pub version: u32,
    pub key: DataKey,
}

/// One unwrapped key of a table and the columns' keys derived from it. Wiped on drop, never printed.
pub struct TableKey {
    id: u32,
    version: u32,
    allowance: Arc<Allowance>,
    data_key: DataKey,
    columns: RwLock<HashMap<String, Arc<ColumnKey>>>,
    searches: RwLock<HashMap<String, Arc<SearchKey>>>,
    /// When it was unwrapped, in milliseconds of [`now`].
    loaded: u64,
    /// Until then the key is used without a thought of refreshing it.
    next_try: AtomicU64,
    /// The last refresh failed in a way that may pass.
    failing: AtomicBool,
    /// KMS denied another key since this one was unwrapped: to be asked for before it is used again.
    suspect: AtomicBool,
}

impl TableKey {
    pub fn id(&self) -> u32 {
        self.id
    }

    pub fn version(&self) -> u32 {
        self.version
    }

    /// What AES-256-GCM may still seal with it.
    pub fn allowance(&self) -> &Arc<Allowance> {
        &self.allowance
    }

    /// What seals and opens the values of one column, derived at first use.
    pub fn column(&self, scope: &Scope) -> Result<Arc<ColumnKey>, SealError> {
        derived(&self.columns, scope, || ColumnKey::derive(&self.data_key, self.id, scope))
    }

    /// What makes the nonces of one column, derived at first use. For keys of [`Which::Search`].
    pub fn search(&self, scope: &Scope) -> Result<Arc<SearchKey>, SealError> {
        derived(&self.searches, scope, || SearchKey::derive(&self.data_key, self.version, scope))
    }
}

fn derived<T>(
    known: &RwLock<HashMap<String, Arc<T>>>,
    scope: &Scope,
    derive: impl FnOnce() -> Result<T, SealError>,
) -> Result<Arc<T>, SealError> {
    let found = known.read().unwrap_or_else(PoisonError::into_inner).get(&scope.column).cloned();
    if let Some(key) = found {
        return Ok(key);
    }
    let key = Arc::new(derive()?);
    known.write().unwrap_or_else(PoisonError::into_inner).insert(scope.column.clone(), key.clone());
    Ok(key)
}

/// What to do with a key that is at hand.
pub enum Advice {
    Use(Arc<TableKey>),
    /// Use it, and refresh it in the background.
    UseAndRefresh(Arc<TableKey>),
    /// Refresh first; if that fails in a way that may pass, use this one still.
    RefreshFirst(Arc<TableKey>),
    /// There is none, or it is older than `max_stale`.
    Load,
}

#[derive(Clone, Default)]
struct Table {
    active: Option<Arc<TableKey>>,
    search: Option<Arc<TableKey>>,
    by_id: HashMap<u32, Arc<TableKey>>,
}

impl Table {
    fn newest(&self) -> impl Iterator<Item = &Arc<TableKey>> {
        self.active.iter().chain(&self.search)
    }
}

pub struct Cache {
    tables: ArcSwap<HashMap<String, Table>>,
    allowances: Allowances,
    ttl: u64,
    max_stale: u64,
}

impl Cache {
    pub fn new(ttl: Duration, max_stale: Duration) -> Self {
        Self {
            tables: ArcSwap::default(),
            allowances: Allowances::default(),
            ttl: millis(ttl),
            max_stale: millis(max_stale),
        }
    }

    fn find(&self, which: &Which) -> Option<Arc<TableKey>> {
        let tables = self.tables.load();
        match which {
            Which::Active(table) => tables.get(table)?.active.clone(),
            Which::Id(table, id) => tables.get(table)?.by_id.get(id).cloned(),
            Which::Search(table) => tables.get(table)?.search.clone(),
        }
    }

    /// The key that makes nonces for `table`, if it may be used as it is.
    pub fn search_now(&self, table: &str) -> Option<Arc<TableKey>> {
        let tables = self.tables.load();
        tables.get(table)?.search.as_ref().filter(|key| self.usable(key, now())).cloned()
    }

    /// The key that seals for `table`, if it may be used as it is.
    pub fn active_now(&self, table: &str) -> Option<Arc<TableKey>> {
        let tables = self.tables.load();
        tables.get(table)?.active.as_ref().filter(|key| self.usable(key, now())).cloned()
    }

    /// The key `id` of `table`, if it may be used as it is.
    pub fn id_now(&self, table: &str, id: u32) -> Option<Arc<TableKey>> {
        let tables = self.tables.load();
        tables.get(table)?.by_id.get(&id).filter(|key| self.usable(key, now())).cloned()
    }

    fn usable(&self, key: &TableKey, now: u64) -> bool {
        now.saturating_sub(key.loaded) < self.max_stale && now < key.next_try.load(Ordering::Relaxed)
    }

    pub fn advise(&self, which: &Which) -> Advice {
        self.advise_at(which, now())
    }

    fn advise_at(&self, which: &Which, now: u64) -> Advice {
        let Some(key) = self.find(which) else { return Advice::Load };
        let age = now.saturating_sub(key.loaded);
        if age >= self.max_stale {
            return Advice::Load;
        }
        if now < key.next_try.load(Ordering::Relaxed) {
            return Advice::Use(key);
        }
        if key.suspect.load(Ordering::Relaxed) {
            return Advice::RefreshFirst(key);
        }
        if key.failing.load(Ordering::Relaxed) {
            key.next_try.store(now.saturating_add(millis(RETRY_AFTER)), Ordering::Relaxed);
            return Advice::UseAndRefresh(key);
        }
        if age < self.ttl {
            let again = now.saturating_add(millis(RETRY_AFTER)).min(key.loaded.saturating_add(self.ttl));
            key.next_try.store(again, Ordering::Relaxed);
            return Advice::UseAndRefresh(key);
        }
        Advice::RefreshFirst(key)
    }

    /// Takes a key that KMS unwrapped just now, in answer to `which`.
    pub fn put(&self, which: &Which, unwrapped: Unwrapped) {
        self.put_at(which, unwrapped, now());
    }

    fn put_at(&self, which: &Which, unwrapped: Unwrapped, now: u64) {
        let Unwrapped { id, version, key } = unwrapped;
        let ahead = self.ttl.saturating_mul(3) / 4;
        let key = Arc::new(TableKey {
            id,
            version,
            allowance: self.allowances.of(id),
            data_key: key,
            columns: RwLock::default(),
            searches: RwLock::default(),
            loaded: now,
            next_try: AtomicU64::new(now.saturating_add(ahead)),
            failing: AtomicBool::new(false),
            suspect: AtomicBool::new(false),
        });
        self.tables.rcu(|tables| {
            let mut tables = HashMap::clone(tables);
            let table = tables.entry(which.table().to_owned()).or_default();
            match which {
                // Never found by its id: no value names a search key as the key that sealed it.
                Which::Search(_) => table.search = Some(key.clone()),
                Which::Active(_) => {
                    table.by_id.insert(id, key.clone());
                    table.active = Some(key.clone());
                }
                Which::Id(..) => {
                    table.by_id.insert(id, key.clone());
                }
            }
            tables
        });
    }

    /// Forgets a key at once: KMS or the vault says that it must not be used.
    pub fn purge(&self, which: &Which) {
        let id = match which {
            Which::Active(_) | Which::Search(_) => self.find(which).map(|key| key.id),
            Which::Id(_, id) => Some(*id),
        };
        self.tables.rcu(|tables| {
            let mut tables = HashMap::clone(tables);
            if let Some(table) = tables.get_mut(which.table()) {
                if matches!(which, Which::Search(_)) {
                    table.search = None;
                    return tables;
                }
                if let Some(id) = id {
                    table.by_id.remove(&id);
                }
                if matches!(which, Which::Active(_)) || table.active.as_ref().map(|key| key.id) == id {
                    table.active = None;
                }
            }
            tables
        });
    }

    /// Forgets which key seals, and leaves it to open what it has sealed.
    pub fn stop_sealing(&self, which: &Which) {
        self.tables.rcu(|tables| {
            let mut tables = HashMap::clone(tables);
            if let Some(table) = tables.get_mut(which.table()) {
                match which {
                    Which::Active(_) => table.active = None,
                    Which::Search(_) => table.search = None,
                    Which::Id(..) => {}
                }
            }
            tables
        });
    }

    /// Notes that refreshing failed in a way that may pass.
    pub fn failed(&self, which: &Which) {
        if let Some(key) = self.find(which) {
            key.suspect.store(false, Ordering::Relaxed);
            key.failing.store(true, Ordering::Relaxed);
            key.next_try.store(now().saturating_add(millis(RETRY_AFTER)), Ordering::Relaxed);
        }
    }

    /// KMS denied a key. What was denied is often more than that one, so every key that was not unwrapped
    /// just now is asked for again before its next use.
    pub fn suspect_all(&self) {
        self.suspect_all_at(now());
    }

    fn suspect_all_at(&self, now: u64) {
        for table in self.tables.load().values() {
            for key in table.newest().chain(table.by_id.values()) {
                if now.saturating_sub(key.loaded) >= millis(RETRY_AFTER).min(self.ttl / 4) {
                    key.suspect.store(true, Ordering::Relaxed);
                    key.next_try.store(0, Ordering::Relaxed);
                }
            }
        }
    }

    /// How many keys are held.
    pub fn len(&self) -> usize {
        self.tables.load().values().map(|table| table.by_id.len().saturating_add(table.search.iter().len())).sum()
    }

    /// Drops what is too old to be used by anyone.
    pub fn sweep(&self) {
        self.sweep_at(now());
    }

    fn sweep_at(&self, now: u64) {
        let old = |key: &TableKey| now.saturating_sub(key.loaded) >= self.max_stale;
        let any = self
            .tables
            .load()
            .values()
            .any(|table| table.newest().any(|key| old(key)) || table.by_id.values().any(|key| old(key)));
        if any {
            self.tables.rcu(|tables| {
                let mut tables = HashMap::clone(tables);
                for table in tables.values_mut() {
                    table.by_id.retain(|_, key| !old(key));
                    table.active.take_if(|key| old(key));
                    table.search.take_if(|key| old(key));
                }
                tables
            });
        }
    }
}

pub(in crate::keys) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds of a clock that never goes back and counts the time a machine sleeps.
pub(in crate::keys) fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000;
    seconds.saturating_mul(1000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwrapped(id: u32) -> Unwrapped {
        Unwrapped { id, version: 1, key: DataKey::new(&[1; 32]).unwrap() }
    }

    fn cache() -> (Cache, Which) {
        let cache = Cache::new(Duration::from_secs(100), Duration::from_secs(1000));
        let which = Which::Active("shop.users".into());
        cache.put_at(&which, unwrapped(7), 0);
        (cache, which)
    }

    #[test]
    fn a_denial_of_one_key_has_the_others_asked_for_again() {
        let (cache, _) = cache();
        let other = Which::Active("shop.orders".into());
        cache.put_at(&other, unwrapped(8), 19_500);
        cache.suspect_all_at(20_000);
        assert!(matches!(cache.advise_at(&Which::Id("shop.users".into(), 7), 20_001), Advice::RefreshFirst(_)));
        assert!(matches!(cache.advise_at(&other, 20_001), Advice::Use(_)), "it was asked for just now");
        cache.put_at(&Which::Id("shop.users".into(), 7), unwrapped(7), 20_002);
        assert!(matches!(cache.advise_at(&Which::Id("shop.users".into(), 7), 20_003), Advice::Use(_)));
    }

    #[test]
    fn what_is_too_old_is_dropped_without_being_asked_for() {
        let (cache, which) = cache();
        cache.sweep_at(999_999);
        assert_eq!(cache.len(), 1);
        cache.sweep_at(1_000_000);
        assert_eq!(cache.len(), 0);
        assert!(cache.find(&which).is_none());
    }

    #[test]
    fn a_key_is_used_then_refreshed_ahead_then_waited_for_then_gone() {
        let (cache, which) = cache();
        assert!(matches!(cache.advise_at(&which, 74_000), Advice::Use(_)));
        assert!(matches!(cache.advise_at(&which, 80_000), Advice::UseAndRefresh(_)));
        assert!(matches!(cache.advise_at(&which, 80_001), Advice::Use(_)), "one refresh at a time");
        assert!(matches!(cache.advise_at(&which, 100_000), Advice::RefreshFirst(_)));
        assert!(matches!(cache.advise_at(&which, 1_000_000), Advice::Load));
    }

    #[test]
    fn while_refreshing_fails_a_key_serves_up_to_max_stale_and_not_longer() {
        let (cache, which) = cache();
        cache.find(&which).unwrap().failing.store(true, Ordering::Relaxed);
        assert!(matches!(cache.advise_at(&which, 500_000), Advice::UseAndRefresh(_)));
        assert!(matches!(cache.advise_at(&which, 505_000), Advice::Use(_)));
        assert!(matches!(cache.advise_at(&which, 510_001), Advice::UseAndRefresh(_)));
        assert!(matches!(cache.advise_at(&which, 1_000_000), Advice::Load));
    }

    #[test]
    fn a_search_key_is_kept_and_purged_apart_from_the_keys_that_seal() {
        let (cache, active) = cache();
        let search = Which::Search("shop.users".into());
        assert!(cache.find(&search).is_none());
        cache.put_at(&search, unwrapped(9), 0);
        assert!(cache.find(&search).is_some());
        assert!(cache.find(&Which::Id("shop.users".into(), 9)).is_none(), "it opens nothing");
        cache.purge(&search);
        assert!(cache.find(&search).is_none() && cache.find(&active).is_some());
    }

    #[test]
    fn a_purged_key_is_gone_for_sealing_and_opening() {
        for which in [Which::Active("shop.users".into()), Which::Id("shop.users".into(), 7)] {
            let (cache, active) = cache();
            cache.purge(&which);
            assert!(cache.find(&active).is_none());
            assert!(cache.find(&Which::Id("shop.users".into(), 7)).is_none());
        }
    }
}
