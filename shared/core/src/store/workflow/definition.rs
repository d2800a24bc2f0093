//! What was asked for with a workflow: one item, and of a long chain one for each part, so that a step reads what it needs.

use super::item::part_of;
use super::part_attributes as part;
use crate::store::dynamo::attributes::{Item, PK, SK, s};
use crate::store::dynamo::query::Query;
use crate::store::{Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::ids::JobId;
use ojs_model::workflow::{Definition, Step, Workflow};

impl Store {
    /// Reads what was asked for with a workflow: one query.
    ///
    /// # Errors
    /// The AWS error; `internal_error` when it cannot be read.
    pub async fn get_definition(&self, id: &JobId) -> Result<Option<Definition>> {
        let mut whole: Option<Definition> = None;
        let mut start = None;
        loop {
            let parts = PK.is(keys::workflow_pk(id)).and(SK.begins_with(keys::DEFINITION_SK));
            let page = Query::bounded(parts).consistent(true).after(start).in_table(self).await?;
            for item in page.items {
                match &mut whole {
                    // The first part sorts before the others.
                    None => whole = Some(part_of(item)?),
                    Some(whole) => whole.steps.extend(part_of::<Vec<Step>>(item)?),
                }
            }
            start = page.next;
            if start.is_none() {
                return Ok(whole);
            }
        }
    }

    /// Reads as much of a workflow's definition as the end of step `index` needs: of a chain that is cut, the part with the step
    /// after it; of any other all. One read.
    ///
    /// # Errors
    /// As [`Self::get_definition`].
    pub async fn get_definition_after(&self, workflow: &Workflow, index: usize) -> Result<Option<Definition>> {
        let Some(first_cut) = workflow.cuts.first() else { return self.get_definition(&workflow.id).await };
        let (first, key) = match workflow.cuts.iter().rev().find(|cut| **cut <= index + 1) {
            Some(cut) if cut >= first_cut => (*cut, keys::workflow_definition_part(&workflow.id, *cut)),
            _ => (0, keys::workflow_definition(&workflow.id)),
        };
        let Some(item) = self.get_item(key).await? else { return Ok(None) };
        let read = if first == 0 { part_of::<Definition>(item)?.steps } else { part_of::<Vec<Step>>(item)? };
        Ok(Some(Definition::part_of_chain(workflow.steps.len(), first, read)))
    }
}

/// The items of a new workflow's definition, cut where the workflow says.
pub(in crate::store) fn definition_items(workflow: &Workflow, definition: &Definition) -> Result<Vec<Item>> {
    let text = |part: serde_json::Result<String>| part.map(s).map_err(Error::internal);
    let mut items = Vec::with_capacity(1 + workflow.cuts.len());
    let head_steps = workflow.cuts.first().copied().unwrap_or(definition.steps.len());
    let head = Definition {
        kind: definition.kind,
        name: definition.name.clone(),
        steps: definition.steps.iter().take(head_steps).cloned().collect(),
        callbacks: definition.callbacks.clone(),
    };
    let mut item = keys::workflow_definition(&workflow.id);
    item.insert(part::DEFINITION.name().to_owned(), text(serde_json::to_string(&head))?);
    items.push(item);
    for (at, first) in workflow.cuts.iter().enumerate() {
        let end = workflow.cuts.get(at + 1).copied().unwrap_or(definition.steps.len());
        let steps = definition.steps.get(*first..end).unwrap_or_default();
        let mut item = keys::workflow_definition_part(&workflow.id, *first);
        item.insert(part::DEFINITION.name().to_owned(), text(serde_json::to_string(steps))?);
        items.push(item);
    }
    Ok(items)
}
