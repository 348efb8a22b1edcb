//! Turns inventory, host set, playbook and time into a plan, offline.
//!
//! Text in, [`pipedown_model::Plan`] out. No clock (the moment is passed in), no network, no async;
//! only [`files`] reads from the disk. Whatever is wrong with a text is an [`InputError`] that points
//! at file, line and key and knows the nearest word that would have been right.
//!
//! ```text
//! files::locate ─> Inventory::parse ─┐
//! HostSet::parse ────────────────────┤
//! Catalog::find ─> Playbook::parse ──┼─> compile ─> Plan ─> timeline, plan_file
//! WindowTime::parse_at ──────────────┘
//! ```

mod compile;
mod diagnostic;
mod document;
mod error;
pub mod files;
mod given;
mod hostset;
mod inventory;
mod plan_file;
mod playbook;
mod snippet;
mod template;
mod time;
mod timeline;

pub use compile::{Inputs, compile, max_down};
pub use diagnostic::{InputError, Source};
pub use error::PlanError;
pub use given::Given;
pub use hostset::{HostSet, Outcome, Outside, Unavailable, fold};
pub use inventory::{Beside, Format, Host, Inventory, Named, Notice, VarFile};
pub use plan_file::{from_json, to_json};
pub use playbook::{Catalog, Found, Origin, Playbook, SETTINGS, UNSET, Variable, WindowNeed};
pub use snippet::first_match;
pub use time::{WindowTime, ZoneChoice, parse_zone, show_instant};
pub use timeline::timeline;
