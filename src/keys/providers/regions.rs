//! The regions that a KMS key is called in: in the configured order, without those that did not answer a moment
//! ago, and never past a denial. Only multi-Region keys have more than one.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kms::Client;
use tokio::sync::OnceCell;

use super::connect::{Settings, connect};
use crate::keys::cache::{millis, now};
use crate::keys::context::EncryptionContext;
use crate::keys::provider::KmsError;

/// How long a region that failed is left alone. Then one call tries it, and the others wait for the outcome
/// elsewhere.
const LEFT_ALONE: Duration = Duration::from_secs(10);
/// How long a region is waited for when another may answer; with the SDK's retries.
const PATIENCE: Duration = Duration::from_millis(2500);
/// Denied contexts that are remembered one by one.
const MAX_DENIED: usize = 10_000;

/// One region and what is known of it.
pub struct Place {
    /// `None`: what the SDK's chain says.
    pub region: Option<String>,
    endpoint: Option<String>,
    /// Made at the first call, on the runtime that makes it.
    client: OnceCell<Client>,
    health: Health,
}

impl Place {
    pub fn new(region: Option<String>, endpoint: Option<String>) -> Self {
        Self { region, endpoint, client: OnceCell::new(), health: Health::default() }
    }

    pub async fn client(&self, settings: &Settings) -> Result<&Client, KmsError> {
        let connecting = || connect(settings, self.region.as_deref(), self.endpoint.as_deref());
        Box::pin(self.client.get_or_try_init(connecting)).await
    }
}

