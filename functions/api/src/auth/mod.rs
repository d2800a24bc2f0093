//! Who may do what (HTTP binding section 5; the roles of the OJS security extension, section 7).
//!
//! * [`keys`]: what `OJS_API_KEY` or the secret says, and whose key a request shows.
//! * [`roles`]: what a role may do.
//! * [`permissions`]: what a request does, by the router's table.
//! * [`keyring`]: the keys in force; read again while the process runs where they come from a secret.

pub mod keyring;
pub mod keys;
pub(crate) mod permissions;
pub mod roles;

pub use keyring::Keyring;
pub use keys::{ApiKeys, Principal};
pub use roles::{Operation, Role};
