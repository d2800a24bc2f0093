use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure as OnRefusal, TransactWriteItem, Update,
};
use futures::FutureExt;
use ojs_model::error::{Error, Result};

use super::attributes::Attribute;
use super::expression::{Condition, Operand, Placeholders};
use super::written::{WriteFailure, Written, ended};
use crate::store::Store;
use crate::store::keys::Key;

/// An update of an item, alone or in a transaction. All of it reads the item as it was before.
#[derive(Debug)]
pub(in crate::store) struct UpdateItem {
    key: Key,
    when: Option<Condition>,
    set: Vec<(Operand, Operand)>,
    remove: Vec<Operand>,
    add: Vec<(Attribute, AttributeValue)>,
    delete: Vec<(Attribute, AttributeValue)>,
    answer: Option<ReturnValue>,
    on_refusal: Option<OnRefusal>,
}

impl UpdateItem {
    pub(in crate::store) fn of(key: Key) -> Self {
        Self {
            key,
            when: None,
            set: Vec::new(),
            remove: Vec::new(),
            add: Vec::new(),
            delete: Vec::new(),
            answer: None,
            on_refusal: None,
        }
    }

    /// Takes effect only if this holds.
    pub(in crate::store) fn when(mut self, condition: Condition) -> Self {
        self.when = Some(condition);
        self
    }

    pub(in crate::store) fn set(mut self, attribute: impl Into<Operand>, to: impl Into<Operand>) -> Self {
        self.set.push((attribute.into(), to.into()));
        self
    }

    /// Sets it where there is something to set, and else leaves it as it is.
    pub(in crate::store) fn set_some(self, attribute: Attribute, to: Option<impl Into<Operand>>) -> Self {
        match to {
            Some(to) => self.set(attribute, to),
            None => self,
        }
    }

    /// Sets it where there is something to set, and else removes it.
    pub(in crate::store) fn set_or_remove(self, attribute: Attribute, to: Option<impl Into<Operand>>) -> Self {
        match to {
            Some(to) => self.set(attribute, to),
            None => self.remove([attribute]),
        }
    }

    pub(in crate::store) fn remove<T: Into<Operand>>(mut self, attributes: impl IntoIterator<Item = T>) -> Self {
        self.remove.extend(attributes.into_iter().map(Into::into));
        self
    }

    /// Adds to a number, or to a set.
    pub(in crate::store) fn add(mut self, attribute: Attribute, value: AttributeValue) -> Self {
        self.add.push((attribute, value));
        self
    }

    /// Takes elements out of a set.
    pub(in crate::store) fn delete_from(mut self, attribute: Attribute, elements: AttributeValue) -> Self {
        self.delete.push((attribute, elements));
        self
    }

    /// A refusal shows the item in the way.
    pub(in crate::store) fn showing_refused(mut self) -> Self {
        self.on_refusal = Some(OnRefusal::AllOld);
        self
    }

    /// Answers the item so.
    pub(in crate::store) fn returning(mut self, answer: ReturnValue) -> Self {
        self.answer = Some(answer);
        self
    }

