//! What holds for any history of one key.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{LimitState, Limited, Limits, Override, Window};

const NOW: i64 = 1_700_000_000_000;
const HOLD_MS: i64 = 300;

fn any_limits() -> impl Strategy<Value = Limits> {
    let window = || {
        let window = (1u32..5, 1i64..400).prop_map(|(limit, period_ms)| Window { limit, period_ms });
        proptest::option::of(window)
    };
    (proptest::option::of(0u32..4), window(), window()).prop_map(|(concurrency, rate, throttle)| Limits {
        concurrency,
        rate,
        throttle,
    })
}

/// A history as it really happened, beside the state that was made of it.
#[derive(Default)]
struct World {
    state: LimitState,
    starts: Vec<i64>,
    active: BTreeSet<String>,
    /// Starts that no claim has followed: the states before and after, and the job.
    unclaimed: Vec<(LimitState, LimitState, String)>,
}

impl World {
    fn start(&mut self, limits: &Limits, job: &str, now: i64, claimed: bool) -> Result<(), Limited> {
        let before = self.state.clone();
        self.state = before.start(limits, job, now + HOLD_MS, now)?;
        assert_eq!(self.state.version, before.version + 1);
        if claimed {
            self.starts.push(now);
            self.active.insert(job.to_owned());
        } else {
            self.unclaimed.push((before, self.state.clone(), job.to_owned()));
        }
        Ok(())
    }

    fn forget(&mut self, which: usize) {
        if !self.unclaimed.is_empty() {
            let (before, after, job) = self.unclaimed.swap_remove(which % self.unclaimed.len());
            self.state = self.state.forget_start(&before, &after, &job).unwrap_or_else(|| self.state.clone());
        }
    }

    fn end(&mut self, job: &str) {
        self.active.remove(job);
        self.state = self.state.release(job).unwrap_or_else(|| self.state.clone());
    }
}

/// Starts per window, each begun by the first start after the one before it.
fn fullest_window(starts: &[i64], period_ms: i64) -> usize {
    let (mut rest, mut most) = (starts, 0);
    while let Some(first) = rest.first() {
        let inside = rest.partition_point(|at| *at < first + period_ms);
        most = most.max(inside);
        rest = &rest[inside..];
    }
    most
}

