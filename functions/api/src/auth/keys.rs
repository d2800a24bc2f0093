//! API keys (HTTP binding section 5): a Bearer token on every endpoint.

use axum::http::{HeaderMap, header};
use ojs_core::settings::{SettingsError, parse_flag};
use ojs_model::{Error, ErrorCode};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::roles::{Operation, Role};

/// Shortest key accepted, characters.
const MIN_KEY_CHARS: usize = 8;
/// Shortest key that is not warned of, characters (OJS security section 6 asks for 256 bits).
const GOOD_KEY_CHARS: usize = 32;
/// Most keys.
const MAX_KEYS: usize = 1_000;

/// Whose key a request shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The key's name; `key-1` and so on where it has none.
    pub name: String,
    /// What it is for.
    pub roles: Vec<Role>,
}

impl Principal {
    /// Checks that it may do this.
    ///
    /// # Errors
    /// `permission_denied`, with what would be needed.
    pub fn check(&self, operation: Operation) -> Result<(), Error> {
        if self.roles.iter().any(|role| operation.roles().contains(role)) {
            return Ok(());
        }
        let names = |roles: &[Role]| roles.iter().copied().map(Role::as_str).collect::<Vec<_>>();
        let message = format!("The key '{}' may not {} here.", self.name, operation.as_str());
        Err(Error::new(ErrorCode::PermissionDenied, message)
            .with("operation", operation.as_str())
            .with("roles", names(&self.roles))
            .with("required_roles", names(operation.roles())))
    }
}

/// The keys that open the API, as digests: all are of one length, and none can be printed.
#[derive(Clone, Default)]
pub struct ApiKeys {
    keys: Vec<([u8; 32], Principal)>,
    /// Names of keys that are too short to be good.
    short: Vec<String>,
}

/// The form with roles.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    keys: Vec<ListedKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListedKey {
    name: String,
    roles: Vec<String>,
    key: String,
}

impl ApiKeys {
    /// No key is needed: for the local stack, and where `OJS_ALLOW_INSECURE_NO_AUTH` says so.
    #[must_use]
    pub fn open() -> Self {
        Self::default()
    }

    /// Reads `OJS_API_KEY` and `OJS_ALLOW_INSECURE_NO_AUTH`.
    ///
    /// # Errors
    /// [`SettingsError`] when there is no key and that is not allowed, or as [`Self::parse`].
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let insecure =
            parse_flag("OJS_ALLOW_INSECURE_NO_AUTH", lookup("OJS_ALLOW_INSECURE_NO_AUTH").as_deref(), false)?;
        let keys = Self::parse(&lookup("OJS_API_KEY").unwrap_or_default());
        let keys = keys.map_err(|problem| SettingsError { variable: "OJS_API_KEY", problem })?;
        keys.warn_of_short_keys();
        if keys.is_open() && !insecure {
            let problem = "is not set; set it (or OJS_API_KEY_SECRET), or set OJS_ALLOW_INSECURE_NO_AUTH=true to serve \
                           without authentication";
            return Err(SettingsError { variable: "OJS_API_KEY", problem: problem.to_owned() });
        }
        Ok(keys)
    }

    /// Reads keys: one, or several separated by commas, so that one can be replaced without downtime, each with full access; or
    /// `{"keys": [{"name": "web", "roles": ["producer"], "key": "..."}]}`.
    ///
    /// # Errors
    /// What is wrong. The text never has a part of a key in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let listed: Vec<(String, Vec<Role>, String)> = if text.starts_with(['{', '[', '"']) {
            // Its errors may quote what they meet.
            let listed: Listed = serde_json::from_str(text).map_err(|e| {
                format!("is not the JSON of keys with name, roles and key (line {}, column {})", e.line(), e.column())
            })?;
            let each = listed.keys.into_iter().map(|key| {
                let roles: Option<Vec<Role>> = key.roles.iter().map(|role| Role::parse(role)).collect();
                let roles = roles.filter(|roles| !roles.is_empty()).ok_or_else(|| {
                    let known = Role::ALL.map(Role::as_str).join(", ");
                    format!("gives a key roles other than {known}, or none")
                })?;
                Ok::<_, String>((key.name, roles, key.key))
            });
            let listed = each.collect::<Result<Vec<_>, String>>()?;
            if listed.is_empty() {
                return Err("has no keys in it".to_owned());
            }
            listed
        } else {
            let keys = text.split(',').map(str::trim).filter(|key| !key.is_empty()).enumerate();
            keys.map(|(at, key)| (format!("key-{}", at + 1), vec![Role::Admin], key.to_owned())).collect()
        };
        if listed.len() > MAX_KEYS {
            return Err(format!("holds more than {MAX_KEYS} keys"));
        }
        let (mut keys, mut short) = (Vec::with_capacity(listed.len()), Vec::new());
        for (name, roles, key) in listed {
            // What other forms of JSON would make of the list must not open the API.
            if key.contains(|c: char| c.is_whitespace() || c.is_control() || "{}[]\"".contains(c)) {
                return Err("holds a key with a space, a quotation mark, a bracket or a brace in it".to_owned());
            }
            if key.len() < MIN_KEY_CHARS {
                return Err(format!("holds a key of fewer than {MIN_KEY_CHARS} characters"));
            }
            if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
                return Err("gives a key a name that is empty or longer than 64 bytes".to_owned());
            }
            let digest = digest(key.as_bytes());
            if keys.iter().any(|(other, principal): &([u8; 32], Principal)| *other == digest || principal.name == name)
            {
                return Err("holds the same key or the same name twice".to_owned());
            }
            if key.len() < GOOD_KEY_CHARS {
                short.push(name.clone());
            }
            keys.push((digest, Principal { name, roles }));
        }
        Ok(Self { keys, short })
    }

    /// Says in the log which keys are short.
    pub fn warn_of_short_keys(&self) {
        for principal in &self.short {
            tracing::warn!(principal, "an API key is short; use {GOOD_KEY_CHARS} random characters or more");
        }
    }

    /// Whether requests need no key.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whose token this is. Takes as long for a wrong one as for a right one.
    #[must_use]
    pub fn find(&self, token: &[u8]) -> Option<&Principal> {
        let shown = digest(token);
        let none = u32::MAX;
        let found = self
            .keys
            .iter()
            .zip(0_u32..)
            .fold(none, |found, ((key, _), at)| u32::conditional_select(&found, &at, key.ct_eq(&shown)));
        self.keys.get(usize::try_from(found).ok()?).map(|(_, principal)| principal)
    }
}

