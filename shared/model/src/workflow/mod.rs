//! Workflows (OJS workflows): jobs that follow each other. Pure.
//!
//! * [`Definition`]: what was asked for, and never changes.
//! * [`Workflow`]: how far it is. Steps that depend on others are kept one by one ([`advance`]); those of groups and batches, which
//!   depend on nothing, only until they have ended, in sets that are spread over shards.
//!
//! The jobs are the truth: a step has ended when its job has, and every process draws the same conclusions from that.

mod cuts;
mod definition;
mod id;
mod order;
mod parse;
mod progress;
mod result;
mod view;

pub use cuts::cuts_of;
pub use definition::{Callback, Definition, Kind, Step, When, Work};
pub use id::job_id;
pub use parse::{MAX_DEFINITION_BYTES, MAX_GRAPH_STEPS, MAX_LEVELS, MAX_STEPS, parse_workflow};
pub use progress::{StepState, Workflow, WorkflowState, advance, cancel, shards_of};
pub use result::{Leaf, Missing, keep_of, leaves_of, parents_of, render};
pub use view::{Shown, StepView};
