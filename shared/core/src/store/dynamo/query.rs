use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::Select;
use futures::FutureExt;
use ojs_model::error::Result;

use super::attributes::Item;
use super::expression::{Condition, Placeholders};
use crate::aws::{Service, service_error};
use crate::store::Store;
use crate::store::keys::Key;

/// One query of a partition, with a limit or of few items (I6).
#[derive(Debug)]
pub(in crate::store) struct Query {
    keys: Condition,
    limit: Option<i32>,
    after: Option<Key>,
    newest_first: bool,
    consistent: bool,
}

/// What a query found.
#[derive(Debug)]
pub(in crate::store) struct Page {
    /// The items, in the order of their sort keys.
    pub items: Vec<Item>,
    /// The key after which the next page starts, if there may be one.
    pub next: Option<Key>,
}

impl Query {
    /// At most `limit` items whose keys are so.
    pub(in crate::store) fn of(keys: Condition, limit: impl TryInto<i32>) -> Self {
        let limit = Some(limit.try_into().unwrap_or(i32::MAX));
        Self { limit, ..Self::bounded(keys) }
    }

    /// All items whose keys are so, of which there are only so many; 1 MB a page.
    pub(in crate::store) fn bounded(keys: Condition) -> Self {
        Self { keys, limit: None, after: None, newest_first: false, consistent: false }
    }

    /// Starts after this key.
    pub(in crate::store) fn after(mut self, key: Option<Key>) -> Self {
        self.after = key;
        self
    }

    /// The highest sort keys come first.
    pub(in crate::store) fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Shows every write that was answered before; for the table only.
    pub(in crate::store) fn consistent(mut self, consistent: bool) -> Self {
        self.consistent = consistent;
        self
    }

    /// Asks the table.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::store) async fn in_table(self, store: &Store) -> Result<Page> {
        self.page(store.client.query().table_name(&store.table)).await
    }

    /// Asks an index.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::store) async fn in_index(self, index: &str, store: &Store) -> Result<Page> {
        self.page(store.client.query().table_name(&store.table).index_name(index)).await
    }

    /// Asks an index only how many there are.
    ///
    /// # Errors
    /// The AWS error.
    pub(in crate::store) async fn count_in_index(self, index: &str, store: &Store) -> Result<usize> {
        let call = store.client.query().table_name(&store.table).index_name(index).select(Select::Count);
        let answer = self.fill(call).send().boxed().await;
        let answer = answer.map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
        Ok(usize::try_from(answer.count).unwrap_or(0))
    }

    async fn page(self, call: QueryFluentBuilder) -> Result<Page> {
        let answer = self.fill(call).send().boxed().await;
        let answer = answer.map_err(|e| service_error(Service::DynamoDb, "Query", &e))?;
        Ok(Page { items: answer.items.unwrap_or_default(), next: answer.last_evaluated_key })
    }

    fn fill(self, call: QueryFluentBuilder) -> QueryFluentBuilder {
        let mut placeholders = Placeholders::default();
        let keys = placeholders.condition(self.keys);
        call.key_condition_expression(keys)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.into_values())
            .set_exclusive_start_key(self.after)
            .set_scan_index_forward(self.newest_first.then_some(false))
            .set_consistent_read(self.consistent.then_some(true))
            .set_limit(self.limit)
    }
}
