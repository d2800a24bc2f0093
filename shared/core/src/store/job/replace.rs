use super::condition::revision_is;
use crate::store::dynamo::attributes::size;
use crate::store::dynamo::expression::Operand;
use crate::store::dynamo::update_item::UpdateItem;
use crate::store::{MAX_ITEM_BYTES, Store, Updated, keys};
use aws_sdk_dynamodb::types::TransactWriteItem;
use ojs_model::error::{Error, Result};
use ojs_model::job::Job;

impl Store {
    /// Writes what a step computed from a read: one update of what differs, conditional on the revision read.
    ///
    /// Attributes that this version does not know stay. The oldest errors make room when the item grows too large.
    /// Answers the job as it is then. `nonce` marks this call, so that an SDK retry of it knows its own effect.
    ///
    /// # Errors
    /// The AWS error; the update may have taken effect.
    pub async fn replace_job(&self, old: &Job, new: &Job, nonce: u64) -> Result<Updated> {
        let Some(update) = self.difference(old, new, nonce)? else { return Ok(Updated::TooLarge) };
        Ok(match Updated::of(update.returning_new(self).await)? {
            // An SDK retry of an update that took effect finds its own result.
            Updated::Refused(found) if found.nonce == Some(nonce) => Updated::Done(found),
            other => other,
        })
    }

    /// The same as a part of a transaction.
    ///
    /// # Errors
    /// `internal_error` when the item has no room for it.
    pub(in crate::store) fn replace_action(&self, old: &Job, new: &Job, nonce: u64) -> Result<TransactWriteItem> {
        let update = self.difference(old, new, nonce)?;
        update
            .ok_or_else(|| Error::internal(format_args!("job {}: a change that does not fit", old.id)))?
            .update_action(self)
    }

    /// The update that writes what differs; `None` when the item has no room for it.
    fn difference(&self, old: &Job, new: &Job, nonce: u64) -> Result<Option<UpdateItem>> {
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
        let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| Operand::named(name.clone()));
        let mut update = UpdateItem::of(keys::job(&old.id)).when(revision_is(old.revision)).remove(gone);
        // The revision differs always, so there is something to set.
        for (name, value) in after {
            if before.get(&name) != Some(&value) {
                update = update.set(Operand::named(name), value);
            }
        }
        Ok(Some(update))
    }
}
