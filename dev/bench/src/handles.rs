//! Receipt handles as long as AWS's. The emulator's are short, and a claimed job's item holds one: without this, items
//! would be smaller here than on AWS, and write units too few.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt;
use serde_json::Value;

/// Bytes in a receipt handle of AWS, decoded; 412 characters of base64.
pub(crate) const AWS_HANDLE_BYTES: usize = 309;

/// Lengthens the handles that SQS hands out, and shortens them again on their way back.
#[derive(Debug, Clone)]
pub(crate) struct AwsHandles {
    inner: SharedHttpClient,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Characters that crossed the SDK's side of the wire but not the emulator's.
    added: AtomicUsize,
    /// Decoded length of the emulator's last handle.
    short: AtomicUsize,
}

impl AwsHandles {
    /// In front of `inner`.
    pub(crate) fn before(inner: SharedHttpClient) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// Characters by which handles were lengthened since the last call.
    pub(crate) fn take_added(&self) -> usize {
        self.counts.added.swap(0, Ordering::Relaxed)
    }

    /// Decoded length of the handles that the emulator hands out; 0 before the first.
    pub(crate) fn emulated_bytes(&self) -> usize {
        self.counts.short.load(Ordering::Relaxed)
    }
}

impl HttpClient for AwsHandles {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector { inner, counts: Arc::clone(&self.counts) })
    }
}

#[derive(Debug, Clone)]
struct Connector {
    inner: SharedHttpConnector,
    counts: Arc<Counts>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().carry(request))
    }
}

impl Connector {
    async fn carry(self, mut request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let receives = match request.headers().get("x-amz-target") {
            Some("AmazonSQS.ReceiveMessage") => true,
            Some("AmazonSQS.DeleteMessage" | "AmazonSQS.ChangeMessageVisibility") => {
                self.shorten(&mut request);
                false
            }
            _ => false,
        };
        let answer = self.inner.call(request).await?;
        if receives { self.lengthen(answer).await } else { Ok(answer) }
    }

    fn shorten(&self, request: &mut HttpRequest) {
        let Some(Ok(mut body)) = request.body().bytes().map(serde_json::from_slice::<Value>) else {
            return;
        };
        let Some(handle) = body["ReceiptHandle"].as_str().and_then(short) else {
            return;
        };
        self.counts.added.fetch_add(added(&handle), Ordering::Relaxed);
        body["ReceiptHandle"] = handle.into();
        let body = body.to_string();
        // The signature no longer fits, which emulators do not mind.
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
    }

    async fn lengthen(&self, mut answer: HttpResponse) -> Result<HttpResponse, ConnectorError> {
        let body = answer.take_body().collect().await.map_err(ConnectorError::io)?.to_bytes();
        let Ok(mut value) = serde_json::from_slice::<Value>(&body) else {
            *answer.body_mut() = SdkBody::from(body);
            return Ok(answer);
        };
        for message in value["Messages"].as_array_mut().into_iter().flatten() {
            let Some((handle, bytes)) = message["ReceiptHandle"].as_str().and_then(long) else {
                continue;
            };
            self.counts.short.store(bytes, Ordering::Relaxed);
            let emulated = message["ReceiptHandle"].as_str().map_or(0, str::len);
            self.counts.added.fetch_add(handle.len() - emulated, Ordering::Relaxed);
            message["ReceiptHandle"] = handle.into();
        }
        let body = value.to_string();
        answer.headers_mut().insert("content-length", body.len().to_string());
        *answer.body_mut() = SdkBody::from(body);
        Ok(answer)
    }
}

fn added(short: &str) -> usize {
    (AWS_HANDLE_BYTES.div_ceil(3) * 4).saturating_sub(short.len())
}

/// The handle, filled up; its last byte says how long it was. With that length.
fn long(handle: &str) -> Option<(String, usize)> {
    let mut bytes = STANDARD.decode(handle).ok()?;
    let length = bytes.len();
    if length >= AWS_HANDLE_BYTES {
        return None;
    }
    let mark = u8::try_from(length).ok()?;
    bytes.resize(AWS_HANDLE_BYTES - 1, b'+');
    bytes.push(mark);
    Some((STANDARD.encode(bytes), length))
}

/// The handle as the emulator knows it.
fn short(handle: &str) -> Option<String> {
    let bytes = STANDARD.decode(handle).ok().filter(|bytes| bytes.len() == AWS_HANDLE_BYTES)?;
    let length = usize::from(*bytes.last()?);
    Some(STANDARD.encode(bytes.get(..length)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_comes_back_as_it_was() {
        let emulated = STANDARD.encode([7; 28]);
        let lengthened = long(&emulated);
        assert_eq!(lengthened.as_ref().map(|(handle, bytes)| (handle.len(), *bytes)), Some((412, 28)));
        assert_eq!(lengthened.and_then(|(handle, _)| short(&handle)), Some(emulated));
        assert_eq!(short("AAAA"), None);
    }
}
