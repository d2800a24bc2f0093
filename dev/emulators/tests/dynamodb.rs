//! The embedded DynamoDB starts, answers, keeps a file and stops.
#![allow(clippy::unwrap_used)]

#[path = "sqs/world.rs"]
#[allow(dead_code)]
mod world;

use ojs_emulators::{DynamoDb, DynamoDbOptions, LocalAws, LocalAwsOptions};
use serde_json::{Value, json};

async fn call(url: &str, action: &str, body: Value) -> Value {
    let headers = format!(
        "content-type: application/x-amz-json-1.0\r\nx-amz-target: DynamoDB_20120810.{action}\r\n\
         authorization: AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/dynamodb/aws4_request, \
         SignedHeaders=host;x-amz-date, Signature=00\r\nx-amz-date: 20261123T000000Z\r\n"
    );
    world::post(url, &headers, body.to_string().as_bytes()).await.unwrap().ok()
}

fn table() -> Value {
    json!({
        "TableName": "table",
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    })
}

#[tokio::test]
async fn both_emulators_run_side_by_side() {
    let aws = LocalAws::start(LocalAwsOptions::default()).await.unwrap();
    assert_ne!(aws.sqs.url(), aws.dynamodb.url());
    call(aws.dynamodb.url(), "CreateTable", table()).await;
    assert_eq!(call(aws.dynamodb.url(), "ListTables", json!({})).await["TableNames"], json!(["table"]));
    let queues = world::call(aws.sqs.url(), "ListQueues", &json!({})).await.unwrap();
    assert_eq!(queues.ok(), json!({}));
    aws.shutdown().await;
}

#[tokio::test]
async fn a_file_keeps_its_tables() {
    let path = std::env::temp_dir().join(format!("ojs-emulators-{}.db", std::process::id()));
    let options = DynamoDbOptions { path: Some(path.clone()), ..DynamoDbOptions::default() };
    let first = DynamoDb::start(options.clone()).await.unwrap();
    call(first.url(), "CreateTable", table()).await;
    first.shutdown().await;
    let second = DynamoDb::start(options).await.unwrap();
    assert_eq!(call(second.url(), "ListTables", json!({})).await["TableNames"], json!(["table"]));
    second.shutdown().await;
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
}

#[tokio::test]
async fn items_past_their_ttl_are_swept() {
    let db = DynamoDb::start(DynamoDbOptions::default()).await.unwrap();
    call(db.url(), "CreateTable", table()).await;
    let ttl = json!({"TableName": "table", "TimeToLiveSpecification": {"AttributeName": "ttl", "Enabled": true}});
    call(db.url(), "UpdateTimeToLive", ttl).await;
    for (key, ttl) in [("old", "1600000000"), ("new", "9999999999")] {
        let item = json!({"TableName": "table", "Item": {"pk": {"S": key}, "ttl": {"N": ttl}}});
        call(db.url(), "PutItem", item).await;
    }
    assert_eq!(db.sweep_ttl(), 1);
    let left = call(db.url(), "Scan", json!({"TableName": "table"})).await;
    assert_eq!(left["Items"][0]["pk"]["S"], "new");
    assert_eq!(left["Count"], 1);
    db.shutdown().await;
}
