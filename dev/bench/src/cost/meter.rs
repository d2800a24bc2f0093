//! A lab whose AWS calls are counted.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use ojs_core::{Engine, Settings};
use ojs_fault_injection::Wire;

use super::tally::Tally;
use crate::Outcome;
use crate::clock::Ahead;
use crate::handles::AwsHandles;
use crate::item_size::{item_size, value_size};
use crate::lab::Lab;
use crate::stage::Stage;

/// How far ahead the tick's clock is, ms.
pub(crate) const AHEAD_MS: i64 = 3_600_000;

/// The lab and its wire.
pub(crate) struct Meter {
    pub(crate) lab: Lab,
    /// The same table, [`AHEAD_MS`] later.
    pub(crate) later: Engine,
    pub(crate) args_bytes: usize,
    pub(crate) listing_index: bool,
    wire: Wire,
    handles: AwsHandles,
    table: String,
    /// Not metered.
    dynamodb: aws_sdk_dynamodb::Client,
}

impl Meter {
    pub(crate) async fn start(stage: &Stage, args_bytes: usize, listing_index: bool) -> Outcome<Self> {
        let name = format!("{args_bytes}{}", if listing_index { "" } else { "-off" });
        let settings = Settings {
            table: format!("cost-{name}"),
            queue_prefix: format!("c{name}"),
            listing_index,
            ..Settings::default()
        };
        let wire = Wire::new();
        let handles = AwsHandles::before(wire.http_client());
        let http = SharedHttpClient::new(handles.clone());
        let lab = Lab::start(stage, &settings, http.clone(), args_bytes).await?;
        let later = stage.engine(&settings, Some(http), Arc::new(Ahead(AHEAD_MS))).await?;
        wire.meter();
        let dynamodb = stage.clients(&settings, None).await.dynamodb;
        Ok(Self { lab, later, args_bytes, listing_index, wire, handles, table: settings.table, dynamodb })
    }

    /// What AWS is asked for while `operation` runs, and what it answers.
    pub(crate) async fn count<T>(&self, operation: impl Future<Output = ojs_model::Result<T>>) -> Outcome<(T, Tally)> {
        drop(self.wire.take_calls());
        self.handles.take_added();
        let answer = operation.await?;
        Ok((answer, Tally::of(&self.wire.take_calls(), self.handles.take_added())))
    }

    /// Size of a job's item and of the receipt handle in it, bytes.
    pub(crate) async fn item_bytes(&self, id: &ojs_model::JobId) -> Outcome<(usize, usize)> {
        let item = self
            .dynamodb
            .get_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(format!("JOB#{id}")))
            .key("sk", AttributeValue::S("J".to_owned()))
            .send()
            .await?
            .item
            .ok_or("the job has no item")?;
        Ok((item_size(&item), item.get("rh").map_or(0, value_size)))
    }

    /// Decoded length of the emulator's own receipt handles.
    pub(crate) fn emulated_handle_bytes(&self) -> usize {
        self.handles.emulated_bytes()
    }
}
