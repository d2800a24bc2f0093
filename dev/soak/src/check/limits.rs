//! Rate limits: no more jobs of a key run at once than may, and at the end no slot is taken and nothing waits.

use std::collections::HashMap;

use super::{Claim, Violation, World, violation};
use crate::load::LIMIT_CONCURRENCY;

pub(super) fn check(world: &World) -> Vec<Violation> {
    let mut by_key: HashMap<String, Vec<Claim>> = HashMap::new();
    for claim in world.claims() {
        if let Some(key) = &claim.limit {
            by_key.entry(key.clone()).or_default().push(claim);
        }
    }
    let mut found = Vec::new();
    for (key, claims) in &by_key {
        let most = claims.iter().map(|claim| (at_once(claims, claim), claim)).max_by_key(|(count, _)| *count);
        if let Some((count, claim)) = most.filter(|(count, _)| *count > LIMIT_CONCURRENCY) {
            let what = format!("{key}: {count} jobs at once when {} started, {LIMIT_CONCURRENCY} may", claim.job);
            found.push(violation("rate limit", what));
        }
    }
    for key in &world.short_of_slots {
        found.push(violation("nothing left over", format!("limit {key}: a slot is lost")));
    }
    for (key, limit) in &world.limits {
        let (active, waiting) = (&limit["concurrency"]["active"], &limit["waiting_count"]);
        if active.as_u64().unwrap_or(0) > 0 || waiting.as_u64().unwrap_or(0) > 0 {
            found.push(violation("nothing left over", format!("limit {key}: {active} active, {waiting} waiting")));
        }
    }
    found
}

/// How many jobs certainly ran when this one started.
fn at_once(claims: &[Claim], started: &Claim) -> usize {
    let at = started.started_ms;
    claims.iter().filter(|claim| claim.started_ms <= at && at < claim.held_until_ms).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::fetched;
    use super::*;

    #[test]
    fn more_at_once_than_may_run_are_found() {
        let mut world = World {
            calls: vec![fetched("a", 1, "a", 1_000, 5_000), fetched("b", 1, "b", 2_000, 5_000)],
            ..World::default()
        };
        world.calls.push(fetched("c", 1, "c", 5_000, 9_000));
        assert!(check(&world).is_empty());
        world.calls.push(fetched("d", 1, "d", 4_999, 9_000));
        assert_eq!(check(&world).len(), 1);
    }

    #[test]
    fn slots_that_are_left_are_found() {
        let limits = HashMap::from([("k".to_owned(), json!({"concurrency": {"active": 1}, "waiting_count": 0}))]);
        assert_eq!(check(&World { limits, ..World::default() }).len(), 1);
    }
}