/// Calls `key` in one place after the other, until one answers. A definite answer is final, whether it is yes or
/// no: a denial in one region holds for all.
pub async fn in_turn<'p, T, F>(
    places: &[&'p Place],
    key: &str,
    context: Option<&EncryptionContext>,
    call: impl Fn(&'p Place) -> F,
) -> Result<T, KmsError>
where
    F: Future<Output = Result<T, KmsError>>,
{
    if let [only] = places {
        return call(only).await;
    }
    let context = context.map(EncryptionContext::canonical);
    let denies = |place: &Place| place.health.denies(key, context.as_deref());
    let mut turn: Vec<&Place> =
        places.iter().copied().filter(|place| denies(place) || place.health.admits(now())).collect();
    if turn.is_empty() {
        turn = places.to_vec();
    }
    let mut failed = KmsError::Config("no region is configured".into());
    let last = turn.len().saturating_sub(1);
    for (at, place) in turn.into_iter().enumerate() {
        let bound = denies(place);
        let outcome = if at == last || bound {
            call(place).await
        } else {
            let slow = || KmsError::Unavailable(format!("{} does not answer", place.name()));
            tokio::time::timeout(PATIENCE, call(place)).await.unwrap_or_else(|_| Err(slow()))
        };
        match outcome {
            Err(error @ KmsError::Unavailable(_)) => {
                place.health.failed(now());
                if bound {
                    return Err(error);
                }
                if at != last {
                    tracing::warn!(region = place.name(), %error, "KMS fails in a region; the next one is called");
                }
                failed = error;
            }
            Err(KmsError::Denied { code, detail }) => {
                place.health.denied(&code, key, context.as_deref());
                return Err(KmsError::Denied { code, detail: format!("{detail} ({})", place.name()) });
            }
            outcome => {
                place.health.answered(outcome.is_ok(), key, context.as_deref());
                return outcome;
            }
        }
    }
    Err(failed)
}

impl Place {
    fn name(&self) -> &str {
        self.region.as_deref().unwrap_or("the default region")
    }
}

#[derive(Default)]
struct Health {
    /// Until then it is left alone, in milliseconds of [`now`]; 0: it works.
    down_until: AtomicU64,
    denied: Mutex<Denied>,
}

/// What was definitely denied and not allowed again since. While it is, no other region is asked in its place.
#[derive(Default)]
struct Denied {
    /// Keys themselves, as configured: disabled, pending deletion, gone.
    keys: HashSet<String>,
    contexts: HashSet<Vec<u8>>,
}

impl Health {
    /// Whether a call may go there. After a failure one call in [`LEFT_ALONE`] may.
    fn admits(&self, now: u64) -> bool {
        let until = self.down_until.load(Ordering::SeqCst);
        let next = now.saturating_add(millis(LEFT_ALONE));
        until == 0
            || (now >= until
                && self.down_until.compare_exchange(until, next, Ordering::SeqCst, Ordering::SeqCst).is_ok())
    }

    fn failed(&self, now: u64) {
        self.down_until.store(now.saturating_add(millis(LEFT_ALONE)), Ordering::SeqCst);
    }

    fn answered(&self, allowed: bool, key: &str, context: Option<&[u8]>) {
        self.down_until.store(0, Ordering::SeqCst);
        if allowed && let Some(context) = context {
            let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
            denied.keys.remove(key);
            denied.contexts.remove(context);
        }
    }

    fn denied(&self, code: &str, key: &str, context: Option<&[u8]>) {
        self.down_until.store(0, Ordering::SeqCst);
        let mut denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        match context {
            Some(context) if code.starts_with("AccessDenied") && denied.contexts.len() < MAX_DENIED => {
                denied.contexts.insert(context.to_vec());
            }
            // A refused DescribeKey says nothing of the key.
            None if code.starts_with("AccessDenied") => {}
            _ => drop(denied.keys.insert(key.to_owned())),
        }
    }

    fn denies(&self, key: &str, context: Option<&[u8]>) -> bool {
        let denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.keys.contains(key) || context.is_some_and(|context| denied.contexts.contains(context))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;

    /// Two regions, what each answers, and which were called.
    struct Pair {
        one: Place,
        two: Place,
        answers: Mutex<[Option<KmsError>; 2]>,
        called: Mutex<Vec<&'static str>>,
    }

    impl Pair {
        fn new() -> Self {
            let place = |name: &str| Place::new(Some(name.into()), None);
            Self { one: place("one"), two: place("two"), answers: Mutex::default(), called: Mutex::default() }
        }

        fn answer(&self, one: Option<KmsError>, two: Option<KmsError>) {
            *self.answers.lock().unwrap() = [one, two];
        }

        /// The outcome of a call for `table`, and the regions that were asked.
        async fn call(&self, table: &str) -> (Result<(), KmsError>, Vec<&'static str>) {
            self.call_with("key", table).await
        }

        async fn call_with(&self, key: &str, table: &str) -> (Result<(), KmsError>, Vec<&'static str>) {
            let context = EncryptionContext::direct(table, &BTreeMap::new());
            let places = [&self.one, &self.two];
            let outcome = in_turn(&places, key, Some(&context), |place| {
                let (name, at) = if place.name() == "one" { ("one", 0) } else { ("two", 1) };
                self.called.lock().unwrap().push(name);
                let answer = self.answers.lock().unwrap()[at].clone();
                async move { answer.map_or(Ok(()), Err) }
            });
            let outcome = outcome.await;
            (outcome, std::mem::take(&mut *self.called.lock().unwrap()))
        }
    }

    fn away() -> Option<KmsError> {
        Some(KmsError::Unavailable("timeout".into()))
    }

    fn denied(code: &str) -> Option<KmsError> {
        Some(KmsError::Denied { code: code.into(), detail: String::new() })
    }

    #[tokio::test]
    async fn a_region_that_fails_is_passed_over_and_then_left_alone() {
        let pair = Pair::new();
        assert_eq!(pair.call("a").await, (Ok(()), vec!["one"]));
        pair.answer(away(), None);
        assert_eq!(pair.call("a").await, (Ok(()), vec!["one", "two"]));
        assert_eq!(pair.call("a").await, (Ok(()), vec!["two"]), "others do not wait for it again");
        pair.one.health.down_until.store(1, Ordering::SeqCst);
        assert_eq!(pair.call("a").await, (Ok(()), vec!["one", "two"]), "its time is over: one call tries it");
        assert_eq!(pair.call("a").await, (Ok(()), vec!["two"]));
        pair.answer(None, None);
        pair.one.health.down_until.store(1, Ordering::SeqCst);
        assert_eq!(pair.call("a").await, (Ok(()), vec!["one"]));
        assert_eq!(pair.call("a").await, (Ok(()), vec!["one"]), "it is back");
    }

    #[tokio::test]
    async fn when_all_regions_fail_all_are_tried_and_the_failure_may_pass() {
        let pair = Pair::new();
        pair.answer(away(), away());
        for _ in 0..2 {
            let (outcome, called) = pair.call("a").await;
            assert!(matches!(outcome, Err(KmsError::Unavailable(_))));
            assert_eq!(called, ["one", "two"]);
        }
    }

    #[tokio::test]
    async fn a_denial_in_one_region_is_not_got_around_by_another() {
        for code in ["AccessDeniedException", "DisabledException", "KMSInvalidStateException", "NotFoundException"] {
            let pair = Pair::new();
            pair.answer(denied(code), None);
            let (outcome, called) = pair.call("a").await;
            assert!(matches!(outcome, Err(KmsError::Denied { .. })), "{code}");
            assert_eq!(called, ["one"], "{code}");
            // Not when the region fails after it denied, either: until it allows again, it alone is asked.
            pair.answer(away(), None);
            for _ in 0..2 {
                assert_eq!(pair.call("a").await, (Err(away().unwrap()), vec!["one"]), "{code}");
            }
            let elsewhere = pair.call("b").await;
            if code.starts_with("Access") {
                assert_eq!(elsewhere.0, Ok(()), "another table may be allowed");
            } else {
                assert_eq!(elsewhere, (Err(away().unwrap()), vec!["one"]), "{code}");
            }
            pair.answer(None, None);
            assert_eq!(pair.call("a").await, (Ok(()), vec!["one"]), "{code}");
            pair.answer(away(), None);
            assert_eq!(pair.call("a").await, (Ok(()), vec!["one", "two"]), "{code}");
        }
    }

    #[tokio::test]
    async fn a_key_that_is_disabled_binds_its_own_tables_and_is_not_freed_by_another() {
        let pair = Pair::new();
        pair.answer(denied("DisabledException"), None);
        assert!(pair.call_with("of a", "a").await.0.is_err());
        pair.answer(None, None);
        assert_eq!(pair.call_with("of b", "b").await, (Ok(()), vec!["one"]));
        pair.answer(away(), None);
        assert_eq!(pair.call_with("of b", "b").await, (Ok(()), vec!["one", "two"]));
        assert_eq!(pair.call_with("of a", "a").await, (Err(away().unwrap()), vec!["one"]));
    }

    #[tokio::test]
    async fn a_denial_of_the_second_region_is_final_while_the_first_is_away() {
        let pair = Pair::new();
        pair.answer(away(), denied("DisabledException"));
        assert!(matches!(pair.call("a").await.0, Err(KmsError::Denied { .. })));
    }

    #[tokio::test]
    async fn a_wrong_ciphertext_is_wrong_everywhere() {
        let pair = Pair::new();
        pair.answer(Some(KmsError::InvalidCiphertext), None);
        assert_eq!(pair.call("a").await, (Err(KmsError::InvalidCiphertext), vec!["one"]));
    }
}
