//! Cron jobs: one job per time, and none is left out where the policy is to allow.

use std::collections::BTreeMap;

use super::{Violation, World, violation};
use crate::time::ms_of;

/// Time between two firings, ms.
const EVERY_MS: i64 = 2_000;

pub(super) fn check(world: &World) -> Vec<Violation> {
    let mut fired: BTreeMap<(&str, i64), usize> = BTreeMap::new();
    for job in world.jobs.values() {
        let (name, at) = (&job["meta"]["cron_name"], ms_of(&job["meta"]["cron_triggered_at"]));
        if let (Some(name), Some(at)) = (name.as_str(), at) {
            *fired.entry((name, at)).or_default() += 1;
        }
    }
    let mut found = Vec::new();
    for ((name, at), count) in &fired {
        if *count > 1 {
            found.push(violation("cron", format!("{name} fired {count} times at {at}")));
        }
    }
    let times: Vec<i64> = fired.keys().filter(|(name, _)| *name == "soak-allow").map(|(_, at)| *at).collect();
    for two in times.windows(2) {
        if let [one, next] = two
            && next - one != EVERY_MS
        {
            found.push(violation("cron", format!("soak-allow fired at {one} and then at {next}")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::at;
    use super::*;

    fn world(times: &[i64]) -> World {
        let jobs = times
            .iter()
            .enumerate()
            .map(|(n, ms)| (n.to_string(), json!({"meta": {"cron_name": "soak-allow", "cron_triggered_at": at(*ms)}})));
        World { jobs: jobs.collect(), ..World::default() }
    }

    #[test]
    fn times_that_fired_twice_or_not_at_all_are_found() {
        assert!(check(&world(&[2_000, 4_000, 6_000])).is_empty());
        assert_eq!(check(&world(&[2_000, 4_000, 4_000])).len(), 1);
        assert_eq!(check(&world(&[2_000, 6_000])).len(), 1);
    }
}
