//! Jobs that wait for a limit without a message: which ones do, and how many of them may have a message again. Pure.

use super::limits::{Limits, Window};
use super::policy::OnLimit;
use super::state::LimitState;

/// A job that its limit has refused this often is parked, where no other job of the key is.
const MAX_REFUSALS: i64 = 2;
/// A parked job whose message was sent again keeps it while the wait is this short, ms: it starts on time then.
const MAX_REST_MS: i64 = 60_000;
/// How often such a message may be received before the job is parked once more.
const MAX_RELEASED_RECEIVES: i64 = 10;
/// Most parked jobs of one key that have messages.
const MAX_ROOM: usize = 100;
/// Most parked jobs of one key that have messages where only `throttle` limits the key.
const MAX_THROTTLED_ROOM: i64 = 10;
/// Messages are sent this long before their jobs may start, ms, and not earlier: two ticks.
const HORIZON_MS: i64 = 120_000;
/// How long after a tick has looked at the parked jobs of a key another one is to, ms: less than the time between two.
const LOOK_MS: i64 = 50_000;
/// It is noted again that jobs are parked after this time, ms.
const NOTE_MS: i64 = 30_000;
/// The note goes once no job was found this long after it was made, ms. Longer than [`NOTE_MS`] by more than any index lags.
const GONE_MS: i64 = 120_000;

/// What the state of a key knows of its parked jobs. Times are ms since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parking {
    /// When it was last noted that jobs are parked: within half a minute of the last one.
    pub noted_at_ms: i64,
    /// When a tick is to look at them.
    pub look_at_ms: i64,
}

/// How many parked jobs may have messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// So many.
    pub jobs: usize,
    /// They may start at this time, ms since the Unix epoch; at once where it has passed.
    pub at_ms: i64,
    /// When a tick is to look again, ms since the Unix epoch.
    pub look_at_ms: i64,
}

/// How a job waits for its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// With its message.
    Queue,
    /// Without one; the one at hand is left over.
    Parked,
    /// Parked, and this message was sent because it may start.
    Released,
}

/// A job that its limit has just kept from starting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// What its policy wants.
    pub on_limit: OnLimit,
    /// Whether its message keeps the place of its group.
    pub is_fifo: bool,
    /// How often its message has been received, this time included.
    pub receives: i64,
    /// Whether jobs are parked under the key, as far as is known.
    pub is_behind_parked: bool,
    /// How it waits.
    pub place: Place,
    /// How long the limit keeps it from starting, ms, where that is known.
    pub wait_ms: Option<i64>,
}

impl Waiting {
    /// Whether the job goes without a message from now on.
    #[must_use]
    pub fn parks(&self) -> bool {
        if self.is_fifo || self.on_limit != OnLimit::Wait {
            return false;
        }
        if self.place == Place::Released && self.wait_ms.is_some_and(|wait_ms| wait_ms <= MAX_REST_MS) {
            return self.receives > MAX_RELEASED_RECEIVES;
        }
        self.is_behind_parked || self.place != Place::Queue || self.receives > MAX_REFUSALS
    }
}

impl LimitState {
    /// The state once a job whose policy has `limits` is parked; `None` where that is noted already.
    #[must_use]
    pub fn with_parked(&self, limits: &Limits, now_ms: i64) -> Option<Self> {
        let applied = self.limits_after(limits, now_ms);
        let noted = self.parking.is_some_and(|parking| now_ms - parking.noted_at_ms < NOTE_MS);
        if noted && applied == self.limits {
            return None;
        }
        let look_at_ms = self.parking.map_or(now_ms + LOOK_MS, |parking| parking.look_at_ms);
        let parking = Some(Parking { noted_at_ms: now_ms, look_at_ms });
        Some(Self { limits: applied, parking, ..self.next() })
    }

    /// The state once a tick has looked at the parked jobs, and `found` some or none; `None` where none are noted.
    #[must_use]
    pub fn looked(&self, found: bool, now_ms: i64) -> Option<Self> {
        let parking = self.parking?;
        let gone = !found && now_ms - parking.noted_at_ms >= GONE_MS;
        let next = Parking { look_at_ms: self.room(now_ms).look_at_ms, ..parking };
        Some(Self { parking: (!gone).then_some(next), ..self.next() })
    }

