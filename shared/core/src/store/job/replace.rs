use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, Update};

use crate::store::dynamo::attributes::{n, size};
use crate::store::dynamo::update;
use crate::store::dynamo::update::Updated;
use crate::store::{MAX_ITEM_BYTES, Store, keys};
use ojs_model::error::{Error, Result};
use ojs_model::job::Job;

/// The job is as it was read.
const UNCHANGED: &str = "r = :old_revision";

impl Store {
    /// Writes what a step computed from a read: one update of what differs, conditional on the revision read.
    ///
    /// Attributes that this version does not know stay. The oldest errors make room when the item grows too large.
    /// Answers the job as it is then. `nonce` marks this call, so that an SDK retry of it knows its own effect.
    ///
    /// # Errors
    /// The AWS error; the update may have taken effect.
    pub async fn replace_job(&self, old: &Job, new: &Job, nonce: u64) -> Result<Updated> {
        let Some(change) = self.difference(old, new, nonce)? else { return Ok(Updated::TooLarge) };
        let update = self
            .update(&old.id)
            .update_expression(change.expression)
            .set_expression_attribute_names(Some(change.names))
            .set_expression_attribute_values(Some(change.values))
            .condition_expression(UNCHANGED);
        Ok(match update::send(update, ReturnValue::AllNew).await? {
            // An SDK retry of an update that took effect meets its own result.
            Updated::Refused(found) if found.nonce == Some(nonce) => Updated::Done(found),
            other => other,
        })
    }

    /// The same as a part of a transaction.
    ///
    /// # Errors
    /// `internal_error` when the item has no room for it.
    pub(in crate::store) fn transact_replace(&self, old: &Job, new: &Job, nonce: u64) -> Result<Update> {
        let change = self
            .difference(old, new, nonce)?
            .ok_or_else(|| Error::internal(format_args!("job {}: a change that does not fit", old.id)))?;
        Update::builder()
            .table_name(&self.table)
            .set_key(Some(keys::job(&old.id)))
            .update_expression(change.expression)
            .set_expression_attribute_names(Some(change.names))
            .set_expression_attribute_values(Some(change.values))
            .condition_expression(UNCHANGED)
            .build()
            .map_err(Error::internal)
    }

    /// What has to be written; `None` when the item has no room for it.
    fn difference(&self, old: &Job, new: &Job, nonce: u64) -> Result<Option<Difference>> {
        let mut new = new.clone();
        new.revision = old.revision + 1;
        new.nonce = Some(nonce);
        let before = self.item_of(old)?;
        let mut after = self.item_of(&new)?;
        while size(&after) > MAX_ITEM_BYTES {
            if !new.forget_oldest_error() {
                return Ok(None);
            }
            after = self.item_of(&new)?;
        }
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        let (mut names, mut values) = (HashMap::new(), HashMap::new());
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            remove.push(format!("#{name}"));
            names.insert(format!("#{name}"), name.clone());
        }
        // The revision differs always, so there is something to set.
        for (name, value) in after {
            if before.get(&name) == Some(&value) {
                continue;
            }
            set.push(format!("#{name} = :{name}"));
            values.insert(format!(":{name}"), value);
            names.insert(format!("#{name}"), name);
        }
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression.push_str(&format!(" REMOVE {}", remove.join(", ")));
        }
        values.insert(":old_revision".to_owned(), n(old.revision));
        Ok(Some(Difference { expression, names, values }))
    }
}

/// An update expression and what it names.
struct Difference {
    expression: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}
