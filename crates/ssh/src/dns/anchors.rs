//! Trust anchors: the DNSKEYs from which everything else is proven.

use std::path::Path;
use std::sync::Arc;

use hickory_resolver::proto::dnssec::{TrustAnchors, Verifier as _};
use hickory_resolver::proto::serialize::txt::trust_anchor::{Entry, Parser};

use super::lookup::DnsError;

/// DNSKEYs that are believed without proof.
#[derive(Clone)]
pub struct Anchors(Arc<TrustAnchors>);

impl Anchors {
    /// The root zone's (IANA's KSK-2017 and KSK-2024).
    pub fn root() -> Self {
        Self(Arc::new(TrustAnchors::default()))
    }

    /// Those of a file of DNSKEY records in zone file syntax, as `ldns-keygen`, `keymgr` and `dnssec-keygen` write
    /// them. They replace the root's: somebody who names a file decides what is believed.
    ///
    /// # Errors
    /// When the text holds anything but DNSKEY records, none, or a key of an algorithm that is not supported (RFC 8624).
    pub fn parse(file: &Path, text: &str) -> Result<Self, DnsError> {
        let bad = |why: String| DnsError::Anchors { file: file.to_owned(), why };
        let text = normal(text);
        if text.is_empty() {
            return Err(bad("it holds no DNSKEY record".to_owned()));
        }
        let mut anchors = TrustAnchors::empty();
        for entry in Parser::new(text).parse().map_err(|error| bad(error.to_string()))? {
            let Entry::DNSKEY(record) = entry else {
                return Err(bad("it holds a record that is no DNSKEY".to_owned()));
            };
            let dnskey = record.data();
            // Before the key is decoded: the library takes an algorithm that it does not know for its own mistake.
            if !dnskey.algorithm().is_supported() {
                return Err(bad(format!(
                    "{} has a key of an algorithm that cannot be checked",
                    record.name()
                )));
            }
            let key = dnskey.key().map_err(|error| bad(error.to_string()))?;
            anchors.insert_with_name(&*key, record.name().into());
        }
        Ok(Self(Arc::new(anchors)))
    }

    pub(super) fn shared(&self) -> Arc<TrustAnchors> {
        Arc::clone(&self.0)
    }
}

/// One record per line, without comments: key files carry their key tag behind a semicolon.
fn normal(text: &str) -> String {
    let lines = text.lines().map(|line| line.split(';').next().unwrap_or_default().trim());
    let mut normal: String = lines.filter(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect();
    normal.truncate(normal.trim_end().len());
    normal
}