    /// How many parked jobs may have messages at `now_ms`, by the limits last applied.
    #[must_use]
    pub fn room(&self, now_ms: i64) -> Room {
        let limits = self.effective(&self.limits, now_ms);
        let slots = limits
            .concurrency
            .map_or(MAX_ROOM, |most| usize::try_from(most).unwrap_or(MAX_ROOM).saturating_sub(self.holders.len()));
        let window_end = limits.rate.and_then(|rate| self.window_end(rate, now_ms));
        let left = limits.rate.map(|rate| match window_end {
            Some(_) if self.window_count < rate.limit => (rate.limit - self.window_count, None),
            window_end => (rate.limit, window_end),
        });
        let (starts, full_until) =
            left.map_or((MAX_ROOM, None), |(starts, until)| (usize::try_from(starts).unwrap_or(MAX_ROOM), until));
        let throttle_end = limits.throttle.and_then(|throttle| self.throttle_end(throttle, now_ms));
        let at_ms = [self.blocked(now_ms), full_until, throttle_end].into_iter().flatten().max().unwrap_or(now_ms);
        if at_ms > now_ms + HORIZON_MS {
            // Unless an override that says so ends before.
            let over_ends = self.applied_override(now_ms).and_then(|over| over.expires_at).unwrap_or(i64::MAX);
            return Room { jobs: 0, at_ms, look_at_ms: over_ends.min(at_ms - HORIZON_MS / 2) };
        }
        let throttled = limits.throttle.map_or(MAX_ROOM, a_second_of);
        let jobs = slots.min(starts).min(throttled).min(MAX_ROOM);
        Room { jobs, at_ms, look_at_ms: now_ms + LOOK_MS }
    }

    /// Holders that are believed no longer, the longest ago first: their jobs say whether they still are active.
    #[must_use]
    pub fn stale_holders(&self, now_ms: i64) -> Vec<String> {
        let mut stale: Vec<_> = self.holders.iter().filter(|(_, until)| **until <= now_ms).collect();
        stale.sort_by_key(|(_, until)| **until);
        stale.into_iter().map(|(holder, _)| holder.clone()).collect()
    }
}

