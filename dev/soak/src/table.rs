//! The table as it is, read past the API.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::stage::TABLE;

/// DynamoDB refuses and loses calls in the hard mode.
const TRIES: u32 = 50;

/// Reads all items of the table.
pub(crate) async fn scan(dynamodb_url: &str) -> Outcome<Vec<Item>> {
    let client = reqwest::Client::new();
    let (mut items, mut start) = (Vec::new(), Value::Null);
    loop {
        let mut body = json!({"TableName": TABLE, "ConsistentRead": true});
        if !start.is_null() {
            body["ExclusiveStartKey"] = start;
        }
        let page = call(&client, dynamodb_url, &body).await?;
        let found = page["Items"].as_array().into_iter().flatten();
        items.extend(found.filter_map(|item| item.as_object().cloned().map(Item)));
        start = page["LastEvaluatedKey"].clone();
        if start.is_null() {
            return Ok(items);
        }
    }
}

async fn call(client: &reqwest::Client, url: &str, body: &Value) -> Outcome<Value> {
    let mut problem = String::new();
    for _ in 0..TRIES {
        let request = client
            .post(url)
            .header("x-amz-target", "DynamoDB_20120810.Scan")
            .header("x-amz-date", "20261123T000000Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=soak/20261123/us-east-1/dynamodb/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature=00",
            )
            .header("content-type", "application/x-amz-json-1.0")
            .body(body.to_string());
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(answer.json().await?),
            Ok(answer) => problem = answer.text().await.unwrap_or_default(),
            Err(error) => problem = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(format!("the table cannot be read: {problem}").into())
}

/// One item in DynamoDB's JSON.
#[derive(Debug, Clone)]
pub(crate) struct Item(pub(crate) Map<String, Value>);

impl Item {
    /// A string or number as text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?;
        value["S"].as_str().or_else(|| value["N"].as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn pk(&self) -> &str {
        self.text("pk").unwrap_or_default()
    }

    pub(crate) fn sk(&self) -> &str {
        self.text("sk").unwrap_or_default()
    }

    /// The job's id, if it is a job.
    pub(crate) fn job_id(&self) -> Option<&str> {
        self.pk().strip_prefix("JOB#")
    }

    /// The workflow's id, if it says how far a workflow is.
    pub(crate) fn workflow_id(&self) -> Option<&str> {
        self.pk().strip_prefix("WORKFLOW#").filter(|_| self.sk() == "M")
    }

    /// The state of a job, workflow or batch as it is stored.
    pub(crate) fn state(&self) -> &str {
        self.text("s").unwrap_or_default()
    }
}
