//! Limits on rates: what is beyond them is answered with 429 instead of being queued.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Requests of an address that may come at once.
const BURST: f64 = 600.0;
/// Requests of an address in a second, in the long run.
const RATE: f64 = 100.0;
/// Wrong tokens of an address that may come at once, and in a second.
const GUESSES: (f64, f64) = (10.0, 0.1);
/// Number of addresses that are told apart.
const MAX_ADDRESSES: usize = 4096;
/// Streams that are open at once.
const MAX_STREAMS: usize = 128;
/// Searches and other long work at once.
const MAX_WORK: usize = 4;

/// Limits of a hub.
#[derive(Debug)]
pub(crate) struct Limits {
    requests: Mutex<BTreeMap<IpAddr, Bucket>>,
    guesses: Mutex<BTreeMap<IpAddr, Bucket>>,
    streams: Arc<Semaphore>,
    work: Arc<Semaphore>,
}

/// Tokens that come back with time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: Mutex::default(),
            guesses: Mutex::default(),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            work: Arc::new(Semaphore::new(MAX_WORK)),
        }
    }
}

impl Limits {
    /// Takes a request of an address. Returns the time after which to ask again, if there were too many.
    pub(crate) fn request(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        take(&self.requests, from, now, (BURST, RATE))
    }

    /// Takes a wrong token of an address.
    pub(crate) fn guess(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        take(&self.guesses, from, now, GUESSES)
    }

    /// Opens a stream, which ends with the permit.
    pub(crate) fn stream(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    /// Begins long work.
    pub(crate) fn work(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.work).try_acquire_owned().ok()
    }

    /// Returns the number of open streams.
    pub(crate) fn n_streams(&self) -> usize {
        MAX_STREAMS.saturating_sub(self.streams.available_permits())
    }
}

fn take(
    buckets: &Mutex<BTreeMap<IpAddr, Bucket>>,
    from: IpAddr,
    now: Instant,
    (burst, rate): (f64, f64),
) -> Result<(), Duration> {
    let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
    let filled = |bucket: &Bucket| {
        (bucket.tokens + now.saturating_duration_since(bucket.at).as_secs_f64() * rate).min(burst)
    };
    if !buckets.contains_key(&from) && buckets.len() >= MAX_ADDRESSES {
        buckets.retain(|_, bucket| filled(bucket) < burst);
        if buckets.len() >= MAX_ADDRESSES {
            return Err(Duration::from_secs(1));
        }
    }
    let bucket = buckets.entry(from).or_insert(Bucket { tokens: burst, at: now });
    let tokens = filled(bucket);
    if tokens < 1.0 {
        return Err(Duration::from_secs_f64((1.0 - tokens) / rate));
    }
    *bucket = Bucket { tokens: tokens - 1.0, at: now };
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a moment to count from")]
mod tests {
    use super::*;

    #[test]
    fn requests_come_back_with_time() {
        let limits = Limits::default();
        let (here, there) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let begin = Instant::now();
        let taken = (0..1000).take_while(|_| limits.request(here, begin).is_ok()).count();
        assert_eq!(taken, 600);
        assert!(limits.request(here, begin).unwrap_err() <= Duration::from_millis(10));
        assert!(limits.request(there, begin).is_ok(), "another address has its own");
        let later = begin + Duration::from_secs(2);
        assert_eq!((0..1000).take_while(|_| limits.request(here, later).is_ok()).count(), 200);
    }

    #[test]
    fn addresses_are_few_in_memory() {
        let limits = Limits::default();
        let now = Instant::now();
        for n in 0..10_000_u32 {
            let _ = limits.request(IpAddr::from((n + 1).to_be_bytes()), now);
        }
        assert!(limits.requests.lock().unwrap().len() <= MAX_ADDRESSES);
        // Those that have not asked for a while make room.
        let later = now + Duration::from_secs(60);
        assert!(limits.request(IpAddr::from([9, 9, 9, 9]), later).is_ok());
    }

    #[test]
    fn streams_and_work_are_few() {
        let limits = Limits::default();
        let open: Vec<_> = std::iter::from_fn(|| limits.stream()).collect();
        assert_eq!((open.len(), limits.n_streams()), (MAX_STREAMS, MAX_STREAMS));
        drop(open);
        assert_eq!(limits.n_streams(), 0);
        let work: Vec<_> = std::iter::from_fn(|| limits.work()).collect();
        assert_eq!(work.len(), MAX_WORK);
    }
}
