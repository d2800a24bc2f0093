use aws_sdk_dynamodb::types::ReturnValue;

use super::attr::{Item, n, size};
use super::update::{self, Updated};
use super::{MAX_ITEM_BYTES, Store};
use crate::error::{Error, Result};
use crate::job::Job;

impl Store {
    /// Writes what a step computed from a read: one update of what differs, conditional on the revision read.
    ///
    /// Attributes that this version does not know stay. The oldest errors make room when the item grows too large.
    /// Answers the job as it is then. `nonce` marks this call, so that an SDK retry of it knows its own effect.
    ///
    /// # Errors
    /// The AWS error; the update may have taken effect.
    pub async fn replace_job(&self, old: &Job, new: &Job, nonce: u64) -> Result<Updated> {
        let mut new = new.clone();
        new.revision = old.revision + 1;
        new.nonce = Some(nonce);
        let before = self.item_of(old)?;
        let mut after = self.item_of(&new)?;
        while size(&after) > MAX_ITEM_BYTES {
            if !new.forget_oldest_error() {
                return Ok(Updated::TooLarge);
            }
            after = self.item_of(&new)?;
        }
        let update = self
            .difference(old, &before, &after)?
            .condition_expression("r = :old_revision")
            .expression_attribute_values(":old_revision", n(old.revision));
        Ok(match update::send(update, ReturnValue::AllNew).await? {
            // An SDK retry of an update that took effect meets its own result.
            Updated::Refused(found) if found.nonce == Some(nonce) => Updated::Done(found),
            other => other,
        })
    }

    fn difference(
        &self,
        job: &Job,
        before: &Item,
        after: &Item,
    ) -> Result<aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder> {
        let mut update = self.update(&job.id);
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        for (name, value) in after {
            if before.get(name) == Some(value) {
                continue;
            }
            set.push(format!("#{name} = :{name}"));
            update = update
                .expression_attribute_names(format!("#{name}"), name)
                .expression_attribute_values(format!(":{name}"), value.clone());
        }
        for name in before.keys().filter(|name| !after.contains_key(*name)) {
            remove.push(format!("#{name}"));
            update = update.expression_attribute_names(format!("#{name}"), name);
        }
        if set.is_empty() {
            return Err(Error::internal(format_args!("job {}: a change that changes nothing", job.id)));
        }
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression.push_str(&format!(" REMOVE {}", remove.join(", ")));
        }
        Ok(update.update_expression(expression))
    }
}
