//! KMS calls for many values: several at once, answered in the order of the values; and one call for all who
//! ask for the same at the same time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::plaintexts::Fingerprint;
use super::provider::{KmsError, Runner};
use crate::seal::Plaintext;

type Outcome = Result<Plaintext, KmsError>;

/// Runs `jobs`, at most `window` at a time, and sends what they answer in their order. Ends when nobody
/// listens any longer; jobs that run then are dropped. Memory: at most twice `window` answers.
pub fn in_order<T, J>(runner: &Runner, jobs: Vec<J>, window: usize) -> mpsc::Receiver<T>
where
    T: Send + 'static,
    J: Future<Output = T> + Send + 'static,
{
    let window = window.max(1);
    let (send, receive) = mpsc::channel(window);
    if jobs.is_empty() {
        return receive;
    }
    runner.spawn(async move {
        let mut jobs = jobs.into_iter();
        let mut running = VecDeque::new();
        loop {
            while running.len() < window
                && let Some(job) = jobs.next()
            {
                running.push_back(AbortOnDropHandle::new(tokio::spawn(job)));
            }
            let Some(first) = running.pop_front() else { return };
            let outcome = tokio::select! {
                outcome = first => outcome,
                () = send.closed() => return,
            };
            let Ok(outcome) = outcome else { return };
            if send.send(outcome).await.is_err() {
                return;
            }
        }
    });
    receive
}

/// The calls that are under way.
#[derive(Clone, Default)]
pub struct Flights(Arc<Mutex<HashMap<Fingerprint, Arc<OnceCell<Outcome>>>>>);

impl Flights {
    /// What `call` answers, or the call of another for the same, if one is under way. A caller that is
    /// dropped leaves the call to those who wait for it.
    pub async fn join(&self, key: Fingerprint, call: impl Future<Output = Outcome>) -> Outcome {
        let cell = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let seat = Seat { flights: self, key, cell };
        seat.cell.get_or_init(|| call).await.clone()
    }
}

/// Somebody's interest in a call. A call that has ended is no longer found.
struct Seat<'a> {
    flights: &'a Flights,
    key: Fingerprint,
    cell: Arc<OnceCell<Outcome>>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = flights.get(&self.key).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        // The map's and this one.
        if mine && (self.cell.initialized() || Arc::strong_count(&self.cell) <= 2) {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn answers_come_in_order_and_no_more_run_than_allowed() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..50u64).map(|number| {
            let (running, most) = (running.clone(), most.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis((number * 7) % 11)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                number
            }
        });
        let mut answers = in_order(&Runner::Here, jobs.collect(), 5);
        for expected in 0..50 {
            assert_eq!(answers.recv().await, Some(expected));
        }
        assert_eq!(answers.recv().await, None);
        assert_eq!(most.load(Ordering::SeqCst), 5);
    }

    #[tokio::test]
    async fn the_first_answer_comes_before_the_last_job_has_begun() {
        let begun = Arc::new(AtomicUsize::new(0));
        let jobs = (0..100).map(|number| {
            let begun = begun.clone();
            async move {
                begun.fetch_add(1, Ordering::SeqCst);
                number
            }
        });
        let mut answers = in_order(&Runner::Here, jobs.collect(), 4);
        assert_eq!(answers.recv().await, Some(0));
        // Running and answered, and no more: nobody takes the answers.
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(begun.load(Ordering::SeqCst) <= 2 * 4 + 2, "{begun:?}");
    }

    #[tokio::test]
    async fn those_who_ask_at_once_share_a_call_and_those_who_ask_later_do_not() {
        let (flights, calls) = (Flights::default(), Arc::new(AtomicUsize::new(0)));
        let ask = |flights: Flights, calls: Arc<AtomicUsize>| async move {
            let call = async {
                calls.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(Plaintext::new(vec![7]))
            };
            flights.join([1; 32], call).await.unwrap().expose().to_vec()
        };
        let (one, two) = tokio::join!(ask(flights.clone(), calls.clone()), ask(flights.clone(), calls.clone()));
        assert_eq!((one, two), (vec![7], vec![7]));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        ask(flights.clone(), calls.clone()).await;
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        assert!(flights.0.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_caller_that_goes_away_leaves_the_others_their_answer() {
        let flights = Flights::default();
        let first = tokio::spawn({
            let flights = flights.clone();
            async move { flights.join([1; 32], std::future::pending()).await }
        });
        tokio::task::yield_now().await;
        let second = tokio::spawn({
            let flights = flights.clone();
            async move { flights.join([1; 32], async { Err(KmsError::WrongKey) }).await }
        });
        tokio::task::yield_now().await;
        first.abort();
        assert_eq!(second.await.unwrap().err(), Some(KmsError::WrongKey));
        assert!(flights.0.lock().unwrap().is_empty());
    }
}
