//! Runs that are interrupted: at every event, by a full disk, by the operator.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "what surprises a test is to end it; the matrix is printed"
)]

mod full_disk;
mod host;
mod kill_matrix;
mod operator;
mod process;
mod record;
mod rollout;
mod socket;
