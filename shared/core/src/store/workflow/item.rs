//! A workflow as items: what was asked for (`D`, and of a long chain `D#n` for the steps from `n` on), how far it is (`M`), the open
//! steps of a group or batch (`S`, in partitions of their own), and the results that later steps get (`R#n`, beside `M` or `S`).
//!
//! | name | holds | | name | holds |
//! |---|---|---|---|---|
//! | `df` | `D`: definition, `D#n`: steps, JSON | | `s` `kd` | state, kind |
//! | `st` | states of its steps, a letter each, a capital one if the result is kept | | `sh` `op` | shards, and those with open steps |
//! | `ca` `en` | created, ended, ms | | `cr` | its first jobs may not all be made |
//! | `nm` | name | | `cd` | its callbacks are made |
//! | `v` `nc` | version, nonce of the last write | | `dup` `dus` | due index: when a tick looks after it |
//! | `lp` `lo` | listing index, outermost ones only | | `ttl` | when the items may go, s |
//! | `pa` | which member of which workflow it is | | `cf` | one of its callbacks has failed |
//! | `tp` | `traceparent` of its making | | `rx` | the kept results have a time to live |
//! | `ct` | first steps of the `D#n` | | `re` | `R#n`: the result; absent where it is null |

use aws_sdk_dynamodb::types::AttributeValue;

use crate::store::dynamo::attributes::{Item, b, get_n, get_u64, n, s, take_s};
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::job::MemberOf;
use ojs_model::job::State;
use ojs_model::workflow::{Kind, StepState, Workflow, WorkflowState};

/// How long a workflow inside another one is kept at least, s: 90 days.
const NESTED_KEPT_S: i64 = 90 * 86_400;

impl Store {
    pub(in crate::store) fn workflow_item(&self, workflow: &Workflow, nonce: u64) -> Item {
        let mut item = keys::workflow(&workflow.id);
        let mut put = |name: &str, value| item.insert(name.to_owned(), value);
        put("s", s(workflow.state.as_str()));
        put("kd", s(workflow.kind.as_str()));
        if let Some(name) = &workflow.name {
            put("nm", s(name));
        }
        put("st", s(letters(workflow)));
        put("ca", n(workflow.created_at));
        put("v", n(workflow.version));
        put("nc", n(nonce));
        if let Some(at) = workflow.ended_at {
            put("en", n(at));
            put("ttl", n(self.workflow_ttl_s(at, workflow.parent.is_some())));
        }
        if !workflow.cuts.is_empty() {
            put("ct", s(workflow.cuts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")));
        }
        if workflow.results_expire {
            put("rx", n(1));
        }
        if workflow.shards > 0 {
            put("sh", n(workflow.shards));
        }
        if let Some(trace) = &workflow.trace {
            put("tp", s(trace));
        }
        if workflow.creating {
            put("cr", n(1));
        }
        let shard = keys::shard(&workflow.id, self.shards);
        if let Some(at) = workflow.due_at {
            put("dup", s(keys::unfinished(shard)));
            put("dus", n(at));
        }
        if let Some(parent) = &workflow.parent {
            put("pa", s(parent.to_string()));
        } else if self.listing {
            put("lp", s(keys::workflows(shard)));
            put("lo", b(keys::listing_sort(workflow.created_at, &workflow.id)));
        }
        item
    }

    /// When the table may forget a workflow that ended at `at_ms`, s since the Unix epoch. One inside another (`nested`) is asked for as
    /// long as that one runs and, of a batch, the callbacks.
    pub(in crate::store) fn workflow_ttl_s(&self, at_ms: i64, nested: bool) -> i64 {
        self.ttl_s(State::Completed, at_ms).max(if nested { at_ms / 1_000 + NESTED_KEPT_S } else { 0 })
    }
}

/// A letter for each step; a capital one where its result is kept.
fn letters(workflow: &Workflow) -> String {
    let mut letters: Vec<char> = workflow.steps.iter().map(|step| step.letter()).collect();
    for at in &workflow.results {
        if let Some(letter) = letters.get_mut(*at) {
            letter.make_ascii_uppercase();
        }
    }
    letters.into_iter().collect()
}

/// Shards that still have open steps.
pub(in crate::store) fn open_shards(count: usize) -> AttributeValue {
    AttributeValue::Ns((0..count).map(|shard| shard.to_string()).collect())
}

pub(in crate::store) fn workflow_of(mut item: Item) -> Result<Workflow> {
    let broken = || Error::internal("a workflow is missing an attribute");
    let pk = take_s(&mut item, "pk").ok_or_else(broken)?;
    let id: JobId = keys::workflow_of_pk(&pk).ok_or_else(broken)?;
    let steps = take_s(&mut item, "st").ok_or_else(broken)?;
    let kind = match take_s(&mut item, "kd").as_deref() {
        Some("chain") => Kind::Chain,
        Some("group") => Kind::Group,
        Some("batch") => Kind::Batch,
        Some("graph") => Kind::Graph,
        _ => return Err(broken()),
    };
    Ok(Workflow {
        id,
        kind,
        name: take_s(&mut item, "nm"),
        parent: match take_s(&mut item, "pa") {
            Some(text) => Some(MemberOf::parse(&text).ok_or_else(broken)?),
            None => None,
        },
        state: take_s(&mut item, "s").and_then(|state| WorkflowState::parse(&state)).ok_or_else(broken)?,
        results: steps
            .chars()
            .enumerate()
            .filter(|(_, letter)| letter.is_ascii_uppercase())
            .map(|(at, _)| at)
            .collect(),
        results_expire: item.contains_key("rx"),
        cuts: take_s(&mut item, "ct")
            .map_or_else(|| Some(Vec::new()), |cuts| cuts.split(',').map(|cut| cut.parse().ok()).collect())
            .ok_or_else(broken)?,
        steps: (steps.chars().map(|letter| StepState::of_letter(letter.to_ascii_lowercase())))
            .collect::<Option<_>>()
            .ok_or_else(broken)?,
        shards: get_n(&item, "sh").and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
        creating: item.contains_key("cr"),
        called_back: item.contains_key("cd"),
        callback_failed: item.contains_key("cf"),
        trace: take_s(&mut item, "tp"),
        created_at: get_n(&item, "ca").ok_or_else(broken)?,
        ended_at: get_n(&item, "en"),
        due_at: get_n(&item, "dus"),
        version: get_u64(&item, "v").ok_or_else(broken)?,
    })
}

/// What an item of a definition holds: the definition with its first steps, or further steps.
pub(in crate::store) fn part_of<T: serde::de::DeserializeOwned>(mut item: Item) -> Result<T> {
    let text = take_s(&mut item, "df").ok_or_else(|| Error::internal("a workflow is missing its definition"))?;
    serde_json::from_str(&text).map_err(Error::internal)
}
