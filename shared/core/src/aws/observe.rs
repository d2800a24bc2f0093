//! Counts AWS calls, and what DynamoDB takes for them. Installed in both clients when metrics are on; without that nothing is
//! asked of DynamoDB.

use aws_sdk_dynamodb::operation::{
    batch_get_item, batch_write_item, delete_item, get_item, put_item, query, transact_write_items, update_item,
};
use aws_sdk_dynamodb::types::{ConsumedCapacity, ReturnConsumedCapacity};
use aws_sdk_sqs::operation as sqs;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextMut, FinalizerInterceptorContextRef, Input, Output,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use metrics::counter;

use super::error::kind;
use crate::observe::metrics::{AWS_CALLS, AWS_COST, AWS_READ_UNITS, AWS_WRITE_UNITS};
use ojs_model::error::ErrorCode;

/// On demand, us-east-1, since November 2024: 0.625 USD a million write units; 10⁻⁹ USD a thousandth of one.
const WRITE_NANODOLLARS: f64 = 0.625;
/// 0.125 USD a million read units.
const READ_NANODOLLARS: f64 = 0.125;
/// Standard queues: 0.40 USD a million requests of up to 64 KiB.
const SQS_NANODOLLARS: u64 = 400;

/// The interceptor.
#[derive(Debug)]
pub(super) struct Observe;

/// What one of the operations' outputs says that it took.
trait Consumed {
    fn units(&self) -> f64;
}

impl Consumed for Option<ConsumedCapacity> {
    fn units(&self) -> f64 {
        self.as_ref().and_then(|capacity| capacity.capacity_units).unwrap_or(0.0)
    }
}

impl Consumed for Option<Vec<ConsumedCapacity>> {
    fn units(&self) -> f64 {
        self.iter().flatten().filter_map(|capacity| capacity.capacity_units).sum()
    }
}

/// Reads and writes of items: asks for what they take, and finds it in the answer.
macro_rules! operations {
    ($($module:ident, $input:ident, $output:ident, $units:ident;)*) => {
        fn ask(input: &mut Input) {
            $(if let Some(input) = input.downcast_mut::<$module::$input>() {
                input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
                return;
            })*
        }

        /// The counter of an output's units, and how many it took.
        fn taken(output: &Output) -> Option<(&'static str, f64)> {
            $(if let Some(output) = output.downcast_ref::<$module::$output>() {
                return Some(($units, output.consumed_capacity.units()));
            })*
            None
        }
    };
}

operations! {
    update_item, UpdateItemInput, UpdateItemOutput, AWS_WRITE_UNITS;
    put_item, PutItemInput, PutItemOutput, AWS_WRITE_UNITS;
    get_item, GetItemInput, GetItemOutput, AWS_READ_UNITS;
    query, QueryInput, QueryOutput, AWS_READ_UNITS;
    batch_get_item, BatchGetItemInput, BatchGetItemOutput, AWS_READ_UNITS;
    transact_write_items, TransactWriteItemsInput, TransactWriteItemsOutput, AWS_WRITE_UNITS;
    batch_write_item, BatchWriteItemInput, BatchWriteItemOutput, AWS_WRITE_UNITS;
    delete_item, DeleteItemInput, DeleteItemOutput, AWS_WRITE_UNITS;
}

impl Intercept for Observe {
    fn name(&self) -> &'static str {
        "ojs-observe"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        ask(context.input_mut());
        Ok(())
    }

    /// Each try is a call that AWS bills.
    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(called) = config.load::<Metadata>() else { return Ok(()) };
        let (service, operation) = (called.service().to_owned(), called.name().to_owned());
        let status = context.response().map_or(0, |response| response.status().as_u16());
        let outcome = match context.output_or_error() {
            Some(Ok(output)) => {
                if let Some((counter, units)) = taken(output) {
                    count_units(counter, units);
                }
                "ok"
            }
            // DynamoDB's throttling is a 400 among others.
            Some(Err(error)) if is_throttling(error) => "throttled",
            _ if (400..500).contains(&status) => "refused",
            _ => "error",
        };
        if service == "SQS" && outcome != "error" {
            counter!(AWS_COST).increment(SQS_NANODOLLARS);
        }
        counter!(AWS_CALLS, "service" => service, "operation" => operation, "outcome" => outcome).increment(1);
        Ok(())
    }
}

type Failure = aws_smithy_runtime_api::client::orchestrator::OrchestratorError<
    aws_smithy_runtime_api::client::interceptors::context::Error,
>;

/// Whether an error of one of our operations is throttling, as our clients are told. By its code: the rest of it may hold items.
macro_rules! throttling {
    ($($module:path),* $(,)?) => {
        fn is_throttling(failure: &Failure) -> bool {
            let Some(error) = failure.as_operation_error() else { return false };
            $(if let Some(error) = error.downcast_ref::<$module>() {
                return kind(error.code()) == ErrorCode::RateLimited;
            })*
            false
        }
    };
}

throttling! {
    update_item::UpdateItemError,
    put_item::PutItemError,
    get_item::GetItemError,
    query::QueryError,
    batch_get_item::BatchGetItemError,
    transact_write_items::TransactWriteItemsError,
    batch_write_item::BatchWriteItemError,
    delete_item::DeleteItemError,
    sqs::receive_message::ReceiveMessageError,
    sqs::send_message::SendMessageError,
    sqs::send_message_batch::SendMessageBatchError,
    sqs::delete_message::DeleteMessageError,
    sqs::delete_message_batch::DeleteMessageBatchError,
    sqs::change_message_visibility::ChangeMessageVisibilityError,
    sqs::change_message_visibility_batch::ChangeMessageVisibilityBatchError,
    sqs::get_queue_url::GetQueueUrlError,
    sqs::get_queue_attributes::GetQueueAttributesError,
    sqs::create_queue::CreateQueueError,
}

fn count_units(name: &'static str, units: f64) {
    // Halves are the smallest part; no answer has more than some thousands.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = |number: f64| number.max(0.0).round() as u64;
    let price = if name == AWS_WRITE_UNITS { WRITE_NANODOLLARS } else { READ_NANODOLLARS };
    counter!(name).increment(whole(units * 1_000.0));
    counter!(AWS_COST).increment(whole(units * 1_000.0 * price));
}
