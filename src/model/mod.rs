//! The nouns of a drill and their units.
//!
//! Values only: nothing here reads a clock, opens a file or waits. Every other room imports these
//! types and none of them imports another room.

mod ascii;
mod calendar;
mod control;
mod course;
mod environment;
mod event;
mod guardrail;
mod judgement;
mod lab;
mod lab_truth;
mod ledger;
mod ledger_nats;
mod ledger_redis;
mod ledger_spec;
mod load;
mod names;
mod notify;
mod past;
mod placement;
mod plan;
mod plan_file;
mod preview;
mod printable;
mod provider;
mod record;
mod sample;
mod store_url;
mod template;
mod text;
mod time;
mod topology;

pub use ascii::*;
pub use calendar::*;
pub use control::*;
pub use course::*;
pub use environment::*;
pub use event::*;
pub use guardrail::*;
pub use judgement::*;
pub use lab::*;
pub use lab_truth::*;
pub use ledger::*;
pub use ledger_nats::*;
pub use ledger_redis::*;
pub use ledger_spec::*;
pub use load::*;
pub use names::*;
pub use notify::*;
pub use past::*;
pub use placement::*;
pub use plan::*;
pub use plan_file::*;
pub use preview::*;
pub use printable::*;
pub use provider::*;
pub use record::*;
pub use sample::*;
pub use store_url::*;
pub use template::*;
pub use text::*;
pub use time::*;
pub use topology::*;
