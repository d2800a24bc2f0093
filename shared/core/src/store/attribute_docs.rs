//! Compares the attributes of each item kind with the tables of docs/architecture.md.

use std::collections::BTreeSet;

use super::{batch, cron, idempotency, job, limit, lock, progress, queue, worker, workflow};

const PAGE: &str = include_str!("../../../../docs/architecture.md");

/// What stands in backticks and looks like the name of an attribute.
fn names(text: &str) -> BTreeSet<&str> {
    let is_name = |word: &&str| {
        word.len() <= 12
            && word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    text.split('`').skip(1).step_by(2).filter(is_name).collect()
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split(" | ").collect()
}

/// The names in the column "Holds" of the table of items, of the rows whose first cell is one of these.
fn of_items(kinds: &[&str]) -> BTreeSet<&'static str> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| ")).map(cells);
    let rows = rows.filter(|cells| cells.len() == 5 && cells.first().is_some_and(|kind| kinds.contains(&kind.trim())));
    rows.filter_map(|cells| cells.get(3).copied()).flat_map(names).collect()
}

/// The names in the columns "Name" of the tables under a heading.
fn of_section(heading: &str) -> BTreeSet<&'static str> {
    let section = PAGE.split("\n#").find(|section| section.trim_start_matches('#').trim_start().starts_with(heading));
    let rows = section.unwrap_or_default().lines().filter(|line| line.starts_with("| ")).map(cells);
    rows.flat_map(|cells| cells.into_iter().step_by(2).flat_map(names).collect::<Vec<_>>()).collect()
}

#[test]
fn the_documented_attributes_are_those_of_the_code() {
    let slots: Vec<&str> = queue::counter_attributes::NONCES.iter().map(|slot| slot.name()).collect();
    let (first, last) = (slots.first().copied(), slots.last().copied());
    let counter = queue::counter_attributes::ALL.iter().copied().chain(first).chain(last);
    let kinds: Vec<(&str, BTreeSet<&str>, BTreeSet<&str>)> = vec![
        ("job", of_section("A job's attributes"), job::attributes::ALL.iter().copied().collect()),
        ("cron job", of_section("A cron job's attributes"), cron::attributes::ALL.iter().copied().collect()),
        ("counter", of_items(&["counter"]), counter.collect()),
        ("registry", of_items(&["queue registry"]), queue::registry_attributes::ALL.iter().copied().collect()),
        ("queue state", of_items(&["queue state"]), queue::attributes::ALL.iter().copied().collect()),
        ("worker", of_items(&["worker"]), worker::attributes::ALL.iter().copied().collect()),
        ("progress", of_items(&["progress"]), progress::attributes::ALL.iter().copied().collect()),
        ("lock", of_items(&["lock of a unique key"]), lock::attributes::ALL.iter().copied().collect()),
        ("batch", of_items(&["batch"]), batch::attributes::ALL.iter().copied().collect()),
        ("workflow", of_items(&["workflow: progress"]), workflow::attributes::ALL.iter().copied().collect()),
        (
            "parts of a workflow",
            of_items(&["workflow: definition", "workflow: result of a step", "workflow: open steps"]),
            workflow::part_attributes::ALL.iter().copied().collect(),
        ),
        ("rate limit", of_items(&["rate limit"]), limit::attributes::ALL.iter().copied().collect()),
        (
            "request",
            of_items(&["request with an idempotency key"]),
            idempotency::attributes::ALL.iter().copied().collect(),
        ),
    ];
    for (kind, documented, constants) in kinds {
        assert!(!documented.is_empty(), "{kind}: no table found");
        let undocumented: Vec<_> = constants.difference(&documented).collect();
        let unknown: Vec<_> = documented.difference(&constants).collect();
        assert!(undocumented.is_empty(), "{kind}: not in docs/architecture.md: {undocumented:?}");
        assert!(unknown.is_empty(), "{kind}: in docs/architecture.md without a constant: {unknown:?}");
    }
}

#[test]
fn a_name_is_what_is_in_backticks_and_short() {
    let text = "`a1` b `JOB#` and `sct`/`un_x`, `{\"x\": 1}` `a name` `0`";
    assert_eq!(names(text), BTreeSet::from(["a1", "sct", "un_x"]));
}
