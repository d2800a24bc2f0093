//! DynamoDB's faults: what they leave undone, what they do all the same, and what lagging indexes show.
#![allow(clippy::unwrap_used)]

#[path = "sqs/world.rs"]
#[allow(dead_code)]
mod world;

use std::sync::Arc;
use std::time::Duration;

use ojs_emulators::{DynamoDb, DynamoDbFaults, DynamoDbOptions, EmulatorClock, ManualClock};
use serde_json::{Value, json};

async fn send(db: &DynamoDb, action: &str, body: Value) -> Option<world::Answer> {
    let headers = format!(
        "content-type: application/x-amz-json-1.0\r\nx-amz-target: DynamoDB_20120810.{action}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/dynamodb/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=00\r\nx-amz-date: 20261123T000000Z\r\n"
    );
    world::post(db.url(), &headers, body.to_string().as_bytes()).await
}

async fn done(db: &DynamoDb, action: &str, body: Value) -> Value {
    send(db, action, body).await.unwrap().ok()
}

async fn start(faults: DynamoDbFaults) -> (DynamoDb, Arc<ManualClock>) {
    let clock = ManualClock::new(1_000_000);
    let options =
        DynamoDbOptions { faults, clock: EmulatorClock::Manual(Arc::clone(&clock)), ..DynamoDbOptions::default() };
    let db = DynamoDb::start(options).await.unwrap();
    create_table(&db).await;
    (db, clock)
}

