//! One job: read, cancelled, retried, deleted; and what follows once it has ended.

pub(super) mod activate;
pub(super) mod batch_commit;
pub(super) mod cancel;
pub(super) mod dead_letters;
pub(super) mod delete;
pub(super) mod effects;
pub(super) mod get;
pub(super) mod refuse;
pub(super) mod retry;
pub(super) mod transition;