/// The token of a request's `Authorization`.
///
/// # Errors
/// `unauthenticated` when there is none.
pub fn token(headers: &HeaderMap) -> Result<&[u8], Error> {
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let Some(given) = given else {
        return Err(Error::new(ErrorCode::Unauthenticated, "An API key is required."));
    };
    match given.split_at_checked(7) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"bearer ") => Ok(token.trim_ascii()),
        _ => Err(Error::new(ErrorCode::Unauthenticated, "The Authorization scheme must be Bearer.")),
    }
}

fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

impl std::fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKeys({} keys)", self.keys.len())
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
        let name = |token: &str| keys.find(token.as_bytes()).map(|principal| principal.name.as_str());
        assert_eq!((name("first-key"), name("second-key")), (Some("key-1"), Some("key-2")));
        for bad in ["", "first-ke", "first-key2", "first-key, second-key"] {
            assert_eq!(name(bad), None, "{bad}");
        }
        assert!(!format!("{keys:?}").contains("first"));
    }

    #[test]
    fn the_scheme_is_bearer() {
        let token_of = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            token(&headers).map(<[u8]>::to_vec)
        };
        assert_eq!(token_of("Bearer  a-key ").unwrap(), b"a-key");
        assert_eq!(token_of("bearer a-key").unwrap(), b"a-key");
        for bad in ["", "Bearer", "Basic a-key", "a-key"] {
            assert!(token_of(bad).is_err(), "{bad}");
        }
        assert!(token(&HeaderMap::new()).is_err());
    }

    #[test]
    fn keys_may_have_roles() {
        let text = r#"{"keys": [{"name": "web", "roles": ["producer", "reader"], "key": "key-of-the-web"},
                                {"name": "ops", "roles": ["admin"], "key": "key-of-the-ops"}]}"#;
        let keys = ApiKeys::parse(text).unwrap();
        let web = keys.find(b"key-of-the-web").unwrap();
        assert!(web.check(Operation::Enqueue).is_ok() && web.check(Operation::Inspect).is_ok());
        let refused = web.check(Operation::Dequeue).unwrap_err();
        assert_eq!(refused.code, ErrorCode::PermissionDenied);
        assert_eq!(refused.details["required_roles"], serde_json::json!(["worker", "admin"]));
        assert!(keys.find(b"key-of-the-ops").unwrap().check(Operation::Admin).is_ok());
        for bad in [
            "{",
            "{}",
            r#"{"keys": []}"#,
            r#"{"keys": [{"name": "a", "roles": ["root"], "key": "secret-secret"}]}"#,
            r#"{"keys": [{"name": "a", "roles": [], "key": "secret-secret"}]}"#,
            r#"{"keys": [{"name": "", "roles": ["admin"], "key": "secret-secret"}]}"#,
            r#"{"keys": [{"name": "a", "roles": ["admin"], "key": "secret"}]}"#,
            r#"[{"name": "a", "roles": ["producer"], "key": "secret-secret"}]"#,
            r#""secret-secret,secret-secret-2""#,
            r#"secret-secret, {"name": "a"}"#,
            "secret secret",
            "secret-secret,secret-secret",
            r#"{"keys": [{"name": "a", "roles": ["admin"], "key": "secret-secret"}, {"name": "a", "roles": ["reader"], "key": "secret-secret-2"}]}"#,
            r#"{"keys": [{"name": "a", "roles": ["admin"], "key": "secret-secret", "secret": 1}]}"#,
        ] {
            let problem = ApiKeys::parse(bad).unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
