use serde_json::Value;

use crate::refused;

/// The service a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// DynamoDB.
    DynamoDb,
    /// SQS.
    Sqs,
    /// Anything else.
    Other,
}

/// One try of one call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Where it went.
    pub service: Service,
    /// Its action, such as `UpdateItem`.
    pub action: String,
    /// Size of the request body, bytes.
    pub request_bytes: usize,
    /// Size of the answer's body, bytes; 0 where there was none.
    pub response_bytes: usize,
    /// HTTP status of the answer; 0 where there was none.
    pub status: u16,
    /// Write units that DynamoDB says it took, indexes included; and those that AWS bills for a refused write, of which no
    /// answer tells.
    pub write_units: f64,
    /// Read units that DynamoDB says it took.
    pub read_units: f64,
}

impl Call {
    /// A call by its `X-Amz-Target`.
    pub(crate) fn new(target: &str, request_bytes: usize) -> Self {
        let (prefix, action) = target.split_once('.').unwrap_or(("", target));
        let service = match prefix {
            "AmazonSQS" => Service::Sqs,
            _ if prefix.starts_with("DynamoDB") => Service::DynamoDb,
            _ => Service::Other,
        };
        Self {
            service,
            action: action.to_owned(),
            request_bytes,
            response_bytes: 0,
            status: 0,
            write_units: 0.0,
            read_units: 0.0,
        }
    }

    /// Notes the answer to `request`, which is a DynamoDB call's body.
    pub(crate) fn answered(&mut self, request: Option<&Value>, status: u16, body: &[u8]) {
        self.status = status;
        self.response_bytes = body.len();
        if self.service != Service::DynamoDb {
            return;
        }
        let Ok(answer) = serde_json::from_slice::<Value>(body) else { return };
        if let Some(request) = request.filter(|_| status == 400) {
            self.write_units = refused::write_units(&self.action, request, &answer);
            return;
        }
        let units = match &answer["ConsumedCapacity"] {
            Value::Array(tables) => tables.iter().filter_map(|t| t["CapacityUnits"].as_f64()).sum(),
            table => table["CapacityUnits"].as_f64().unwrap_or(0.0),
        };
        match self.action.as_str() {
            "GetItem" | "BatchGetItem" | "Query" | "Scan" | "TransactGetItems" => self.read_units = units,
            _ => self.write_units = units,
        }
    }
}
