//! Cuts the time-outs of AWS calls to what the request at work has left, and sends none after that.

use std::time::Duration;

use aws_sdk_sqs::operation::receive_message::ReceiveMessageInput;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeSerializationInterceptorContextRef;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::deadline::call_limit;

/// How long one try of a call may take, and how long all of them together.
pub(super) const ATTEMPT: Duration = Duration::from_secs(5);
pub(super) const OPERATION: Duration = Duration::from_secs(15);

/// The interceptor.
#[derive(Debug)]
pub(super) struct KeepDeadline;

impl Intercept for KeepDeadline {
    fn name(&self) -> &'static str {
        "ojs-deadline"
    }

    fn read_before_execution(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(left) = call_limit() else { return Ok(()) };
        if left.is_zero() {
            return Err("the request ran out of time before this call".into());
        }
        // A long poll answers when a message comes, or its wait is over.
        let wait_s =
            context.input().downcast_ref::<ReceiveMessageInput>().and_then(|receive| receive.wait_time_seconds);
        let wait = Duration::from_secs(u64::try_from(wait_s.unwrap_or(0)).unwrap_or(0));
        let limits = TimeoutConfig::builder()
            .operation_attempt_timeout((ATTEMPT + wait).min(left))
            .operation_timeout((OPERATION + wait).min(left))
            .build();
        config.interceptor_state().store_put(limits);
        Ok(())
    }
}
