use std::collections::BTreeMap;

use super::limits::{Limits, MAX_PERIOD_MS, Window};
use super::parking::Parking;

/// What has happened under one key: one item per key, written with compare and swap. Times are ms since the Unix epoch.
///
/// ```
/// use ojs_model::limit::{LimitState, Limited, Limits, Window};
///
/// let now_ms = 1_700_000_000_000;
/// let limits = Limits { rate: Some(Window { limit: 2, period_ms: 60_000 }), ..Limits::default() };
/// let start = |state: &LimitState, job: &str, at_ms| state.start(&limits, job, at_ms + 30_000, at_ms);
/// let one = start(&LimitState::default(), "job-1", now_ms).unwrap();
/// let two = start(&one, "job-2", now_ms + 10_000).unwrap();
/// // The window began with the first start.
/// assert_eq!(start(&two, "job-3", now_ms + 20_000).unwrap_err(), Limited::Until(now_ms + 60_000));
/// assert!(start(&two, "job-3", now_ms + 60_000).is_ok());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitState {
    /// Counts the writes; every state that a method here returns has the next one.
    pub version: u64,
    /// Those of the policies last applied, without the override. A policy that lacks one of them leaves it as it is while
    /// it still keeps a job from starting.
    pub limits: Limits,
    /// `rate`: when the last window began, with its first start.
    pub window_start_ms: Option<i64>,
    /// `rate`: starts in that window.
    pub window_count: u32,
    /// `throttle`: the last start.
    pub last_start_ms: Option<i64>,
    /// `concurrency`: the jobs that count as active, by id, and until when that is believed without asking the job.
    pub holders: BTreeMap<String, i64>,
    /// Until when nothing may start, because a worker was told so (`rate_limit_until`, section 9.1).
    pub blocked_until_ms: Option<i64>,
    /// What an operator set (section 10.2).
    pub override_: Option<Override>,
    /// That jobs wait for it without messages.
    pub parking: Option<Parking>,
}

/// An operator's temporary limits for a key (rate limiting section 10.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Override {
    /// Each of them takes the place of that of the policies, be it stricter or not.
    pub limits: Limits,
    /// When it ends, ms since the Unix epoch; never when `None`.
    pub expires_at: Option<i64>,
}

impl Override {
    /// Whether it applies at `now_ms`; it does no longer at its very end.
    #[must_use]
    pub fn applies(&self, now_ms: i64) -> bool {
        self.expires_at.is_none_or(|end| now_ms < end)
    }
}

/// Why a job may not start. Where several limits keep it, the one that does longest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limited {
    /// It may at this time at the earliest, ms since the Unix epoch; later than now.
    Until(i64),
    /// As many jobs as may be are active: it may when one of them ends.
    Full {
        /// Those whose hold has passed, the longest ago first: their jobs say whether they still are active.
        stale: Vec<String>,
    },
    /// The concurrency is 0.
    Closed {
        /// When the override that says so ends, ms since the Unix epoch; `None` when no end is known.
        until: Option<i64>,
    },
}

impl LimitState {
    /// `limits` as they apply at `now_ms`: with the override.
    #[must_use]
    pub fn effective(&self, limits: &Limits, now_ms: i64) -> Limits {
        match self.applied_override(now_ms) {
            Some(over) => limits.overridden(over.limits),
            None => *limits,
        }
    }

    /// The state once the job `holder`, whose policy has `limits`, has started at `now_ms`; all limits must allow it.
    ///
    /// With a limited concurrency the job holds a slot, which is believed until `hold_until_ms`. A job that holds one
    /// already needs no other, but is one more start to `rate` and `throttle`.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub fn start(&self, limits: &Limits, holder: &str, hold_until_ms: i64, now_ms: i64) -> Result<Self, Limited> {
        let applied = self.effective(limits, now_ms);
        let hold = self.holders.get(holder).copied();
        if let Some(most) = applied.concurrency {
            self.check_concurrency(most, limits, hold.is_some(), now_ms)?;
        }
        let window_end = applied.rate.and_then(|rate| self.window_end(rate, now_ms));
        let rate_full = applied.rate.is_some_and(|rate| self.window_count >= rate.limit);
        let until = [
            self.blocked(now_ms),
            window_end.filter(|_| rate_full),
            applied.throttle.and_then(|throttle| self.throttle_end(throttle, now_ms)),
        ];
        if let Some(until) = until.into_iter().flatten().max() {
            return Err(Limited::Until(until));
        }

