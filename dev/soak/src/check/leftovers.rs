//! Nothing is left over: no message, no lock, no slot, no parked job, no entry of the due index, no count too many.

use std::collections::BTreeMap;

use super::{Violation, World, violation};
use crate::drain::is_under_way;
use crate::ghosts::belongs_to;
use crate::table::Item;

const RULE: &str = "nothing left over";

pub(super) fn check(world: &World) -> Vec<Violation> {
    let mut found: Vec<Violation> = world
        .items
        .iter()
        .filter(|item| is_under_way(item) && !belongs_to(item, &world.ghosts))
        .map(|item| {
            let more = |name: &str| item.text(name).unwrap_or("none").to_owned();
            violation(RULE, format!("{} is {:?}, due index {}", item.pk(), item.state(), more("dup")))
        })
        .collect();
    if world.messages > 0 {
        found.push(violation(RULE, format!("{} messages", world.messages)));
    }
    found.extend(counted_twice(world));
    found
}

/// A crash may keep an end from being counted; none is counted twice.
fn counted_twice(world: &World) -> Vec<Violation> {
    let (mut counted, mut ended): (BTreeMap<_, u64>, BTreeMap<_, u64>) = Default::default();
    for item in &world.items {
        if let Some(job) = item.job_id().and_then(|id| world.jobs.get(id)) {
            let state = job["state"].as_str().unwrap_or_default().to_owned();
            *ended.entry((job["queue"].as_str().unwrap_or_default().to_owned(), state)).or_default() += 1;
        }
        let Some(queue) = queue_counted(item) else { continue };
        for state in crate::drain::TERMINAL {
            let count = item.text(state).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
            *counted.entry((queue.to_owned(), (*state).to_owned())).or_default() += count;
        }
    }
    let too_many = counted.iter().filter(|(of, count)| **count > ended.get(of).copied().unwrap_or(0));
    too_many
        .map(|((queue, state), count)| {
            let there = ended.get(&(queue.clone(), state.clone())).copied().unwrap_or(0);
            violation("counters", format!("queue {queue}: {count} {state} counted, {there} are there"))
        })
        .collect()
}

/// The queue whose counter an item is: `COUNTER#<queue>#<shard>`.
fn queue_counted(item: &Item) -> Option<&str> {
    item.pk().strip_prefix("COUNTER#")?.rsplit_once('#').map(|(queue, _)| queue)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn item(value: Value) -> Item {
        Item(value.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn a_lock_and_a_message_that_are_left_are_found() {
        let lock = item(json!({"pk": {"S": "UNIQUE#x"}, "sk": {"S": "U"}}));
        let world = World { items: vec![lock], messages: 1, ..World::default() };
        assert_eq!(check(&world).len(), 2);
    }

    #[test]
    fn an_end_that_is_counted_twice_is_found() {
        let job = item(json!({"pk": {"S": "JOB#a"}, "sk": {"S": "J"}, "s": {"S": "completed"}}));
        let counter =
            |count: &str| item(json!({"pk": {"S": "COUNTER#q#3"}, "sk": {"S": "C"}, "completed": {"N": count}}));
        let world = |count| World {
            items: vec![job.clone(), counter(count)],
            jobs: [("a".to_owned(), json!({"queue": "q", "state": "completed"}))].into(),
            ..World::default()
        };
        assert!(check(&world("1")).is_empty() && check(&world("0")).is_empty());
        assert_eq!(check(&world("2")).len(), 1);
    }
}
