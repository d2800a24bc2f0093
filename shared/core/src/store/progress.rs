use futures::FutureExt;

use super::dynamo::attributes::{s, take_s};
use super::dynamo::put_item::PutItem;
use super::{Store, keys};
use crate::aws::{Service, service_error};
use attributes as progress;
use ojs_model::error::Result;

pub(super) mod attributes {
    //! The attribute of the scheduler's progress.

    use crate::store::dynamo::attributes::attributes;

    attributes! {
        /// Where the next tick goes on: after this one.
        AFTER = "at";
    }
}

impl Store {
    /// Where something that each tick does a little of has got to; `None` at its beginning.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn progress(&self, what: &str) -> Result<Option<String>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(keys::progress(what)))
            .send()
            .boxed()
            .await
            .map_err(|e| service_error(Service::DynamoDb, "GetItem", &e))?;
        Ok(answer.item.and_then(|mut item| take_s(&mut item, progress::AFTER)))
    }

    /// Notes where it has got to. Ticks that race overwrite each other's note, which costs a repetition at most.
    ///
    /// # Errors
    /// The AWS error; the note may have been made.
    pub async fn note_progress(&self, what: &str, at: Option<&str>) -> Result<()> {
        let mut item = keys::progress(what);
        if let Some(at) = at {
            item.insert(progress::AFTER.name().to_owned(), s(at));
        }
        PutItem::new(item).put(self).await?;
        Ok(())
    }
}
