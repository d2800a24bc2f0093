use aws_sdk_dynamodb::types::{
    Delete, ReturnValue, ReturnValuesOnConditionCheckFailure as OnRefusal, TransactWriteItem,
};
use futures::FutureExt;
use ojs_model::error::{Error, Result};

use super::expression::{Condition, Placeholders};
use super::unconditional::once;
use super::written::{WriteFailure, Written, ended};
use crate::store::Store;
use crate::store::keys::Key;

/// A delete of an item, alone or in a transaction.
#[derive(Debug)]
pub(in crate::store) struct DeleteItem {
    key: Key,
    when: Option<Condition>,
    on_refusal: Option<OnRefusal>,
    answer: Option<ReturnValue>,
    once: bool,
}

impl DeleteItem {
    pub(in crate::store) fn of(key: Key) -> Self {
        Self { key, when: None, on_refusal: None, answer: None, once: false }
    }

    /// Takes effect only if this holds.
    pub(in crate::store) fn when(mut self, condition: Condition) -> Self {
        self.when = Some(condition);
        self
    }

    /// A refusal shows the item in the way.
    pub(in crate::store) fn showing_refused(mut self) -> Self {
        self.on_refusal = Some(OnRefusal::AllOld);
        self
    }

    /// The SDK does not repeat it: a second try could not tell its own success from another caller's.
    pub(in crate::store) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Sends it, and answers the item as it was.
    ///
    /// # Errors
    /// As [`Self::delete`].
    pub(in crate::store) async fn delete_returning_old(
        mut self,
        store: &Store,
    ) -> std::result::Result<Written, WriteFailure> {
        self.answer = Some(ReturnValue::AllOld);
        self.delete(store).await
    }

    /// Sends it alone.
    ///
    /// # Errors
    /// The AWS error; it may have taken effect.
    pub(in crate::store) async fn delete(self, store: &Store) -> std::result::Result<Written, WriteFailure> {
        let mut placeholders = Placeholders::default();
        let condition = self.when.map(|condition| placeholders.condition(condition));
        let call = store
            .client
            .delete_item()
            .table_name(&store.table)
            .set_key(Some(self.key))
            .set_condition_expression(condition)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.into_values())
            .set_return_values(self.answer)
            .set_return_values_on_condition_check_failure(self.on_refusal);
        let sent = if self.once {
            call.customize().config_override(once()).send().boxed().await
        } else {
            call.send().boxed().await
        };
        ended("DeleteItem", sent.map(|answer| answer.attributes))
    }

    /// As one action of a transaction.
    ///
    /// # Errors
    /// None that can happen.
    pub(in crate::store) fn delete_action(self, store: &Store) -> Result<TransactWriteItem> {
        let mut placeholders = Placeholders::default();
        let condition = self.when.map(|condition| placeholders.condition(condition));
        let delete = Delete::builder()
            .table_name(&store.table)
            .set_key(Some(self.key))
            .set_condition_expression(condition)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.into_values())
            .set_return_values_on_condition_check_failure(self.on_refusal);
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(Error::internal)?).build())
    }
}
