use super::timestamp::format_ms;

/// A point in time that may remember how the client wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// ms since the Unix epoch.
    pub at_ms: i64,
    /// The client's text, where it differs from ours.
    pub text: Option<String>,
}

impl Moment {
    /// A time of our own making.
    #[must_use]
    pub fn at(at_ms: i64) -> Self {
        Self { at_ms, text: None }
    }

    /// The time as shown: the client's text, else RFC 3339 in UTC with ms.
    #[must_use]
    pub fn to_wire(&self) -> String {
        self.text.clone().unwrap_or_else(|| format_ms(self.at_ms))
    }
}
