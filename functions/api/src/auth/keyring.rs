//! The keys in force, read again while the process runs where they come from a secret.

use std::sync::{Arc, PoisonError, RwLock};

use axum::http::HeaderMap;
use futures::future::BoxFuture;
use ojs_core::Clock;
use ojs_model::{Error, ErrorCode};
use tokio::sync::{Mutex, MutexGuard};

use super::keys::{ApiKeys, Principal, token};
use super::roles::Role;

/// So often at most are keys read again because a request shows one that is not known, ms.
const UNKNOWN_MS: i64 = 30_000;
/// Keys that are older are read again with the next request, so that one that is withdrawn ends, ms.
const STALE_MS: i64 = 300_000;

/// Where keys are read from while the process runs.
pub trait Source: std::fmt::Debug + Send + Sync {
    /// The keys' text, in one of the forms of [`ApiKeys::parse`].
    fn read(&self) -> BoxFuture<'_, Result<String, String>>;
}

/// The keys in force.
#[derive(Debug)]
pub struct Keyring {
    keys: RwLock<Arc<ApiKeys>>,
    source: Option<Reread>,
}

#[derive(Debug)]
struct Reread {
    source: Box<dyn Source>,
    clock: Arc<dyn Clock>,
    /// When they were read, and when that was tried. One request reads.
    times: Mutex<Times>,
}

/// ms since the Unix epoch.
#[derive(Debug, Clone, Copy)]
struct Times {
    read: i64,
    tried: i64,
}

impl Keyring {
    /// Keys that do not change.
    #[must_use]
    pub fn fixed(keys: ApiKeys) -> Self {
        Self { keys: RwLock::new(Arc::new(keys)), source: None }
    }

    /// No key is needed.
    #[must_use]
    pub fn open() -> Self {
        Self::fixed(ApiKeys::open())
    }

    /// Keys that are read from `source` now, and again when they are five minutes old or a request shows one that is not known.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn read(source: impl Source + 'static, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let keys = parse(&source.read().await?)?;
        keys.warn_of_short_keys();
        let times = Mutex::new(Times { read: clock.now_ms(), tried: clock.now_ms() });
        let source = Some(Reread { source: Box::new(source), clock, times });
        Ok(Self { keys: RwLock::new(Arc::new(keys)), source })
    }

    /// Whether requests need no key.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.source.is_none() && self.current().is_open()
    }

    fn current(&self) -> Arc<ApiKeys> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whose key a request shows; where none is needed an admin's.
    ///
    /// # Errors
    /// `unauthenticated` when no key fits.
    pub async fn check(&self, headers: &HeaderMap) -> Result<Principal, Error> {
        if self.is_open() {
            return Ok(Principal { name: "anybody".to_owned(), roles: vec![Role::Admin] });
        }
        let token = token(headers)?;
        if let Some(reread) = &self.source {
            // While one request reads, the others use the keys at hand.
            if let Ok(times) = reread.times.try_lock()
                && reread.clock.now_ms() - times.read >= STALE_MS
            {
                self.read_again(reread, times).await;
            }
            if self.current().find(token).is_none() {
                let times = reread.times.lock().await;
                self.read_again(reread, times).await;
            }
        }
        let keys = self.current();
        let unknown = || Error::new(ErrorCode::Unauthenticated, "The API key is not valid.");
        keys.find(token).cloned().ok_or_else(unknown)
    }

    /// Reads the keys, unless that was tried a moment ago. If that fails, the keys that are there stay in force. If the client
    /// closes the connection meanwhile, the next request reads.
    async fn read_again(&self, reread: &Reread, mut times: MutexGuard<'_, Times>) {
        if reread.clock.now_ms() - times.tried < UNKNOWN_MS {
            return;
        }
        let read = reread.source.read().await;
        let now = reread.clock.now_ms();
        times.tried = now;
        match read.and_then(|text| parse(&text)) {
            Ok(keys) => {
                times.read = now;
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Err(problem) => {
                tracing::error!(problem, "API keys not read again; those that were read before stay in force")
            }
        }
    }
}

/// A secret without keys must not open the API.
fn parse(text: &str) -> Result<ApiKeys, String> {
    let keys = ApiKeys::parse(text).map_err(|problem| format!("the secret {problem}"))?;
    if keys.is_open() { Err("the secret holds no API key".to_owned()) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use axum::http::header;

    #[derive(Debug, Clone)]
    struct Fake(Arc<StdMutex<(Result<String, String>, usize)>>);

    impl Fake {
        fn set(&self, text: Result<&str, &str>) {
            self.0.lock().unwrap().0 = text.map(str::to_owned).map_err(str::to_owned);
        }

        fn reads(&self) -> usize {
            self.0.lock().unwrap().1
        }
    }

    impl Source for Fake {
        fn read(&self) -> BoxFuture<'_, Result<String, String>> {
            let mut inner = self.0.lock().unwrap();
            inner.1 += 1;
            Box::pin(std::future::ready(inner.0.clone()))
        }
    }

    #[derive(Debug, Default)]
    struct Hand(AtomicI64);

    impl Clock for Hand {
        fn now_ms(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }

        fn sleep(&self, _: std::time::Duration) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(std::future::ready(()))
        }
    }

    async fn opens(ring: &Keyring, key: &str) -> bool {
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, format!("Bearer {key}").parse().unwrap())]);
        ring.check(&headers).await.is_ok()
    }

    #[tokio::test]
    async fn keys_change_while_the_process_runs() {
        let source = Fake(Arc::new(StdMutex::new((Ok("old-key-old-key".to_owned()), 0))));
        let clock = Arc::new(Hand::default());
        let ring = Keyring::read(source.clone(), Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
        assert!(opens(&ring, "old-key-old-key").await && !ring.is_open());

        // A new key is known within half a minute, and wrong ones make no call each.
        source.set(Ok("old-key-old-key,new-key-new-key"));
        assert!(!opens(&ring, "new-key-new-key").await && !opens(&ring, "guess-guess").await);
        assert_eq!(source.reads(), 1);
        clock.0.store(30_000, Ordering::Relaxed);
        assert!(opens(&ring, "new-key-new-key").await);
        for _ in 0..5 {
            assert!(!opens(&ring, "guess-guess").await);
        }
        assert_eq!(source.reads(), 2);

        // One that is withdrawn ends within five minutes.
        source.set(Ok("new-key-new-key"));
        assert!(opens(&ring, "old-key-old-key").await);
        clock.0.store(330_000, Ordering::Relaxed);
        assert!(!opens(&ring, "old-key-old-key").await && opens(&ring, "new-key-new-key").await);

        // What cannot be read, or holds no key, changes nothing; least of all does it open the API.
        for broken in [Err("away"), Ok(""), Ok("short"), Ok("{")] {
            source.set(broken);
            clock.0.fetch_add(300_000, Ordering::Relaxed);
            assert!(opens(&ring, "new-key-new-key").await && !opens(&ring, "guess-guess").await);
        }
        assert!(Keyring::read(source, clock).await.is_err());
    }
}
