//! Names of queues, their URLs and ARNs, and the other short identifiers that SQS checks.

use std::net::SocketAddr;

use crate::sqs::http::errors::{ErrorKind, SqsError};

const MAX_QUEUE_NAME_CHARS: usize = 80;

/// `http://HOST:PORT` of a bound address; an unspecified host is reachable as loopback.
pub(crate) fn base_url(addr: SocketAddr) -> String {
    match addr {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => format!("http://127.0.0.1:{}", v4.port()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => format!("http://[::1]:{}", v6.port()),
        addr => format!("http://{addr}"),
    }
}

/// Letters, digits, hyphens and underscores.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Whether `name` could be a queue's name, FIFO or not.
pub(crate) fn is_queue_name(name: &str) -> bool {
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    !stem.is_empty() && name.len() <= MAX_QUEUE_NAME_CHARS && is_plain(stem)
}

/// Checks the name of a queue that is to be created.
pub(crate) fn check_new_queue_name(name: &str, fifo: bool) -> Result<(), SqsError> {
    if !fifo {
        return if is_queue_name(name) && !name.ends_with(".fifo") {
            Ok(())
        } else {
            Err(SqsError::invalid_parameter(
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
            ))
        };
    }
    if is_queue_name(name) && name.ends_with(".fifo") {
        return Ok(());
    }
    Err(SqsError::invalid_parameter(
        "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, \
         must end with .fifo suffix and be 1 to 80 in length.",
    ))
}

/// The queue's name out of its URL (`…/ACCOUNT/NAME`); the host is not looked at, so that a queue
/// can be reached under any of the machine's names.
pub(crate) fn queue_name_of_url<'a>(url: &'a str, account_id: &str) -> Result<&'a str, SqsError> {
    let bad_address =
        || SqsError::new(ErrorKind::InvalidAddress, format!("The address {url} is not valid for this endpoint."));
    let (rest, name) = url.rsplit_once('/').ok_or_else(bad_address)?;
    let account = rest.rsplit('/').next().unwrap_or_default();
    if account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_digit()) || name.is_empty() {
        return Err(bad_address());
    }
    if account != account_id || !is_queue_name(name) {
        return Err(SqsError::queue_does_not_exist());
    }
    Ok(name)
}

/// The queue's name out of `arn:aws:sqs:REGION:ACCOUNT:NAME`, when the ARN is one of ours.
pub(crate) fn queue_name_of_arn<'a>(arn: &'a str, region: &str, account_id: &str) -> Option<&'a str> {
    let mut parts = arn.splitn(6, ':');
    let ours = parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("sqs")
        && parts.next() == Some(region)
        && parts.next() == Some(account_id);
    parts.next().filter(|name| ours && is_queue_name(name))
}

/// Message group and deduplication ids: 1 to 128 printable ASCII characters.
pub(crate) fn check_fifo_id(value: &str, parameter: &str) -> Result<(), SqsError> {
    if (1..=128).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(SqsError::invalid_value(
        value,
        parameter,
        &format!("{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length."),
    ))
}

/// Ids of batch entries: 1 to 80 letters, digits, hyphens and underscores.
pub(crate) fn is_batch_entry_id(id: &str) -> bool {
    (1..=80).contains(&id.len()) && is_plain(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_lead_to_names() {
        let name = queue_name_of_url("http://127.0.0.1:9/000000000000/q.fifo", "000000000000");
        assert_eq!(name.unwrap(), "q.fifo");
        for (url, kind) in [
            ("q", ErrorKind::InvalidAddress),
            ("http://host/q", ErrorKind::InvalidAddress),
            ("http://host/000000000000/", ErrorKind::InvalidAddress),
            ("http://host/111111111111/q", ErrorKind::QueueDoesNotExist),
            ("http://host/000000000000/a b", ErrorKind::QueueDoesNotExist),
        ] {
            assert_eq!(queue_name_of_url(url, "000000000000").unwrap_err().kind, kind, "{url}");
        }
    }

    #[test]
    fn arns_lead_to_names() {
        let name = |arn| queue_name_of_arn(arn, "us-east-1", "000000000000");
        assert_eq!(name("arn:aws:sqs:us-east-1:000000000000:q"), Some("q"));
        assert_eq!(name("arn:aws:sqs:eu-west-1:000000000000:q"), None);
        assert_eq!(name("arn:aws:sns:us-east-1:000000000000:q"), None);
        assert_eq!(name("nonsense"), None);
    }
}
