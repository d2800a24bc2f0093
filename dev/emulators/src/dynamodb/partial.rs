//! Batches that are done in part: `UnprocessedItems` and `UnprocessedKeys`.

use serde_json::{Map, Value};

/// Takes entries for which `withholds` says so out of a batch's body; returns them as `RequestItems` of their own.
/// `None` when no entry is left out, or the call is no batch.
pub(super) fn withhold(action: &str, body: &mut Value, mut withholds: impl FnMut() -> bool) -> Option<Value> {
    let mut withheld = Map::new();
    for (table, request) in body["RequestItems"].as_object_mut()? {
        let entries = match action {
            "BatchWriteItem" => request.as_array_mut(),
            "BatchGetItem" => request["Keys"].as_array_mut(),
            _ => return None,
        };
        let out: Vec<Value> = entries?.extract_if(.., |_| withholds()).collect();
        if out.is_empty() {
            continue;
        }
        withheld.insert(table.clone(), with_entries(request, out));
    }
    (!withheld.is_empty()).then_some(Value::Object(withheld))
}

/// What remains of a batch once its withheld entries are out; `false` when that is nothing.
pub(super) fn drop_empty_tables(body: &mut Value) -> bool {
    let Some(tables) = body["RequestItems"].as_object_mut() else { return true };
    tables.retain(|_, request| entries(request).is_some_and(|entries| !entries.is_empty()));
    !tables.is_empty()
}

/// Adds what was withheld to an answer, beside what the database itself left out.
pub(super) fn report(action: &str, answer: &mut Value, withheld: Value) {
    let field = if action == "BatchWriteItem" { "UnprocessedItems" } else { "UnprocessedKeys" };
    let Value::Object(withheld) = withheld else { return };
    if !answer[field].is_object() {
        answer[field] = Value::Object(Map::new());
    }
    for (table, request) in withheld {
        match answer[field].get_mut(&table) {
            Some(there) => {
                let more = entries(&request).cloned().unwrap_or_default();
                let all = entries(there).into_iter().flatten().cloned().chain(more).collect();
                *there = with_entries(&request, all);
            }
            None => answer[field][table] = request,
        }
    }
}

fn entries(request: &Value) -> Option<&Vec<Value>> {
    request.as_array().or_else(|| request["Keys"].as_array())
}

/// The same request of one table, with other entries.
fn with_entries(request: &Value, entries: Vec<Value>) -> Value {
    if request.is_array() {
        return Value::Array(entries);
    }
    let mut request = request.clone();
    request["Keys"] = Value::Array(entries);
    request
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    /// Withholds every second entry.
    fn every_second() -> impl FnMut() -> bool {
        let mut calls = 0;
        move || {
            calls += 1;
            calls % 2 == 0
        }
    }

    #[test]
    fn what_is_withheld_of_a_write_is_reported() {
        let mut body = json!({"RequestItems": {"t": [1, 2, 3], "u": [4]}});
        let withheld = withhold("BatchWriteItem", &mut body, every_second()).unwrap();
        assert_eq!(withheld, json!({"t": [2], "u": [4]}));
        assert!(drop_empty_tables(&mut body));
        assert_eq!(body, json!({"RequestItems": {"t": [1, 3]}}));
        let mut answer = json!({"UnprocessedItems": {"t": [9]}});
        report("BatchWriteItem", &mut answer, withheld);
        assert_eq!(answer, json!({"UnprocessedItems": {"t": [9, 2], "u": [4]}}));
    }

    #[test]
    fn what_is_withheld_of_a_read_keeps_how_to_read_it() {
        let mut body = json!({"RequestItems": {"t": {"Keys": [1, 2], "ConsistentRead": true}}});
        let withheld = withhold("BatchGetItem", &mut body, every_second()).unwrap();
        assert_eq!(body, json!({"RequestItems": {"t": {"Keys": [1], "ConsistentRead": true}}}));
        let mut answer = json!({"Responses": {}});
        report("BatchGetItem", &mut answer, withheld);
        assert_eq!(answer["UnprocessedKeys"], json!({"t": {"Keys": [2], "ConsistentRead": true}}));
    }

    #[test]
    fn a_batch_of_which_nothing_is_left_is_noticed_and_others_are_left_alone() {
        let mut body = json!({"RequestItems": {"t": [1]}});
        assert!(withhold("BatchWriteItem", &mut body, || true).is_some());
        assert!(!drop_empty_tables(&mut body));
        let mut body = json!({"RequestItems": {"t": [1]}});
        assert!(withhold("BatchWriteItem", &mut body, || false).is_none());
        assert!(withhold("PutItem", &mut json!({"Item": {}}), || true).is_none());
    }
}
