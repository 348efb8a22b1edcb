//! Runs that are interrupted: at every event, by a full disk, by the operator.

mod host;
mod kill_matrix;
mod process;
mod record;