/// How many starts a throttle allows in a second, from 1 to [`MAX_THROTTLED_ROOM`].
fn a_second_of(throttle: Window) -> usize {
    let starts = i64::from(throttle.limit).saturating_mul(1_000) / throttle.period_ms.max(1);
    usize::try_from(starts.clamp(1, MAX_THROTTLED_ROOM)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::limit::state::Override;

    const NOW: i64 = 1_700_000_000_000;

    #[test]
    fn jobs_that_were_refused_more_than_twice_or_come_behind_others_are_parked() {
        let first = Waiting {
            on_limit: OnLimit::Wait,
            is_fifo: false,
            receives: 1,
            is_behind_parked: false,
            place: Place::Queue,
            wait_ms: None,
        };
        let released = Waiting { is_behind_parked: true, place: Place::Released, ..first };
        for (waiting, parks) in [
            (first, false),
            (Waiting { receives: 2, ..first }, false),
            (Waiting { receives: 3, ..first }, true),
            (Waiting { receives: 3, wait_ms: Some(10), ..first }, true),
            (Waiting { is_behind_parked: true, ..first }, true),
            (Waiting { is_behind_parked: true, wait_ms: Some(10), ..first }, true),
            // Its slot went to another job: it waits for the next one.
            (released, true),
            (Waiting { is_behind_parked: false, ..released }, true),
            (Waiting { place: Place::Parked, wait_ms: Some(10), ..first }, true),
            // It came a little early.
            (Waiting { wait_ms: Some(MAX_REST_MS), ..released }, false),
            (Waiting { wait_ms: Some(MAX_REST_MS), receives: 10, ..released }, false),
            (Waiting { wait_ms: Some(MAX_REST_MS), receives: 11, ..released }, true),
            (Waiting { wait_ms: Some(MAX_REST_MS + 1), ..released }, true),
            (Waiting { receives: 9, is_fifo: true, ..first }, false),
            (Waiting { receives: 9, on_limit: OnLimit::Reschedule, ..first }, false),
            (Waiting { receives: 9, on_limit: OnLimit::Drop, ..first }, false),
        ] {
            assert_eq!(waiting.parks(), parks, "{waiting:?}");
        }
    }

    fn window(limit: u32, period_ms: i64) -> Option<Window> {
        Some(Window { limit, period_ms })
    }

    fn started(limits: &Limits, starts: u32) -> LimitState {
        (0..starts).fold(LimitState::default(), |state, i| state.start(limits, &i.to_string(), NOW + 9, NOW).unwrap())
    }

    #[test]
    fn as_many_have_messages_as_may_start_within_two_minutes() {
        let concurrency = |most| Limits { concurrency: Some(most), ..Limits::default() };
        let rate = |limit, period_ms| Limits { rate: window(limit, period_ms), ..Limits::default() };
        let throttle = |limit, period_ms| Limits { throttle: window(limit, period_ms), ..Limits::default() };
        let soon = LOOK_MS;
        for (limits, starts, jobs, after, look_after) in [
            (concurrency(3), 1, 2, 0, soon),
            (concurrency(3), 3, 0, 0, soon),
            (concurrency(1_000), 1, 100, 0, soon),
            (rate(5, 1_000), 2, 3, 0, soon),
            (rate(5, 1_000), 5, 5, 1_000, soon),
            (rate(5, 120_000), 5, 5, 120_000, soon),
            (rate(5, 3_600_000), 5, 0, 3_600_000, 3_540_000),
            (rate(1_000, 1_000), 1, 100, 0, soon),
            (throttle(5, 1_000), 1, 5, 200, soon),
            (throttle(1, 60_000), 1, 1, 60_000, soon),
            (throttle(1_000, 1_000), 1, 10, 1, soon),
            (Limits { concurrency: Some(2), ..rate(5, 1_000) }, 1, 1, 0, soon),
        ] {
            let wanted = Room { jobs, at_ms: NOW + after, look_at_ms: NOW + look_after };
            assert_eq!(started(&limits, starts).room(NOW), wanted, "{limits:?} {starts}");
        }
        let blocked = started(&concurrency(3), 1).block_until(NOW + 5_000, NOW);
        assert_eq!((blocked.room(NOW).jobs, blocked.room(NOW).at_ms), (2, NOW + 5_000));
        // A tick looks when an override ends that keeps jobs from starting for longer.
        let over = Override { limits: rate(1, 3_600_000), expires_at: Some(NOW + 600_000) };
        let over = started(&rate(5, 1_000), 3).with_override(Some(over));
        assert_eq!((over.room(NOW).jobs, over.room(NOW).look_at_ms), (0, NOW + 600_000));
    }

    #[test]
    fn the_note_of_parked_jobs_is_made_anew_while_jobs_are_parked_and_goes_after_them() {
        let limits = Limits { concurrency: Some(1), ..Limits::default() };
        let noted = started(&limits, 1).with_parked(&limits, NOW).unwrap();
        assert_eq!(noted.parking, Some(Parking { noted_at_ms: NOW, look_at_ms: NOW + LOOK_MS }));
        assert_eq!(noted.idle_at_ms(), i64::MAX);
        assert_eq!(noted.release("0").unwrap().idle_at_ms(), i64::MAX, "not before the jobs have gone");
        assert_eq!(noted.with_parked(&limits, NOW + NOTE_MS - 1), None);
        let again = noted.with_parked(&limits, NOW + NOTE_MS).unwrap();
        assert_eq!(again.parking, Some(Parking { noted_at_ms: NOW + NOTE_MS, look_at_ms: NOW + LOOK_MS }));
        // Of a policy that has never let a job start.
        let closed = Limits { concurrency: Some(0), ..Limits::default() };
        assert_eq!(LimitState::default().with_parked(&closed, NOW).unwrap().room(NOW).jobs, 0);
        for (found, after, gone) in [(true, GONE_MS, false), (false, GONE_MS - 1, false), (false, GONE_MS, true)] {
            let looked = noted.looked(found, NOW + after).unwrap();
            assert_eq!(looked.parking.is_none(), gone, "{found} {after}");
            assert!(looked.parking.is_none_or(|parking| parking.look_at_ms == NOW + after + LOOK_MS));
            assert_eq!(looked.version, noted.version + 1);
        }
        assert_eq!(started(&limits, 1).looked(false, NOW), None);
    }

    #[test]
    fn stale_holders_come_longest_ago_first() {
        let limits = Limits { concurrency: Some(3), ..Limits::default() };
        let state = ["a", "b", "c"].iter().zip([30, 10, 20]).fold(LimitState::default(), |state, (holder, until)| {
            state.start(&limits, holder, NOW + until, NOW).unwrap()
        });
        assert_eq!(state.stale_holders(NOW + 20), ["b", "c"]);
    }
}
