//! API keys (HTTP binding section 5): a Bearer token on every endpoint.

use axum::http::{HeaderMap, header};
use ojs_core::settings::{SettingsError, parse_flag};
use ojs_core::{Error, ErrorCode};
use subtle::{Choice, ConstantTimeEq};

/// Shortest key accepted, characters.
const MIN_KEY_CHARS: usize = 8;

/// The keys that open the API.
#[derive(Clone)]
pub struct ApiKeys(Vec<String>);

impl ApiKeys {
    /// No key is needed: for the local stack, and where `OJS_ALLOW_INSECURE_NO_AUTH` says so.
    #[must_use]
    pub fn open() -> Self {
        Self(Vec::new())
    }

    /// Reads `OJS_API_KEY` (several keys, separated by commas, so that one can be replaced without downtime) and
    /// `OJS_ALLOW_INSECURE_NO_AUTH`.
    ///
    /// # Errors
    /// [`SettingsError`] when there is no key and that is not allowed, or a key is too short.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let insecure =
            parse_flag("OJS_ALLOW_INSECURE_NO_AUTH", lookup("OJS_ALLOW_INSECURE_NO_AUTH").as_deref(), false)?;
        let keys: Vec<String> = lookup("OJS_API_KEY")
            .unwrap_or_default()
            .split(',')
            .map(|key| key.trim().to_owned())
            .filter(|key| !key.is_empty())
            .collect();
        let problem = if keys.is_empty() && !insecure {
            "is not set; set it, or set OJS_ALLOW_INSECURE_NO_AUTH=true to serve without authentication".to_owned()
        } else if keys.iter().any(|key| key.len() < MIN_KEY_CHARS) {
            format!("holds a key of fewer than {MIN_KEY_CHARS} characters")
        } else {
            return Ok(Self(keys));
        };
        Err(SettingsError { variable: "OJS_API_KEY", problem })
    }

    /// Whether anybody may call.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks a request's `Authorization`. Takes as long for a wrong key as for the right one.
    ///
    /// # Errors
    /// `unauthenticated` when no key fits.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Error> {
        if self.is_open() {
            return Ok(());
        }
        let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let Some(given) = given else {
            return Err(Error::new(ErrorCode::Unauthenticated, "An API key is required."));
        };
        let token = match given.split_at_checked(7) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => token.trim_ascii(),
            _ => return Err(Error::new(ErrorCode::Unauthenticated, "The Authorization scheme must be Bearer.")),
        };
        let fits = self.0.iter().fold(Choice::from(0), |fits, key| fits | key.as_bytes().ct_eq(token));
        if bool::from(fits) { Ok(()) } else { Err(Error::new(ErrorCode::Unauthenticated, "The API key is not valid.")) }
    }
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKeys({} keys)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn keys(key: &str, insecure: &str) -> Result<ApiKeys, SettingsError> {
        ApiKeys::from_lookup(|name| {
            Some(if name == "OJS_API_KEY" { key } else { insecure }.to_owned()).filter(|v| !v.is_empty())
        })
    }

    #[test]
    fn no_key_is_refused_unless_allowed() {
        assert!(keys("", "").is_err() && keys(" , ", "false").is_err() && keys("short", "").is_err());
        assert!(keys("", "true").unwrap().is_open());
        assert!(keys("", "perhaps").is_err());
        assert!(!keys("long-enough", "true").unwrap().is_open());
    }

    #[test]
    fn any_of_the_keys_opens() {
        let keys = keys("first-key, second-key", "").unwrap();
        let check = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            keys.check(&headers).is_ok()
        };
        assert!(check("Bearer first-key") && check("bearer second-key"));
        for bad in ["", "Bearer", "Bearer ", "Bearer first-ke", "Bearer first-key2", "Basic first-key", "first-key"] {
            assert!(!check(bad), "{bad}");
        }
        assert!(keys.check(&HeaderMap::new()).is_err());
        assert!(!format!("{keys:?}").contains("first"));
    }
}
