//! The MD5 digests that SQS answers with and SDKs verify.

use md5::{Digest, Md5};

use super::{AttributeData, MessageAttribute};

/// Hex MD5 of a message body.
pub(crate) fn md5_of_body(body: &str) -> String {
    hex(&Md5::digest(body.as_bytes()))
}

/// Hex MD5 of message attributes, which must come sorted by name; `None` when there are none.
///
/// Each attribute is its name, its data type, a transport byte (1 string, 2 binary) and its value,
/// every text with its length in bytes before it (big endian, 32 bits).
pub(crate) fn md5_of_attributes<'a>(attributes: impl IntoIterator<Item = &'a MessageAttribute>) -> Option<String> {
    let mut md5 = Md5::new();
    let mut any = false;
    for attribute in attributes {
        any = true;
        update_sized(&mut md5, attribute.name.as_bytes());
        update_sized(&mut md5, attribute.data_type.as_bytes());
        match &attribute.data {
            AttributeData::Text(text) => {
                md5.update([1]);
                update_sized(&mut md5, text.as_bytes());
            }
            AttributeData::Binary(bytes) => {
                md5.update([2]);
                update_sized(&mut md5, bytes);
            }
        }
    }
    any.then(|| hex(&md5.finalize()))
}

fn update_sized(md5: &mut Md5, bytes: &[u8]) {
    // Sizes are capped at 1 MiB before we get here.
    md5.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    md5.update(bytes);
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn attribute(name: &str, data_type: &str, data: AttributeData) -> MessageAttribute {
        MessageAttribute { name: name.into(), data_type: data_type.into(), data }
    }

    #[test]
    fn bodies_hash_like_rfc_1321() {
        assert_eq!(md5_of_body(""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5_of_body("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
    }

    #[test]
    fn attributes_hash_like_the_sdks_do() {
        assert_eq!(md5_of_attributes([]), None);
        // Known vector: the example that the moto and ElasticMQ suites share.
        let timestamp = attribute("timestamp", "Number", AttributeData::Text("1493147359900".into()));
        assert_eq!(md5_of_attributes([&timestamp]).unwrap(), "235c5c510d26fb653d073faed50ae77c");
    }
}