async fn create_table(db: &DynamoDb) {
    let table = json!({
        "TableName": "tbl",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "g", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [{
            "IndexName": "by-g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }],
    });
    done(db, "CreateTable", table).await;
}

fn put(key: &str, n: &str) -> Value {
    json!({"TableName": "tbl", "Item": {"pk": {"S": key}, "g": {"S": "g"}, "n": {"N": n}}})
}

fn key(key: &str) -> Value {
    json!({"TableName": "tbl", "Key": {"pk": {"S": key}}, "ConsistentRead": true})
}

/// Keys and values in the index.
async fn indexed(db: &DynamoDb) -> Vec<(String, String)> {
    let query = json!({
        "TableName": "tbl", "IndexName": "by-g", "KeyConditionExpression": "g = :g",
        "ExpressionAttributeValues": {":g": {"S": "g"}},
    });
    let page = done(db, "Query", query).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = page["Items"].as_array().unwrap().iter();
    let mut items: Vec<_> = items.map(|item| (text(&item["pk"]["S"]), text(&item["n"]["N"]))).collect();
    items.sort();
    items
}

fn pairs(items: &[(&str, &str)]) -> Vec<(String, String)> {
    items.iter().map(|(key, n)| ((*key).to_owned(), (*n).to_owned())).collect()
}

#[tokio::test]
async fn a_lost_answer_has_taken_effect() {
    let (db, _) = start(DynamoDbFaults { lost_answer: 1.0, ..DynamoDbFaults::default() }).await;
    let (mut dropped, mut failed) = (0, 0);
    for n in 0..20 {
        match send(&db, "PutItem", put(&n.to_string(), "1")).await {
            None => dropped += 1,
            Some(answer) => {
                assert_eq!(answer.status, 500, "{answer:?}");
                failed += 1;
            }
        }
    }
    assert!(dropped > 0 && failed > 0, "{dropped} dropped, {failed} failed");
    // What is about tables is not disturbed, and tells how many items there are.
    let described = done(&db, "DescribeTable", json!({"TableName": "tbl"})).await;
    assert_eq!(described["Table"]["ItemCount"], 20);
    db.shutdown().await;
}

#[tokio::test]
async fn throttled_calls_and_conflicts_have_no_effect() {
    let throttle = DynamoDbFaults { throttle: 1.0, ..DynamoDbFaults::default() };
    let conflict = DynamoDbFaults { transaction_conflict: 1.0, ..DynamoDbFaults::default() };
    for (faults, code) in [(throttle, "Thr"), (conflict, "TransactionConflictException")] {
        let (db, _) = start(faults).await;
        for n in 0..10 {
            let answer = send(&db, "PutItem", put(&n.to_string(), "1")).await.unwrap();
            let kind = answer.body["__type"].as_str().unwrap();
            assert!(answer.status == 400 && kind.contains(code), "{answer:?}");
        }
        let described = done(&db, "DescribeTable", json!({"TableName": "tbl"})).await;
        assert_eq!(described["Table"]["ItemCount"], 0);
        db.shutdown().await;
    }
}

#[tokio::test]
async fn a_transaction_in_conflict_names_a_reason_for_each_item() {
    let (db, _) = start(DynamoDbFaults { transaction_conflict: 1.0, ..DynamoDbFaults::default() }).await;
    let items = json!({"TransactItems": [{"Put": put("a", "1")}, {"Put": put("b", "1")}]});
    let answer = send(&db, "TransactWriteItems", items).await.unwrap();
    assert!(answer.body["__type"].as_str().unwrap().ends_with("#TransactionCanceledException"), "{answer:?}");
    let codes: Vec<_> = answer.body["CancellationReasons"].as_array().unwrap().iter().map(|r| &r["Code"]).collect();
    assert_eq!(codes, ["TransactionConflict", "None"]);
    // Reads and batches go through.
    assert_eq!(done(&db, "GetItem", key("a")).await, json!({}));
    done(&db, "BatchWriteItem", json!({"RequestItems": {"tbl": [{"PutRequest": {"Item": put("a", "1")["Item"]}}]}}))
        .await;
    assert_eq!(done(&db, "GetItem", key("a")).await["Item"]["n"]["N"], "1");
    db.shutdown().await;
}

#[tokio::test]
async fn a_lagging_index_shows_the_table_as_it_was() {
    let lag = Duration::from_secs(3);
    let (db, clock) = start(DynamoDbFaults { index_lag: lag, ..DynamoDbFaults::default() }).await;
    done(&db, "PutItem", put("a", "1")).await;
    done(&db, "TransactWriteItems", json!({"TransactItems": [{"Put": put("b", "1")}]})).await;
    assert_eq!(indexed(&db).await, []);
    // The table itself does not lag.
    assert_eq!(done(&db, "GetItem", key("a")).await["Item"]["n"]["N"], "1");
    clock.advance(lag);
    assert_eq!(indexed(&db).await, pairs(&[("a", "1"), ("b", "1")]));

    done(&db, "PutItem", put("a", "2")).await;
    clock.advance(lag / 2);
    let mut delete = key("b");
    delete.as_object_mut().unwrap().remove("ConsistentRead");
    done(&db, "DeleteItem", delete).await;
    // The old image, and an item that is gone.
    assert_eq!(indexed(&db).await, pairs(&[("a", "1"), ("b", "1")]));
    clock.advance(lag / 2);
    assert_eq!(indexed(&db).await, pairs(&[("a", "2"), ("b", "1")]));
    clock.advance(lag / 2);
    assert_eq!(indexed(&db).await, pairs(&[("a", "2")]));
    db.shutdown().await;
}

#[tokio::test]
async fn a_batch_in_part_names_what_is_left() {
    let (db, _) = start(DynamoDbFaults { unprocessed: 0.5, seed: 3, ..DynamoDbFaults::default() }).await;
    let mut left =
        json!((0..20).map(|n| json!({"PutRequest": {"Item": put(&n.to_string(), "1")["Item"]}})).collect::<Vec<_>>());
    let mut calls = 0;
    while left.as_array().is_some_and(|left| !left.is_empty()) {
        let sent = left.as_array().unwrap().len();
        let answer = send(&db, "BatchWriteItem", json!({"RequestItems": {"tbl": left}})).await.unwrap();
        calls += 1;
        // Where nothing of a batch is done, it is refused as a whole.
        if answer.status == 400 {
            continue;
        }
        left = answer.ok()["UnprocessedItems"]["tbl"].clone();
        assert!(left.as_array().is_none_or(|left| left.len() < sent));
    }
    assert!(calls > 1);
    let described = done(&db, "DescribeTable", json!({"TableName": "tbl"})).await;
    assert_eq!(described["Table"]["ItemCount"], 20);
    let keys: Vec<Value> = (0..20).map(|n| json!({"pk": {"S": n.to_string()}})).collect();
    let read =
        done(&db, "BatchGetItem", json!({"RequestItems": {"tbl": {"Keys": keys, "ConsistentRead": true}}})).await;
    let count = |list: &Value| list.as_array().map_or(0, Vec::len);
    let (found, missing) = (count(&read["Responses"]["tbl"]), count(&read["UnprocessedKeys"]["tbl"]["Keys"]));
    assert!(missing > 0 && found + missing == 20, "{found} found, {missing} not");
    assert_eq!(read["UnprocessedKeys"]["tbl"]["ConsistentRead"], true);
    db.shutdown().await;
}

#[tokio::test]
async fn lagging_indexes_of_a_kept_database_begin_with_what_it_holds() {
    let folder = std::env::temp_dir().join(format!("ojs-kept-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("table.db");
    let plain =
        DynamoDb::start(DynamoDbOptions { path: Some(path.clone()), ..DynamoDbOptions::default() }).await.unwrap();
    create_table(&plain).await;
    done(&plain, "PutItem", put("a", "1")).await;
    plain.shutdown().await;
    let faults = DynamoDbFaults { index_lag: Duration::from_secs(60), ..DynamoDbFaults::default() };
    let options = DynamoDbOptions { path: Some(path), faults, ..DynamoDbOptions::default() };
    let lagging = DynamoDb::start(options).await.unwrap();
    done(&lagging, "PutItem", put("b", "1")).await;
    assert_eq!(indexed(&lagging).await, pairs(&[("a", "1")]));
    lagging.shutdown().await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn writes_to_one_item_reach_a_lagging_index_in_their_order() {
    let lag = Duration::from_secs(3);
    let (db, clock) = start(DynamoDbFaults { index_lag: lag, ..DynamoDbFaults::default() }).await;
    let add = |item: usize| {
        json!({
            "TableName": "tbl", "Key": {"pk": {"S": item.to_string()}}, "UpdateExpression": "SET g = :g ADD n :one",
            "ExpressionAttributeValues": {":g": {"S": "g"}, ":one": {"N": "1"}},
        })
    };
    let mut tasks = tokio::task::JoinSet::new();
    let db = Arc::new(db);
    for n in 0..60 {
        let (db, request) = (Arc::clone(&db), add(n % 3));
        tasks.spawn(async move { done(&db, "UpdateItem", request).await });
    }
    tasks.join_all().await;
    clock.advance(lag);
    assert_eq!(indexed(&db).await, pairs(&[("0", "20"), ("1", "20"), ("2", "20")]));
    Arc::into_inner(db).unwrap().shutdown().await;
}
