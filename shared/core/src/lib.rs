//! The engine of ojs-serverless: everything the functions share.
//!
//! * [`engine`]: one operation per file, written against the store and the transport.
//! * [`store`]: DynamoDB, the truth. Every state change is one conditional write.
//! * [`transport`]: SQS, the continuation. One message per live job says who looks next.
//! * [`observe`]: metrics and trace contexts.
//!
//! The rules that they apply are in the crate [`ojs_model`]. `docs/architecture.md` has the invariants I1 to I9 that the
//! comments name.

pub mod aws;
mod bounded;
pub mod clock;
pub mod deadline;
pub mod engine;
pub mod observe;
pub mod settings;
pub mod store;
pub mod transport;

pub use clock::{Clock, SystemClock};
pub use deadline::Deadline;
pub use engine::Engine;
pub use settings::Settings;
