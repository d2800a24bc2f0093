//! Taking and giving back what a rate limit grants, across instances: compare and swap on one item per key.
//!
//! The start is noted before the claim, so that no more jobs run than may, whatever crashes; a hold that is not released is
//! found out when the slots run short, by asking its job.

use crate::engine::Engine;
use crate::engine::enqueue::unique::rest;
use crate::store::LimitWritten;
use ojs_model::error::{Error, ErrorCode, Result};
use ojs_model::ids::JobId;
use ojs_model::job::{Job, State};
use ojs_model::limit::{LimitState, Limited, Limits};

/// How often a write is tried that others are faster than: on Lambda each of them is a process of its own.
const MAX_TRIES: u32 = 30;
/// How long a hold is believed without asking its job, ms.
pub(in crate::engine) const HOLD_MS: i64 = 60_000;
/// Most holds that are looked into at a time: one read.
const MAX_STALE: usize = 100;

/// A start that a key has granted.
#[derive(Debug)]
pub(in crate::engine) struct Start {
    key: String,
    holder: String,
    before: LimitState,
    after: LimitState,
}

impl Start {
    /// The key, if the job now holds one of its slots.
    pub(in crate::engine) fn held(&self) -> Option<&str> {
        self.after.holders.contains_key(&self.holder).then_some(self.key.as_str())
    }
}

/// What a state becomes, and what is answered.
enum Next<T> {
    Write(Box<LimitState>, T),
    Answer(T),
}

impl Engine {
    /// Asks a key for one more start: usually one conditional write. `holder` is believed to be active until
    /// `hold_until_ms`.
    ///
    /// # Errors
    /// The AWS error; the start may be noted. `backend_unavailable` when others were faster all the time.
    pub(in crate::engine) async fn acquire_slot(
        &self,
        key: &str,
        limits: &Limits,
        holder: &str,
        hold_until_ms: i64,
        now_ms: i64,
    ) -> Result<std::result::Result<Start, Limited>> {
        let limiter = self.limit_cache.of(key);
        let mut remembered = limiter.state.lock().await;
        // Another start may have been refused while this one waited for its turn.
        if let Some(limited) = limiter.refusal(now_ms) {
            return Ok(Err(limited));
        }
        let mut fresh = false;
        for tries in 1..=MAX_TRIES {
            let stored = self.known_limit(key, &mut remembered, &mut fresh).await?;
            let before = stored.clone().unwrap_or_else(|| first(now_ms));
            let after = match before.start(limits, holder, hold_until_ms, now_ms) {
                Ok(after) => after,
                // Another process may have released what is remembered.
                Err(_) if !fresh => continue,
                Err(Limited::Full { stale }) if !stale.is_empty() => {
                    let looked_into = self.look_into(&before, stale, now_ms).await?;
                    self.write_limit(key, stored.as_ref(), &looked_into, &mut remembered).await?;
                    fresh = remembered.is_some();
                    continue;
                }
                Err(limited) => {
                    limiter.note_refusal(&limited, now_ms);
                    *remembered = stored;
                    return Ok(Err(limited));
                }
            };
            if self.write_limit(key, stored.as_ref(), &after, &mut remembered).await? {
                return Ok(Ok(Start { key: key.to_owned(), holder: holder.to_owned(), before, after }));
            }
            fresh = remembered.is_some();
            rest(tries.min(5)).await;
        }
        Err(busy(key))
    }

    /// Holds whose time has passed: their jobs say whether they are active still.
    async fn look_into(&self, state: &LimitState, mut stale: Vec<String>, now_ms: i64) -> Result<LimitState> {
        stale.truncate(MAX_STALE);
        let parsed: Vec<Option<JobId>> = stale.iter().map(|holder| parse(holder)).collect();
        let mut ids: Vec<JobId> = parsed.iter().flatten().cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        let jobs = self.store.get_jobs(&ids).await?;
        let mut next = state.clone();
        for (holder, parsed) in stale.iter().zip(parsed) {
            let job = parsed.and_then(|id| {
                let job = jobs.iter().find(|job| job.id == id)?;
                let current = job.as_of(now_ms);
                let holds = current.state == State::Active && current.holder(current.attempt) == *holder;
                holds.then(|| current.into_owned())
            });
            let until = job.and_then(|job| job.lease).map(|lease| lease.ends_at_ms().min(now_ms + HOLD_MS));
            let changed = match until {
                Some(until) => next.refresh(holder, until),
                None => next.release(holder),
            };
            if let Some(changed) = changed {
                // All of it is one write.
                next = LimitState { version: state.version + 1, ..changed };
            }
        }
        Ok(next)
    }

    /// The state of a key, as far as is remembered, else as it is; `fresh` tells which.
    async fn known_limit(
        &self,
        key: &str,
        remembered: &mut Option<LimitState>,
        fresh: &mut bool,
    ) -> Result<Option<LimitState>> {
        if let Some(state) = remembered.take() {
            return Ok(Some(state));
        }
        *fresh = true;
        let state = self.store.get_limit(key).await?;
        self.limit_cache.note_parked(key, state.as_ref());
        Ok(state)
    }