    /// Sends it, and answers the item as it was; a refusal shows the item in the way.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub(in crate::store) async fn returning_old(self, store: &Store) -> std::result::Result<Written, WriteFailure> {
        self.returning(ReturnValue::AllOld).showing_refused().update(store).await
    }

    /// Sends it, and answers the item as it is then; a refusal shows the item in the way.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub(in crate::store) async fn returning_new(self, store: &Store) -> std::result::Result<Written, WriteFailure> {
        self.returning(ReturnValue::AllNew).showing_refused().update(store).await
    }

    /// Sends it alone.
    ///
    /// # Errors
    /// The AWS error; it may have taken effect.
    pub(in crate::store) async fn update(self, store: &Store) -> std::result::Result<Written, WriteFailure> {
        let mut placeholders = Placeholders::default();
        let expression = expression(&mut placeholders, self.set, self.remove, self.add, self.delete);
        let condition = self.when.map(|condition| placeholders.condition(condition));
        let sent = store
            .client
            .update_item()
            .table_name(&store.table)
            .set_key(Some(self.key))
            .update_expression(expression)
            .set_condition_expression(condition)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.into_values())
            .set_return_values(self.answer)
            .set_return_values_on_condition_check_failure(self.on_refusal)
            .send()
            .boxed()
            .await;
        ended("UpdateItem", sent.map(|answer| answer.attributes))
    }

    /// As one action of a transaction.
    ///
    /// # Errors
    /// None that can happen.
    pub(in crate::store) fn update_action(self, store: &Store) -> Result<TransactWriteItem> {
        let mut placeholders = Placeholders::default();
        let expression = expression(&mut placeholders, self.set, self.remove, self.add, self.delete);
        let condition = self.when.map(|condition| placeholders.condition(condition));
        let update = Update::builder()
            .table_name(&store.table)
            .set_key(Some(self.key))
            .update_expression(expression)
            .set_condition_expression(condition)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.into_values())
            .set_return_values_on_condition_check_failure(self.on_refusal);
        Ok(TransactWriteItem::builder().update(update.build().map_err(Error::internal)?).build())
    }
}

/// The text of an update expression, without clauses that are empty.
fn expression(
    placeholders: &mut Placeholders,
    set: Vec<(Operand, Operand)>,
    remove: Vec<Operand>,
    add: Vec<(Attribute, AttributeValue)>,
    delete: Vec<(Attribute, AttributeValue)>,
) -> String {
    let set: Vec<String> = set
        .into_iter()
        .map(|(name, to)| format!("{} = {}", placeholders.operand(name), placeholders.operand(to)))
        .collect();
    let remove = remove.into_iter().map(|name| placeholders.operand(name)).collect();
    let mut pairs = |pairs: Vec<(Attribute, AttributeValue)>| -> Vec<String> {
        let each = pairs.into_iter();
        each.map(|(name, value)| format!("{} {}", placeholders.operand(name), placeholders.operand(value))).collect()
    };
    let (add, delete) = (pairs(add), pairs(delete));
    let clauses = [("SET", set), ("REMOVE", remove), ("ADD", add), ("DELETE", delete)];
    let clauses = clauses.into_iter().filter(|(_, actions)| !actions.is_empty());
    clauses.map(|(verb, actions)| format!("{verb} {}", actions.join(", "))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::dynamo::attributes::n;

    const STATE: Attribute = Attribute("s");
    const DUE: Attribute = Attribute("du");
    const TIERS: Attribute = Attribute("tr");

    fn text(update: UpdateItem) -> String {
        expression(&mut Placeholders::default(), update.set, update.remove, update.add, update.delete)
    }

    #[test]
    fn an_update_has_the_clauses_that_it_needs() {
        let new = || UpdateItem::of(Key::new());
        let cases = [
            (new().set(STATE, "a").set(DUE, DUE.or(1).plus(2)), "SET #s = :v0, #du = if_not_exists(#du, :v1) + :v2"),
            (new().remove([STATE, DUE]), "REMOVE #s, #du"),
            (new().set(STATE, "a").remove([DUE]), "SET #s = :v0 REMOVE #du"),
            (new().add(TIERS, n(1)).delete_from(DUE, n(2)), "ADD #tr :v0 DELETE #du :v1"),
            (new().set(STATE, "a").set_some(DUE, None::<i64>), "SET #s = :v0"),
            (new().set_some(DUE, Some(1)), "SET #du = :v0"),
            (new().set(STATE, "a").set_or_remove(DUE, None::<i64>), "SET #s = :v0 REMOVE #du"),
            (new().set_or_remove(DUE, Some(1)), "SET #du = :v0"),
        ];
        for (update, wanted) in cases {
            assert_eq!(text(update), wanted);
        }
    }
}
