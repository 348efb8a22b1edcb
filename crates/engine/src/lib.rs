//! Decides what happens next on which host; the only writer of the journal.
