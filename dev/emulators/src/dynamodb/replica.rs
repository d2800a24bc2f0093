//! The table as its indexes see it: a second database, to which each write comes `lag` later.
//!
//! It is in memory, and as large as the first one. Writes that it has not seen yet wait in a line. Each write first
//! applies what is due, so the line holds what was written within the lag.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::{Database, DynoxideError, Item};
use serde_json::{Map, Value};

use crate::EmulatorClock;

/// One item as a write left it.
#[derive(Debug)]
struct Change {
    visible_at_ms: i64,
    table: String,
    key: Item,
    /// `None` when it was deleted.
    item: Option<Item>,
}

/// The second database and what it has not seen yet.
pub(super) struct Replica {
    source: Database,
    target: Database,
    clock: EmulatorClock,
    lag_ms: i64,
    waiting: Mutex<VecDeque<Change>>,
}

impl Replica {
    /// `target` holds what `source` holds.
    pub(super) fn new(source: Database, target: Database, clock: EmulatorClock, lag_ms: i64) -> Self {
        Self { source, target, clock, lag_ms, waiting: Mutex::new(VecDeque::new()) }
    }

    /// Reads what a successful write has left, to be seen after the lag. No other write to the same items may be
    /// under way.
    pub(super) fn record(&self, written: &[Written]) -> Result<(), DynoxideError> {
        for write in written {
            let request = GetItemRequest {
                table_name: write.table.clone(),
                key: write.key.clone(),
                consistent_read: Some(true),
                ..GetItemRequest::default()
            };
            let item = self.source.get_item(request)?.item;
            let mut waiting = self.waiting();
            let visible_at_ms = self.clock.now_ms().saturating_add(self.lag_ms);
            waiting.push_back(Change { visible_at_ms, table: write.table.clone(), key: write.key.clone(), item });
        }
        self.catch_up()
    }

    /// Applies what is visible by now.
    pub(super) fn catch_up(&self) -> Result<(), DynoxideError> {
        // Held throughout: changes of one item are applied in their order.
        let mut waiting = self.waiting();
        let now = self.clock.now_ms();
        while let Some(change) = waiting.pop_front_if(|change| change.visible_at_ms <= now) {
            self.apply(change)?;
        }
        Ok(())
    }

    fn apply(&self, change: Change) -> Result<(), DynoxideError> {
        let table_name = change.table;
        match change.item {
            Some(item) => {
                self.target.put_item(PutItemRequest { table_name, item, ..PutItemRequest::default() })?;
            }
            None => {
                let key = change.key;
                self.target.delete_item(DeleteItemRequest { table_name, key, ..DeleteItemRequest::default() })?;
            }
        }
        Ok(())
    }

    /// Forgets what waits for a table that is deleted.
    pub(super) fn forget(&self, table: &str) {
        self.waiting().retain(|change| change.table != table);
    }

    /// Names of the key attributes of a table.
    pub(super) fn key_names(&self, table: &str) -> Result<Vec<String>, DynoxideError> {
        let Some(metadata) = self.source.get_table_metadata(table)? else { return Ok(Vec::new()) };
        let schema: Value = serde_json::from_str(&metadata.key_schema).unwrap_or(Value::Null);
        let keys = schema.as_array().into_iter().flatten();
        Ok(keys.filter_map(|key| key["AttributeName"].as_str().map(str::to_owned)).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Change>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An item that a request writes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Written {
    pub(super) table: String,
    pub(super) key: Item,
}

impl Written {
    /// The item among `attributes` of a table with these key attributes; `None` when one is missing or malformed.
    fn new(table: &str, attributes: &Map<String, Value>, key_names: &[String]) -> Option<Self> {
        let key = key_names.iter().map(|name| {
            let value = serde_json::from_value(attributes.get(name)?.clone()).ok()?;
            Some((name.clone(), value))
        });
        let key = key.collect::<Option<Item>>()?;
        (!key.is_empty()).then(|| Self { table: table.to_owned(), key })
    }
}

/// Every item that a request writes, should it succeed. `key_names` knows the key attributes of a table.
pub(super) fn written(
    action: &str,
    body: &Value,
    key_names: impl Fn(&str) -> Result<Vec<String>, DynoxideError>,
) -> Result<Vec<Written>, DynoxideError> {
    let mut found = Vec::new();
    for (table, attributes) in attributes_written(action, body) {
        let (Some(table), Some(attributes)) = (table, attributes.as_object()) else { continue };
        found.extend(Written::new(table, attributes, &key_names(table)?));
    }
    Ok(found)
}

/// Table, and key or whole item, of each write in a request.
fn attributes_written<'a>(action: &str, body: &'a Value) -> Vec<(Option<&'a str>, &'a Value)> {
    let table_of = |write: &'a Value| write["TableName"].as_str();
    let items = |list: &'a Value| list.as_array().into_iter().flatten();
    match action {
        "PutItem" => vec![(table_of(body), &body["Item"])],
        "UpdateItem" | "DeleteItem" => vec![(table_of(body), &body["Key"])],
        "TransactWriteItems" => items(&body["TransactItems"])
            .filter_map(|item| match item.as_object()?.iter().next()? {
                (kind, put) if kind == "Put" => Some((table_of(put), &put["Item"])),
                (kind, write) if kind == "Update" || kind == "Delete" => Some((table_of(write), &write["Key"])),
                _ => None,
            })
            .collect(),
        "BatchWriteItem" => {
            let tables = body["RequestItems"].as_object().into_iter().flatten();
            let writes = tables.flat_map(|(table, list)| items(list).map(move |write| (table.as_str(), write)));
            writes
                .map(|(table, write)| {
                    let put = &write["PutRequest"]["Item"];
                    (Some(table), if put.is_null() { &write["DeleteRequest"]["Key"] } else { put })
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_write_names_its_items() {
        let key = json!({"pk": {"S": "a"}});
        let item = json!({"pk": {"S": "b"}, "x": {"N": "1"}});
        let of = |action, body| -> Vec<Value> {
            let written = written(action, &body, |_| Ok(vec!["pk".to_owned()])).unwrap();
            written.into_iter().map(|write| serde_json::to_value(&write.key["pk"]).unwrap()["S"].clone()).collect()
        };
        assert_eq!(of("PutItem", json!({"TableName": "t", "Item": item})), ["b"]);
        assert_eq!(of("UpdateItem", json!({"TableName": "t", "Key": key})), ["a"]);
        assert_eq!(of("DeleteItem", json!({"TableName": "t", "Key": key})), ["a"]);
        let transaction = json!({"TransactItems": [
            {"Put": {"TableName": "t", "Item": item}}, {"ConditionCheck": {"TableName": "t", "Key": key}},
            {"Delete": {"TableName": "t", "Key": key}}, {"Update": {"TableName": "t", "Key": key}},
        ]});
        assert_eq!(of("TransactWriteItems", transaction), ["b", "a", "a"]);
        let batch = json!({"RequestItems": {"t": [
            {"PutRequest": {"Item": item}}, {"DeleteRequest": {"Key": key}},
        ]}});
        assert_eq!(of("BatchWriteItem", batch), ["b", "a"]);
        assert!(of("Query", json!({"TableName": "t"})).is_empty());
        assert!(of("PutItem", json!({"TableName": "t", "Item": {"x": {"N": "1"}}})).is_empty());
    }
}