        let mut next = self.next();
        next.limits = self.limits_after(limits, now_ms);
        next.blocked_until_ms = None;
        next.override_ = self.applied_override(now_ms);
        if applied.rate.is_some() {
            let (start, count) = match window_end {
                Some(_) => (self.window_start_ms, self.window_count.saturating_add(1)),
                None => (Some(now_ms), 1),
            };
            (next.window_start_ms, next.window_count) = (start, count);
        }
        if applied.throttle.is_some() {
            next.last_start_ms = Some(now_ms);
        }
        if applied.concurrency.is_some() {
            // Always later than before: no two starts of a job leave the same hold (see `forget_start`).
            let until = hold.map_or(hold_until_ms, |before| hold_until_ms.max(before.saturating_add(1)));
            next.holders.insert(holder.to_owned(), until);
        }
        Ok(next)
    }

    /// The state once a job has ended, or is no longer active; `None` when it holds nothing.
    ///
    /// Ask for every job with a key: it may hold because of an override that its own policy knows nothing of.
    #[must_use]
    pub fn release(&self, holder: &str) -> Option<Self> {
        self.holders.contains_key(holder).then(|| {
            let mut next = self.next();
            next.holders.remove(holder);
            next
        })
    }

    /// The state without a start of `holder` that was not followed by a claim; `None` when there is nothing to undo.
    ///
    /// `before` and `after` are the states before and after that start. What happened since stays: a later start of the
    /// same job keeps its hold, and so does an earlier one, which another worker's claim may belong to.
    #[must_use]
    pub fn forget_start(&self, before: &Self, after: &Self, holder: &str) -> Option<Self> {
        let mut next = self.next();
        if self.holders.get(holder) == after.holders.get(holder) {
            match before.holders.get(holder) {
                Some(until) => next.holders.insert(holder.to_owned(), *until),
                None => next.holders.remove(holder),
            };
        }
        let counted = (before.window_start_ms, before.window_count) != (after.window_start_ms, after.window_count);
        if counted && self.window_start_ms == after.window_start_ms {
            next.window_count = self.window_count.saturating_sub(1);
            // A window begins with its first start.
            next.window_start_ms = self.window_start_ms.filter(|_| next.window_count > 0);
        }
        if self.last_start_ms == after.last_start_ms {
            next.last_start_ms = before.last_start_ms;
        }
        (next != self.next()).then_some(next)
    }

    /// The state once a worker reported that nothing may start before `until_ms` (section 9.1).
    ///
    /// The latest such time counts, but at most [`MAX_PERIOD_MS`] from now: a worker must not close a key for ever.
    #[must_use]
    pub fn block_until(&self, until_ms: i64, now_ms: i64) -> Self {
        let until = Some(until_ms.min(now_ms.saturating_add(MAX_PERIOD_MS))).filter(|until| *until > now_ms);
        Self { blocked_until_ms: self.blocked(now_ms).max(until), ..self.next() }
    }

    /// The state with this override, or without any.
    #[must_use]
    pub fn with_override(&self, override_: Option<Override>) -> Self {
        Self { override_, ..self.next() }
    }

    /// The state once `holder` is known to be active until `until_ms`; `None` when it holds nothing, or is believed as
    /// long already.
    #[must_use]
    pub fn refresh(&self, holder: &str, until_ms: i64) -> Option<Self> {
        self.holders.get(holder).filter(|until| **until < until_ms)?;
        let mut next = self.next();
        next.holders.insert(holder.to_owned(), until_ms);
        Some(next)
    }

    /// Whether nothing in it matters any more: without it, starts would be decided alike (by policies that agree).
    #[must_use]
    pub fn is_idle(&self, now_ms: i64) -> bool {
        self.idle_at_ms() <= now_ms
    }

    /// When it is idle if nothing happens, ms since the Unix epoch; `i64::MAX` while there are holders, parked
    /// jobs, or an override without an end.
    #[must_use]
    pub fn idle_at_ms(&self) -> i64 {
        if !self.holders.is_empty() || self.parking.is_some() {
            return i64::MAX;
        }
        let ends = [
            self.window_start_ms.zip(self.limits.rate).map(|(start, rate)| start.saturating_add(rate.period_ms)),
            self.last_start_ms.zip(self.limits.throttle).map(|(last, of)| last.saturating_add(of.interval_ms())),
            self.blocked_until_ms,
            self.override_.map(|over| over.expires_at.unwrap_or(i64::MAX)),
        ];
        ends.into_iter().flatten().max().unwrap_or(0)
    }

    pub(super) fn applied_override(&self, now_ms: i64) -> Option<Override> {
        self.override_.filter(|over| over.applies(now_ms))
    }

    /// Until when a worker's report keeps everything from starting.
    pub(super) fn blocked(&self, now_ms: i64) -> Option<i64> {
        self.blocked_until_ms.filter(|until| now_ms < *until)
    }

    /// The end of the last window, unless it is over. A clock that is behind the one that began it counts as inside.
    pub(super) fn window_end(&self, rate: Window, now_ms: i64) -> Option<i64> {
        self.window_start_ms.map(|start| start.saturating_add(rate.period_ms)).filter(|end| now_ms < *end)
    }

    /// When the next start may be, unless it may be now.
    pub(super) fn throttle_end(&self, throttle: Window, now_ms: i64) -> Option<i64> {
        self.last_start_ms.map(|last| last.saturating_add(throttle.interval_ms())).filter(|end| now_ms < *end)
    }

    pub(super) fn next(&self) -> Self {
        Self { version: self.version + 1, ..self.clone() }
    }

    fn check_concurrency(&self, most: u32, limits: &Limits, holds: bool, now_ms: i64) -> Result<(), Limited> {
        if most == 0 {
            let over = self.applied_override(now_ms).filter(|_| limits.concurrency != Some(0));
            return Err(Limited::Closed { until: over.and_then(|over| over.expires_at) });
        }
        if holds || self.holders.len() < usize::try_from(most).unwrap_or(usize::MAX) {
            return Ok(());
        }
        Err(Limited::Full { stale: self.stale_holders(now_ms) })
    }

    /// `limits`, and of those that other policies have the ones that still matter.
    pub(super) fn limits_after(&self, limits: &Limits, now_ms: i64) -> Limits {
        let old = self.limits;
        Limits {
            concurrency: limits.concurrency.or(old.concurrency.filter(|_| !self.holders.is_empty())),
            rate: limits.rate.or(old.rate.filter(|rate| self.window_end(*rate, now_ms).is_some())),
            throttle: limits.throttle.or(old.throttle.filter(|of| self.throttle_end(*of, now_ms).is_some())),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const HOLD: i64 = NOW + 30_000;

    fn window(limit: u32, period_ms: i64) -> Option<Window> {
        Some(Window { limit, period_ms })
    }

    fn concurrency(most: u32) -> Limits {
        Limits { concurrency: Some(most), ..Limits::default() }
    }

    fn rate(limit: u32, period_ms: i64) -> Limits {
        Limits { rate: window(limit, period_ms), ..Limits::default() }
    }

    fn throttle(limit: u32, period_ms: i64) -> Limits {
        Limits { throttle: window(limit, period_ms), ..Limits::default() }
    }

    fn over(limits: Limits, expires_at: Option<i64>) -> Option<Override> {
        Some(Override { limits, expires_at })
    }

    /// The state after the jobs `a`, `b`, ... have started at these ms after `NOW`.
    fn started(limits: &Limits, after: &[i64]) -> LimitState {
        after.iter().zip('a'..).fold(LimitState::default(), |state, (after, holder)| {
            state.start(limits, &holder.to_string(), HOLD, NOW + after).unwrap()
        })
    }

    /// What the job `z` finds `after` ms after `NOW`.
    fn find(state: &LimitState, limits: &Limits, after: i64) -> Result<(), Limited> {
        state.start(limits, "z", HOLD, NOW + after).map(|_| ())
    }

    fn until(after: i64) -> Result<(), Limited> {
        Err(Limited::Until(NOW + after))
    }

    fn full(stale: &[&str]) -> Result<(), Limited> {
        Err(Limited::Full { stale: stale.iter().map(ToString::to_string).collect() })
    }

    #[test]
    fn a_window_begins_with_its_first_start_and_ends_at_its_very_ms() {
        let two = rate(2, 1_000);
        for (starts, after, wanted) in [
            (&[][..], 0, Ok(())),
            (&[0], 999, Ok(())),
            (&[0, 0], 0, until(1_000)),
            (&[0, 900], 999, until(1_000)),
            (&[0, 900], 1_000, Ok(())),
            // The next one: begun at 1500, not at 1000.
            (&[0, 900, 1_500, 1_500], 2_499, until(2_500)),
            (&[0, 900, 1_500, 1_500], 2_500, Ok(())),
            // A clock that is behind.
            (&[0, 0], -5_000, until(1_000)),
            (&[0], -5_000, Ok(())),
        ] {
            assert_eq!(find(&started(&two, starts), &two, after), wanted, "{starts:?} {after}");
        }
        let state = started(&two, &[0, -5]);
        assert_eq!((state.window_start_ms, state.window_count, state.version), (Some(NOW), 2, 2));
    }

    #[test]
    fn a_throttle_spreads_starts_evenly() {
        for (limits, starts, after, wanted) in [
            (throttle(3, 1_000), &[][..], 0, Ok(())),
            (throttle(3, 1_000), &[0], 0, until(334)),
            (throttle(3, 1_000), &[0], 333, until(334)),
            (throttle(3, 1_000), &[0], 334, Ok(())),
            (throttle(3, 1_000), &[0, 500], 600, until(834)),
            (throttle(3, 1_000), &[0], -100, until(334)),
            (throttle(1_000_000, 1), &[0], 0, until(1)),
        ] {
            assert_eq!(find(&started(&limits, starts), &limits, after), wanted, "{starts:?} {after}");
        }
        // Another policy measures from the same last start.
        assert_eq!(find(&started(&throttle(1, 60_000), &[0]), &throttle(10, 1_000), 50), until(100));
        assert_eq!(find(&started(&throttle(10, 1_000), &[0]), &throttle(1, 60_000), 100), until(60_000));
    }

    #[test]
    fn a_slot_is_held_until_it_is_released() {
        let two = concurrency(2);
        let state = started(&two, &[0, 0]);
        assert_eq!(state.holders.len(), 2);
        for (after, stale) in [(0, &[][..]), (29_999, &[]), (30_000, &["a", "b"])] {
            assert_eq!(find(&state, &two, after), full(stale), "{after}");
        }
        // One that was believed for longer; then one that has ended.
        let seen = state.refresh("a", HOLD + 9).unwrap();
        assert_eq!(find(&seen, &two, 30_000), full(&["b"]));
        assert_eq!(find(&seen, &two, 60_000), full(&["b", "a"]));
        assert_eq!(
            (seen.refresh("a", HOLD + 9), seen.refresh("a", HOLD), seen.refresh("z", i64::MAX)),
            (None, None, None)
        );
        let released = seen.release("b").unwrap();
        assert_eq!((find(&released, &two, 0), released.version), (Ok(()), 4));
        assert_eq!(released.release("b"), None);
    }

    #[test]
    fn a_holder_that_starts_again_takes_no_second_slot_but_counts_as_a_start() {
        let limits = Limits { concurrency: Some(1), ..rate(2, 1_000) };
        let once = started(&limits, &[0]);
        let twice = once.start(&limits, "a", HOLD, NOW).unwrap();
        assert_eq!((twice.holders.len(), twice.holders["a"], twice.window_count), (1, HOLD + 1, 2));
        assert_eq!(twice.start(&limits, "a", HOLD, NOW), Err(Limited::Until(NOW + 1_000)));
        assert_eq!(twice.start(&limits, "a", NOW, NOW + 1_000).unwrap().holders["a"], HOLD + 2);
        // Also when the limit has become lower than what is held.
        let many = started(&concurrency(3), &[0, 0, 0]);
        assert!(many.start(&concurrency(1), "a", HOLD, NOW).is_ok());
        assert_eq!(find(&many.release("b").unwrap(), &concurrency(2), 0), full(&[]));
    }

    #[test]
    fn only_a_limited_concurrency_is_held() {
        let state = started(&rate(5, 1_000), &[0]);
        assert!(state.holders.is_empty() && state.release("a").is_none());
        let state = state.with_override(over(concurrency(1), None));
        let state = state.start(&rate(5, 1_000), "b", HOLD, NOW).unwrap();
        assert_eq!(find(&state, &rate(5, 1_000), 0), full(&[]));
        assert_eq!(find(&state.with_override(None), &rate(5, 1_000), 0), Ok(()));
        assert!(state.release("b").is_some());
    }

    #[test]
    fn of_several_reasons_the_longest_is_told() {
        let all = Limits { concurrency: Some(1), rate: window(1, 1_000), throttle: window(1, 5_000) };
        let state = started(&all, &[0]);
        let closed = Limits { concurrency: Some(0), ..all };
        let more = |most| Limits { concurrency: Some(most), ..all };
        let blocked = state.block_until(NOW + 7_000, NOW);
        for (state, limits, after, wanted) in [
            (&state, closed, 0, Err(Limited::Closed { until: None })),
            (&state, all, 0, full(&[])),
            (&state, more(2), 0, until(5_000)),
            (&state, Limits { throttle: None, ..more(2) }, 0, until(1_000)),
            (&state, Limits { throttle: window(1, 10), ..more(2) }, 0, until(1_000)),
            (&state, more(2), 5_000, Ok(())),
            (&blocked, more(2), 5_000, until(7_000)),
            (&blocked, all, 5_000, full(&[])),
            (&blocked, Limits::default(), 6_999, until(7_000)),
            (&blocked, Limits::default(), 7_000, Ok(())),
        ] {
            assert_eq!(find(state, &limits, after), wanted, "{limits:?} {after}");
        }
    }

    #[test]
    fn the_latest_block_counts_for_at_most_a_year() {
        let state = LimitState::default();
        for (reports, after, wanted) in [
            (&[(5_000, 0)][..], 0, Some(5_000)),
            (&[(5_000, 0), (3_000, 0)], 0, Some(5_000)),
            (&[(5_000, 0), (9_000, 0)], 0, Some(9_000)),
            (&[(5_000, 0), (5_500, 6_000)], 0, None),
            (&[(5_000, 0)], 5_000, None),
            (&[(-1, 0)], 0, None),
            (&[(i64::MAX - NOW, 7)], 0, Some(MAX_PERIOD_MS + 7)),
        ] {
            let state =
                reports.iter().fold(state.clone(), |state, (until, at)| state.block_until(NOW + until, NOW + at));
            assert_eq!(state.blocked(NOW + after), wanted.map(|until| NOW + until), "{reports:?}");
        }
        let passed = state.block_until(NOW + 5, NOW).start(&rate(1, 1), "a", HOLD, NOW + 5).unwrap();
        assert_eq!(passed.blocked_until_ms, None);
    }

    #[test]
    fn an_override_applies_until_it_ends() {
        let one = rate(1, 1_000);
        for (limits, set, after, wanted) in [
            (one, over(concurrency(0), None), 0, Err(Limited::Closed { until: None })),
            (one, over(concurrency(0), Some(50)), 49, Err(Limited::Closed { until: Some(NOW + 50) })),
            (one, over(concurrency(0), Some(50)), 50, until(1_000)),
            (concurrency(0), over(concurrency(0), Some(50)), 0, Err(Limited::Closed { until: None })),
            (concurrency(0), over(rate(9, 9), Some(50)), 0, Err(Limited::Closed { until: None })),
            (concurrency(0), over(concurrency(1), Some(50)), 0, Ok(())),
            // Laxer, stricter, and of another kind.
            (one, over(rate(2, 1_000), None), 0, Ok(())),
            (one, over(rate(1, 9_000), None), 0, until(9_000)),
            (one, over(rate(1, 9_000), Some(50)), 50, until(1_000)),
            (one, over(throttle(1, 9_000), None), 0, until(1_000)),
            (one, over(throttle(1, 9_000), None), 1_000, Ok(())),
        ] {
            let set = set.map(|set| Override { expires_at: set.expires_at.map(|end| NOW + end), ..set });
            let state = started(&one, &[0]).with_override(set);
            assert_eq!(find(&state, &limits, after), wanted, "{limits:?} {set:?} {after}");
        }
        // Once it is lifted, nothing of it stays behind.
        let state = LimitState::default().with_override(over(throttle(1, 3_600_000), Some(NOW + 50)));
        let state = state.start(&throttle(10, 1_000), "a", HOLD, NOW).unwrap();
        assert_eq!(find(&state, &throttle(10, 1_000), 99), until(100));
        let state = state.start(&throttle(10, 1_000), "b", HOLD, NOW + 100).unwrap();
        assert_eq!((state.override_, state.limits), (None, throttle(10, 1_000)));
    }

    #[test]
    fn a_start_without_a_claim_is_undone() {
        let all = Limits { concurrency: Some(9), rate: window(9, 1_000), throttle: window(10, 1_000) };
        let facts = |s: &LimitState| (s.window_start_ms, s.window_count, s.last_start_ms, s.holders.clone());
        let zero = LimitState::default();
        let one = zero.start(&all, "a", HOLD, NOW).unwrap();
        let two = one.start(&all, "b", HOLD, NOW + 500).unwrap();

        // Nothing has happened since.
        assert_eq!(facts(&two.forget_start(&one, &two, "b").unwrap()), facts(&one));
        assert_eq!(facts(&one.forget_start(&zero, &one, "a").unwrap()), facts(&zero));
        // Another has started: the throttle is its own.
        let undone = two.forget_start(&zero, &one, "a").unwrap();
        assert_eq!((undone.version, undone.window_count, undone.last_start_ms), (3, 1, Some(NOW + 500)));
        assert_eq!(undone.holders.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(undone.forget_start(&one, &two, "b").unwrap().window_start_ms, None);
        // The window is another by now.
        let later = two.start(&all, "c", HOLD, NOW + 1_000).unwrap();
        let undone = later.forget_start(&one, &two, "b").unwrap();
        assert_eq!((undone.window_start_ms, undone.window_count, undone.holders.len()), (Some(NOW + 1_000), 1, 2));
        // Nothing to undo.
        let free = zero.start(&Limits::default(), "a", HOLD, NOW).unwrap();
        assert_eq!(free.forget_start(&zero, &free, "a"), None);
        let uncounted = two.start(&concurrency(9), "c", HOLD, NOW + 500).unwrap();
        assert_eq!(facts(&uncounted.forget_start(&two, &uncounted, "c").unwrap()), facts(&two));
        assert_eq!(later.release("b").unwrap().forget_start(&one, &two, "b"), None);
    }

    #[test]
    fn a_lost_claim_leaves_the_winner_its_slot() {
        let one = concurrency(1);
        let zero = LimitState::default();
        for (first_until, second_until) in [(HOLD, HOLD), (HOLD, HOLD + 9), (HOLD + 9, HOLD)] {
            // Two workers start the same job; either may lose the claim.
            let first = zero.start(&one, "a", first_until, NOW).unwrap();
            let second = first.start(&one, "a", second_until, NOW).unwrap();
            let kept = second.forget_start(&zero, &first, "a").unwrap_or_else(|| second.clone());
            assert_eq!(kept.holders, second.holders);
            let kept = second.forget_start(&first, &second, "a").unwrap();
            assert_eq!(kept.holders, first.holders);
        }
    }

    #[test]
    fn a_state_is_idle_when_the_last_of_it_has_passed() {
        let fresh = LimitState::default;
        for (state, idle_at) in [
            (fresh(), 0),
            (started(&rate(2, 1_000), &[0, 5]), NOW + 1_000),
            (started(&throttle(2, 1_000), &[0, 500]), NOW + 1_000),
            (started(&concurrency(1), &[0]), i64::MAX),
            (started(&concurrency(1), &[0]).release("a").unwrap(), 0),
            (fresh().block_until(NOW + 7, NOW), NOW + 7),
            (fresh().with_override(over(concurrency(0), Some(NOW + 9))), NOW + 9),
            (fresh().with_override(over(concurrency(0), None)), i64::MAX),
            (started(&rate(1, 1_000), &[0]).block_until(NOW + 7, NOW), NOW + 1_000),
        ] {
            assert_eq!(state.idle_at_ms(), idle_at, "{state:?}");
            assert_eq!((state.is_idle(idle_at), idle_at > 0 && state.is_idle(idle_at - 1)), (true, false));
        }
    }

    #[test]
    fn a_policy_without_a_limit_leaves_those_of_others_in_force() {
        let (minute, second) = (rate(1, 60_000), throttle(1, 1_000));
        let state = started(&minute, &[0]).start(&second, "b", HOLD, NOW + 10).unwrap();
        assert_eq!(state.limits, Limits { throttle: second.throttle, ..minute });
        assert_eq!((find(&state, &minute, 20), find(&state, &second, 20)), (until(60_000), until(1_010)));
        assert_eq!(state.idle_at_ms(), NOW + 60_000);
        // Not for longer than they matter.
        let state = state.start(&concurrency(1), "c", HOLD, NOW + 60_000).unwrap();
        assert_eq!(state.limits, concurrency(1));
        let state = state.release("c").unwrap().start(&second, "d", HOLD, NOW + 60_000).unwrap();
        assert_eq!(state.limits, second);
    }
}