    /// Writes a state if it still is `old`, and remembers what is there then; whether that is `new`.
    async fn write_limit(
        &self,
        key: &str,
        old: Option<&LimitState>,
        new: &LimitState,
        remembered: &mut Option<LimitState>,
    ) -> Result<bool> {
        let written = self.store.put_limit(key, old, new, self.ids.nonce(), self.now_ms()).await?;
        let done = matches!(written, LimitWritten::Done);
        *remembered = match written {
            LimitWritten::Done => Some(new.clone()),
            LimitWritten::Refused(found) => found.map(|found| *found),
        };
        self.limit_cache.note_parked(key, remembered.as_ref());
        Ok(done)
    }

    /// Changes a state until the change goes through; `change` says what becomes of it.
    async fn change_limit<T>(&self, key: &str, mut change: impl FnMut(&LimitState) -> Next<T>) -> Result<T> {
        let limiter = self.limit_cache.of(key);
        let mut remembered = limiter.state.lock().await;
        limiter.forget_refusal();
        let mut fresh = false;
        for tries in 1..=MAX_TRIES {
            let stored = self.known_limit(key, &mut remembered, &mut fresh).await?;
            let before = stored.clone().unwrap_or_else(|| first(self.now_ms()));
            let (after, answer) = match change(&before) {
                Next::Write(after, answer) => (after, answer),
                // Nothing to do, but what is remembered may be out of date.
                Next::Answer(_) if !fresh => continue,
                Next::Answer(answer) => {
                    *remembered = stored;
                    return Ok(answer);
                }
            };
            if self.write_limit(key, stored.as_ref(), &after, &mut remembered).await? {
                return Ok(answer);
            }
            fresh = remembered.is_some();
            rest(tries.min(5)).await;
        }
        Err(busy(key))
    }

    /// The same where the state alone is of interest: the one that was written, or `None` where nothing was to be changed.
    pub(in crate::engine) async fn change_limit_by(
        &self,
        key: &str,
        mut change: impl FnMut(&LimitState) -> Option<LimitState>,
    ) -> Result<Option<LimitState>> {
        self.change_limit(key, |state| match change(state) {
            Some(next) => Next::Write(Box::new(next.clone()), Some(next)),
            None => Next::Answer(None),
        })
        .await
    }

    /// The state of a key, read now, once the holders that are believed no longer have been looked into; `None` where there
    /// is none.
    pub(in crate::engine) async fn without_stale_holders(&self, key: &str) -> Result<Option<LimitState>> {
        let limiter = self.limit_cache.of(key);
        let mut remembered = limiter.state.lock().await;
        *remembered = None;
        let now = self.now_ms();
        let Some(state) = self.known_limit(key, &mut remembered, &mut false).await? else { return Ok(None) };
        let stale = state.stale_holders(now);
        if stale.is_empty() {
            return Ok(Some(state));
        }
        let looked_into = self.look_into(&state, stale, now).await?;
        self.write_limit(key, Some(&state), &looked_into, &mut remembered).await?;
        Ok(remembered.clone())
    }

    /// The claim did not happen: rolls back what was granted. What cannot be rolled back ends by its time.
    pub(in crate::engine) async fn roll_back_slots(&self, starts: &[Start]) {
        for start in starts {
            let undone = self
                .change_limit_by(&start.key, |state| state.forget_start(&start.before, &start.after, &start.holder));
            match undone.await {
                Ok(state) => self.room_was_made(&start.key, state).await,
                Err(error) => tracing::warn!(key = start.key, %error, "rate limit start not rolled back"),
            }
        }
    }

    /// A job is no longer active: releases the slots that it held. What cannot be released ends by its time.
    pub(in crate::engine) async fn release_slots(&self, job: &Job) {
        let holder = job.holder(job.attempt);
        for key in &job.holds {
            match self.change_limit_by(key, |state| state.release(&holder)).await {
                Ok(state) => self.room_was_made(key, state).await,
                Err(error) => {
                    tracing::warn!(job_id = %job.id, key, %error, "rate limit slot not released yet");
                }
            }
        }
    }

    /// A worker was told that nothing may start before `until_ms` (rate limiting section 9.1).
    pub(in crate::engine) async fn block_limit(&self, key: &str, until_ms: i64, now_ms: i64) -> Result<()> {
        self.change_limit(key, |state| Next::Write(Box::new(state.block_until(until_ms, now_ms)), ())).await
    }

    /// Sets or ends an operator's override.
    pub(in crate::engine) async fn override_limit(
        &self,
        key: &str,
        over: Option<ojs_model::limit::Override>,
    ) -> Result<LimitState> {
        let state = self
            .change_limit(key, |state| {
                let next = state.with_override(over);
                Next::Write(Box::new(next.clone()), next)
            })
            .await?;
        self.room_was_made(key, Some(state.clone())).await;
        Ok(state)
    }
}

/// The state of a key that there is none of: its version is later than any that there has been.
fn first(now_ms: i64) -> LimitState {
    LimitState { version: now_ms.unsigned_abs(), ..LimitState::default() }
}

fn parse(holder: &str) -> Option<JobId> {
    JobId::parse(holder.split_once('#')?.0)
}

fn busy(key: &str) -> Error {
    Error::new(ErrorCode::BackendUnavailable, "A rate limit changes too fast; try again shortly.").with("key", key)
}
