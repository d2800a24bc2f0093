//! What holds for every route.

mod auth;
mod bad_requests;
mod corrected_rtr_014;
mod disconnects;
mod headers;
mod health;
mod lambda;
mod properties;
mod sdks;
