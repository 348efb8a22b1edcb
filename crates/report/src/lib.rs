//! Turns events into text: progress, plain lines, JSON lines, reports.
