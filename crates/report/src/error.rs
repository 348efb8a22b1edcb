//! What goes wrong while writing a report.

/// A report that could not be written; the run itself goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The stream does not take it: a closed pipe, a full disk.
    #[error("write the report")]
    Write(#[source] std::io::Error),
    /// An event has no JSON form.
    #[error("write event {seq} as JSON")]
    Json {
        /// The event's number.
        seq: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}
