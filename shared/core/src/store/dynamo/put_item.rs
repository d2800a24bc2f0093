use aws_sdk_dynamodb::types::{Put, ReturnValuesOnConditionCheckFailure as OnRefusal, TransactWriteItem};
use futures::FutureExt;
use ojs_model::error::{Error, Result};

use super::attributes::Item;
use super::expression::{Condition, Placeholders};
use super::unconditional::once;
use super::written::{WriteFailure, Written, ended};
use crate::store::Store;

/// A put of a whole item, alone or in a transaction.
#[derive(Debug)]
pub(in crate::store) struct PutItem {
    item: Item,
    when: Option<Condition>,
    on_refusal: Option<OnRefusal>,
    once: bool,
}

impl PutItem {
    pub(in crate::store) fn new(item: Item) -> Self {
        Self { item, when: None, on_refusal: None, once: false }
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

    /// The SDK does not repeat it.
    pub(in crate::store) fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Sends it alone.
    ///
    /// # Errors
    /// The AWS error; it may have taken effect.
    pub(in crate::store) async fn put(self, store: &Store) -> std::result::Result<Written, WriteFailure> {
        let mut placeholders = Placeholders::default();
        let condition = self.when.map(|condition| placeholders.condition(condition));
        let call = store
            .client
            .put_item()
            .table_name(&store.table)
            .set_item(Some(self.item))
            .set_condition_expression(condition)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.into_values())
            .set_return_values_on_condition_check_failure(self.on_refusal);
        let sent = if self.once {
            call.customize().config_override(once()).send().boxed().await
        } else {
            call.send().boxed().await
        };
        ended("PutItem", sent.map(|_| None))
    }

    /// As one action of a transaction.
    ///
    /// # Errors
    /// None that can happen.
    pub(in crate::store) fn put_action(self, store: &Store) -> Result<TransactWriteItem> {
        let mut placeholders = Placeholders::default();
        let condition = self.when.map(|condition| placeholders.condition(condition));
        let put = Put::builder()
            .table_name(&store.table)
            .set_item(Some(self.item))
            .set_condition_expression(condition)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.into_values())
            .set_return_values_on_condition_check_failure(self.on_refusal);
        Ok(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build())
    }
}
