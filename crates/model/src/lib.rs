//! Facts pipedown speaks of: ids, plans, events, run state and exit codes.
