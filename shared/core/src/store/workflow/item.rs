//! A workflow as items: what was asked for (`D`, and of a long chain `D#n` for the steps from `n` on), how far it is (`M`), the open
//! steps of a group or batch (`S`, in partitions of their own), and the results that later steps get (`R#n`, beside `M` or `S`).

use aws_sdk_dynamodb::types::AttributeValue;

use super::{attributes as workflow, part_attributes as part};
use crate::store::dynamo::attributes::{Attribute, Item, PK, b, get_n, get_u64, has, n, s, take_s};
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
        let mut put = |attribute: Attribute, value| item.insert(attribute.name().to_owned(), value);
        put(workflow::STATE, s(workflow.state.as_str()));
        put(workflow::KIND, s(workflow.kind.as_str()));
        if let Some(name) = &workflow.name {
            put(workflow::NAME, s(name));
        }
        put(workflow::STEPS, s(letters(workflow)));
        put(workflow::CREATED_AT, n(workflow.created_at));
        put(workflow::VERSION, n(workflow.version));
        put(workflow::NONCE, n(nonce));
        if let Some(at) = workflow.ended_at {
            put(workflow::ENDED_AT, n(at));
            put(workflow::TTL, n(self.workflow_ttl_s(at, workflow.parent.is_some())));
        }
        if !workflow.cuts.is_empty() {
            put(workflow::CUTS, s(workflow.cuts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")));
        }
        if workflow.results_expire {
            put(workflow::RESULTS_EXPIRE, n(1));
        }
        if workflow.shards > 0 {
            put(workflow::SHARDS, n(workflow.shards));
        }
        if let Some(trace) = &workflow.trace {
            put(workflow::TRACE, s(trace));
        }
        if workflow.creating {
            put(workflow::CREATING, n(1));
        }
        let shard = keys::shard(&workflow.id, self.shards);
        if let Some(at) = workflow.due_at {
            put(workflow::DUE_PARTITION, s(keys::unfinished(shard)));
            put(workflow::DUE_SORT, n(at));
        }
        if let Some(parent) = &workflow.parent {
            put(workflow::PARENT, s(parent.to_string()));
        } else if self.listing {
            put(workflow::LISTING_PARTITION, s(keys::workflows(shard)));
            put(workflow::LISTING_SORT, b(keys::listing_sort(workflow.created_at, &workflow.id)));
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
    let pk = take_s(&mut item, PK).ok_or_else(broken)?;
    let id: JobId = keys::workflow_of_pk(&pk).ok_or_else(broken)?;
    let steps = take_s(&mut item, workflow::STEPS).ok_or_else(broken)?;
    let kind = match take_s(&mut item, workflow::KIND).as_deref() {
        Some("chain") => Kind::Chain,
        Some("group") => Kind::Group,
        Some("batch") => Kind::Batch,
        Some("graph") => Kind::Graph,
        _ => return Err(broken()),
    };
    Ok(Workflow {
        id,
        kind,
        name: take_s(&mut item, workflow::NAME),
        parent: match take_s(&mut item, workflow::PARENT) {
            Some(text) => Some(MemberOf::parse(&text).ok_or_else(broken)?),
            None => None,
        },
        state: take_s(&mut item, workflow::STATE).and_then(|state| WorkflowState::parse(&state)).ok_or_else(broken)?,
        results: steps
            .chars()
            .enumerate()
            .filter(|(_, letter)| letter.is_ascii_uppercase())
            .map(|(at, _)| at)
            .collect(),
        results_expire: has(&item, workflow::RESULTS_EXPIRE),
        cuts: take_s(&mut item, workflow::CUTS)
            .map_or_else(|| Some(Vec::new()), |cuts| cuts.split(',').map(|cut| cut.parse().ok()).collect())
            .ok_or_else(broken)?,
        steps: (steps.chars().map(|letter| StepState::of_letter(letter.to_ascii_lowercase())))
            .collect::<Option<_>>()
            .ok_or_else(broken)?,
        shards: get_n(&item, workflow::SHARDS).and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
        creating: has(&item, workflow::CREATING),
        called_back: has(&item, workflow::CALLED_BACK),
        callback_failed: has(&item, workflow::CALLBACK_FAILED),
        trace: take_s(&mut item, workflow::TRACE),
        created_at: get_n(&item, workflow::CREATED_AT).ok_or_else(broken)?,
        ended_at: get_n(&item, workflow::ENDED_AT),
        due_at: get_n(&item, workflow::DUE_SORT),
        version: get_u64(&item, workflow::VERSION).ok_or_else(broken)?,
    })
}

/// What an item of a definition holds: the definition with its first steps, or further steps.
pub(in crate::store) fn part_of<T: serde::de::DeserializeOwned>(mut item: Item) -> Result<T> {
    let text =
        take_s(&mut item, part::DEFINITION).ok_or_else(|| Error::internal("a workflow is missing its definition"))?;
    serde_json::from_str(&text).map_err(Error::internal)
}