proptest! {
    #[test]
    fn the_limits_hold_for_any_history(
        limits in any_limits(),
        moves in proptest::collection::vec((0u8..9, 0u8..6, 0i64..120), 1..80), all_claimed: bool,
    ) {
        let mut world = World::default();
        let mut now = NOW;
        for (kind, job, wait) in moves {
            // Nothing runs in no time.
            now += if kind == 0 { wait + 1 } else { wait };
            let which = usize::from(job);
            let job = format!("job-{job}");
            match kind {
                0 => world.end(&job),
                1 if !all_claimed => drop(world.start(&limits, &job, now, false)),
                2 => world.forget(which),
                _ => match world.start(&limits, &job, now, true) {
                    Ok(()) => {}
                    Err(Limited::Until(at)) => {
                        prop_assert!(at > now);
                        // It is told neither too late nor too early.
                        let after = |at| world.state.start(&limits, &job, at + HOLD_MS, at);
                        prop_assert!(after(at).is_ok() && after(at - 1).is_err());
                    }
                    Err(Limited::Full { stale }) => {
                        prop_assert!(!world.active.contains(&job));
                        for stale in stale {
                            prop_assert!(world.state.holders[&stale] <= now);
                            // As the engine would: ask the job.
                            let asked = if world.active.contains(&stale) {
                                world.state.refresh(&stale, now + HOLD_MS)
                            } else {
                                world.state.release(&stale)
                            };
                            world.state = asked.unwrap();
                        }
                    }
                    Err(Limited::Closed { until }) => {
                        prop_assert_eq!((limits.concurrency, until), (Some(0), None));
                    }
                },
            }
            if let Some(most) = limits.concurrency {
                prop_assert!(world.active.len() <= most as usize);
                let held = |job: &String| world.state.holders.contains_key(job);
                prop_assert!(world.active.iter().all(held));
                prop_assert!(!all_claimed || world.active.len() == world.state.holders.len());
            } else {
                prop_assert!(world.state.holders.is_empty());
            }
        }
        if let Some(Window { limit, period_ms }) = limits.rate {
            // The first start of a window may be one that was undone later.
            prop_assert!(!all_claimed || fullest_window(&world.starts, period_ms) <= limit as usize);
            for (i, first) in world.starts.iter().enumerate() {
                let inside = world.starts[i..].iter().take_while(|at| **at < first + period_ms).count();
                prop_assert!(inside <= 2 * limit as usize);
            }
        }
        if let Some(throttle) = limits.throttle {
            let exact = |limit: u32, period_ms: i64, gap: i64| gap * i64::from(limit) >= period_ms;
            prop_assert!(world.starts.windows(2).all(|w| exact(throttle.limit, throttle.period_ms, w[1] - w[0])));
        }
    }

    /// Where clocks differ by up to `skew`, a window is short by as much at most.
    #[test]
    fn clocks_that_differ_break_no_limit(
        limit in 1u32..5, period_ms in 100i64..400, skew in 0i64..100,
        moves in proptest::collection::vec((any::<bool>(), 0i64..60), 1..80),
    ) {
        let limits = Limits { rate: Some(Window { limit, period_ms }), ..Limits::default() };
        let (mut world, mut now, mut real) = (World::default(), NOW, Vec::new());
        for (ahead, wait) in moves {
            now += wait;
            if world.start(&limits, "a", if ahead { now + skew } else { now }, true).is_ok() {
                real.push(now);
            }
        }
        for (i, first) in real.iter().enumerate() {
            let inside = real[i..].iter().take_while(|at| **at < first + period_ms - skew).count();
            prop_assert!(inside <= 2 * limit as usize);
        }
    }

    /// Of workers that start the same job at once, all but one lose the claim, in any order; the slot stays held, once.
    #[test]
    fn lost_claims_leave_the_slot_with_the_winner(
        holds in proptest::collection::vec(0i64..3, 1..6), winner in any::<prop::sample::Index>(),
        order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let limits = Limits { concurrency: Some(1), ..Limits::default() };
        let mut states = vec![LimitState::default()];
        for hold in &holds {
            states.push(states.last().unwrap().start(&limits, "a", NOW + hold, NOW).unwrap());
        }
        let winner = winner.index(holds.len());
        let mut state = states.last().unwrap().clone();
        for loser in order.into_iter().filter(|i| *i < holds.len() && *i != winner) {
            state = state.forget_start(&states[loser], &states[loser + 1], "a").unwrap_or(state);
        }
        prop_assert_eq!(state.holders.keys().collect::<Vec<_>>(), ["a"]);
        prop_assert!(state.release("a").unwrap().holders.is_empty());
    }

    /// Forgetting an idle state changes nothing, for policies that agree where both limit the same.
    #[test]
    fn an_idle_state_decides_as_a_new_one_does(
        all in any_limits(), over in proptest::option::of((any_limits(), 1i64..500)),
        moves in proptest::collection::vec((0u8..8, 0i64..120, any::<bool>()), 1..20), then in 0i64..1_000,
    ) {
        let part = |mask: u8| match over {
            Some(_) => all,
            None => Limits {
                concurrency: all.concurrency.filter(|_| mask & 1 == 0),
                rate: all.rate.filter(|_| mask & 2 == 0),
                throttle: all.throttle.filter(|_| mask & 4 == 0),
            },
        };
        let over = over.map(|(limits, ends)| Override { limits, expires_at: Some(NOW + ends) });
        let mut world = World { state: LimitState::default().with_override(over), ..World::default() };
        let mut now = NOW;
        for (mask, wait, block) in moves {
            now += wait;
            drop(world.start(&part(mask), "a", now, true));
            if block {
                world.state = world.state.block_until(now + wait / 2, now);
            }
            world.end("a");
        }
        let at = now.max(world.state.idle_at_ms()) + then;
        prop_assert!(world.state.is_idle(at));
        for limits in (0..8).map(part) {
            let decision = |state: &LimitState| state.start(&limits, "b", at + HOLD_MS, at).map(|_| ());
            prop_assert_eq!(decision(&world.state), decision(&LimitState::default()));
        }
    }
}
