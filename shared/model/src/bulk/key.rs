use std::fmt;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::json::Fields;

/// Longest idempotency key, characters (bulk operations section 10.2).
pub const MAX_KEY_CHARS: usize = 256;

/// What a client names a request by, so that it can send it again (bulk operations section 10).
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads a key that was given as `field`: 1 to [`MAX_KEY_CHARS`] characters.
    ///
    /// # Errors
    /// `invalid_request` naming `field`.
    pub fn parse(field: &str, text: String) -> Result<Self> {
        match text.chars().count() {
            1..=MAX_KEY_CHARS => Ok(Self(text)),
            count => Err(Error::field(field, format_args!("must have 1 to {MAX_KEY_CHARS} characters, has {count}"))
                .with("max", MAX_KEY_CHARS)),
        }
    }

    /// Takes the key out of a request's body; `header`, the one of the `Idempotency-Key` header, takes precedence.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn take(body: &mut Fields, header: Option<Self>) -> Result<Option<Self>> {
        let field = "idempotency_key";
        let given = body.take_string(field)?.map(|text| Self::parse(field, text)).transpose()?;
        Ok(header.or(given))
    }

    /// Its SHA-256 in lower-case hexadecimal: what the table knows it by.
    #[must_use]
    pub fn digest(&self) -> String {
        Sha256::digest(&self.0).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A client may put anything into it, so it is not for logs.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey")
    }
}
