//! An SSH client with deadlines, kill switches and strict host keys.
