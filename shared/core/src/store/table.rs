//! The table itself, for the local stack, tests and `OJS_CREATE_TABLE`. On AWS the templates create it.

use futures::FutureExt;
use std::time::Duration;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, TableStatus, TimeToLiveSpecification,
};

use super::Store;
use super::cron::attributes as cron;
use super::dynamo::attributes::{Attribute, PK, SK};
use super::job::attributes as job;
use crate::aws::{Service, service_error};
use ojs_model::error::{Error, ErrorCode, Result};

/// Sparse: jobs that wait longer than SQS can, and cron jobs, by time.
pub const DUE_INDEX: &str = "due";
/// Sparse: dead letters of all queues, by time.
pub const DEAD_INDEX: &str = "dead";
/// Sparse: dead letters of one queue, by time.
pub const DEAD_IN_QUEUE_INDEX: &str = "dead-in-queue";
/// Jobs of one queue, and workflows, by the server's time; never changes after the job is made.
pub const LISTING_INDEX: &str = "listing";

/// Where an item says when DynamoDB may delete it, s since the Unix epoch. All kinds call it so.
const TTL: Attribute = job::TTL;

/// The keys of the table and its indexes. Item kinds share an index under these names.
const KEYS: [(Attribute, ScalarAttributeType); 9] = [
    (PK, ScalarAttributeType::S),
    (SK, ScalarAttributeType::S),
    (job::DUE_PARTITION, ScalarAttributeType::S),
    (job::DUE_SORT, ScalarAttributeType::N),
    (job::DEAD_PARTITION, ScalarAttributeType::S),
    (job::DEAD_IN_QUEUE_PARTITION, ScalarAttributeType::S),
    (job::DEAD_SORT, ScalarAttributeType::S),
    (job::LISTING_PARTITION, ScalarAttributeType::S),
    (job::LISTING_SORT, ScalarAttributeType::B),
];

/// What the due index has besides the keys: what messages are made of, and of a cron job what it was woken for. Jobs and cron
/// jobs call the others alike.
const DUE_PROJECTION: [Attribute; 5] = [job::JOB_TYPE, job::QUEUE, job::PRIORITY, job::GROUP, cron::WOKEN_FOR];

impl Store {
    /// Creates the table and its indexes, and waits until it answers; an existing table is left as it is.
    ///
    /// # Errors
    /// The AWS error, or `backend_unavailable` when the table is not active after a minute.
    pub async fn create_table(&self) -> Result<()> {
        let mut create = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .set_key_schema(Some(key_schema(PK, SK)?));
        for (attribute, kind) in KEYS {
            let attribute = AttributeDefinition::builder().attribute_name(attribute.name()).attribute_type(kind);
            create = create.attribute_definitions(attribute.build().map_err(Error::internal)?);
        }
        for index in [
            index(DUE_INDEX, job::DUE_PARTITION, job::DUE_SORT, &DUE_PROJECTION)?,
            index(DEAD_INDEX, job::DEAD_PARTITION, job::DEAD_SORT, &[])?,
            index(DEAD_IN_QUEUE_INDEX, job::DEAD_IN_QUEUE_PARTITION, job::DEAD_SORT, &[])?,
            index(LISTING_INDEX, job::LISTING_PARTITION, job::LISTING_SORT, &[])?,
        ] {
            create = create.global_secondary_indexes(index);
        }
        match create.send().boxed().await {
            Ok(_) => {}
            Err(e) if e.as_service_error().is_some_and(|e| e.is_resource_in_use_exception()) => {}
            Err(e) => return Err(service_error(Service::DynamoDb, "CreateTable", &e)),
        }
        self.wait_until_active().await?;
        self.enable_ttl().await
    }

    /// Drops the table with all jobs, and waits until it is gone. For the local stack's reset.
    ///
    /// # Errors
    /// The AWS error.
    pub async fn drop_table(&self) -> Result<()> {
        match self.client.delete_table().table_name(&self.table).send().boxed().await {
            Ok(_) => Ok(()),
            Err(e) if e.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()) => Ok(()),
            Err(e) => Err(service_error(Service::DynamoDb, "DeleteTable", &e)),
        }
    }

    async fn wait_until_active(&self) -> Result<()> {
        for _ in 0..240 {
            let answer = self
                .client
                .describe_table()
                .table_name(&self.table)
                .send()
                .boxed()
                .await
                .map_err(|e| service_error(Service::DynamoDb, "DescribeTable", &e))?;
            if answer.table.and_then(|t| t.table_status) == Some(TableStatus::Active) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Err(Error::new(ErrorCode::BackendUnavailable, "The table is not active after a minute."))
    }

    async fn enable_ttl(&self) -> Result<()> {
        let ttl = TimeToLiveSpecification::builder().attribute_name(TTL.name()).enabled(true);
        let sent = self
            .client
            .update_time_to_live()
            .table_name(&self.table)
            .time_to_live_specification(ttl.build().map_err(Error::internal)?)
            .send()
            .boxed()
            .await;
        match sent {
            Ok(_) => Ok(()),
            // AWS refuses to enable what is enabled.
            Err(e)
                if e.as_service_error().and_then(aws_smithy_types::error::metadata::ProvideErrorMetadata::code)
                    == Some("ValidationException") =>
            {
                Ok(())
            }
            Err(e) => Err(service_error(Service::DynamoDb, "UpdateTimeToLive", &e)),
        }
    }
}

fn key_schema(hash: Attribute, range: Attribute) -> Result<Vec<KeySchemaElement>> {
    [(hash, KeyType::Hash), (range, KeyType::Range)]
        .into_iter()
        .map(|(name, kind)| {
            KeySchemaElement::builder().attribute_name(name.name()).key_type(kind).build().map_err(Error::internal)
        })
        .collect()
}

/// Keys only, or keys and `more`.
fn index(name: &str, hash: Attribute, range: Attribute, more: &[Attribute]) -> Result<GlobalSecondaryIndex> {
    let projection = if more.is_empty() {
        Projection::builder().projection_type(ProjectionType::KeysOnly)
    } else {
        Projection::builder()
            .projection_type(ProjectionType::Include)
            .set_non_key_attributes(Some(more.iter().map(|attribute| attribute.name().to_owned()).collect()))
    };
    GlobalSecondaryIndex::builder()
        .index_name(name)
        .set_key_schema(Some(key_schema(hash, range)?))
        .projection(projection.build())
        .build()
        .map_err(Error::internal)
}
