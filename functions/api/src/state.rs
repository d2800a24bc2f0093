//! What every request can reach.

use std::sync::Arc;
use std::time::Instant;

use ojs_core::Engine;
use ojs_telemetry::Telemetry;

use crate::auth::Keyring;
use crate::serving::Running;

/// What every handler can reach.
#[derive(Debug, Clone)]
pub struct Api {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Who may call.
    pub keys: Arc<Keyring>,
    /// Largest request body, bytes.
    pub max_body_bytes: usize,
    /// Where its numbers and traces go.
    pub telemetry: Telemetry,
    /// When the process started to serve.
    pub started: Instant,
    /// The requests that may write and are at work.
    pub running: Running,
}
