//! Asking for SSHFP records.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError as NetDnsError, NetError, NoRecords};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::anchors::Anchors;
use super::record::SshfpRecord;
use super::verdict::DnsFinding;

/// The port of DNS.
const DNS_PORT: u16 = 53;
/// How often a question is repeated before it counts as unanswered.
const ATTEMPTS: usize = 2;
/// Room for signatures in one datagram (DNS flag day 2020).
const DATAGRAM: u16 = 1232;

/// Why no look-up can be made.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The file of trust anchors cannot be used.
    #[error("read the trust anchors of {}: {why}", file.display())]
    Anchors {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no server to ask.
    #[error("find a name server: {why}")]
    NoServer {
        /// What was looked at.
        why: String,
    },
}

/// Looks SSHFP records up, with local DNSSEC validation. Cheap to clone; the clones share what was proven.
#[derive(Clone)]
pub struct SshfpLookup {
    resolver: TokioResolver,
    servers: Vec<SocketAddr>,
    limit: Duration,
}

impl fmt::Debug for SshfpLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshfpLookup").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl SshfpLookup {
    /// Asks `servers`, which may be recursive or authoritative, and believes `anchors`. A server has `limit` for each
    /// answer.
    ///
    /// # Errors
    /// When `servers` is empty.
    pub fn new(servers: Vec<SocketAddr>, anchors: &Anchors, limit: Duration) -> Result<Self, DnsError> {
        let no_server = |why: String| DnsError::NoServer { why };
        if servers.is_empty() {
            return Err(no_server("none is named".to_owned()));
        }
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(name_server).collect());
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_trust_anchor(anchors.shared());
        let options = builder.options_mut();
        options.validate = true;
        options.edns0 = true;
        options.edns_payload_len = DATAGRAM;
        options.timeout = limit;
        options.attempts = ATTEMPTS;
        options.preserve_intermediates = true;
        options.use_hosts_file = ResolveHosts::Never;
        let resolver = builder.build().map_err(|error| no_server(error.to_string()))?;
        Ok(Self { resolver, servers, limit })
    }

    /// The servers that a resolv.conf(5) names.
    ///
    /// # Errors
    /// When it names none.
    pub fn servers_of(resolv_conf: &str) -> Result<Vec<SocketAddr>, DnsError> {
        let words = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
        let servers = words.filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok());
        let servers: Vec<_> = servers.map(|ip| SocketAddr::new(ip, DNS_PORT)).collect();
        if servers.is_empty() {
            return Err(DnsError::NoServer { why: "resolv.conf names none".to_owned() });
        }
        Ok(servers)
    }

    /// What DNS says about a host. The name is taken as fully qualified: search lists are not for proofs. An
    /// address has no records.
    pub async fn find(&self, host: &str) -> DnsFinding {
        if host.parse::<IpAddr>().is_ok() {
            return DnsFinding::Absent { proven: false };
        }
        let mut name = match Name::from_utf8(host.trim_end_matches('.')) {
            Ok(name) => name,
            Err(error) => {
                return DnsFinding::Failed { why: format!("{host} is not a name for DNS: {error}") };
            }
        };
        name.set_fqdn(true);
        let found = self.ask(&name).await;
        // A datagram that was lost in the middle of a chain of proofs looks like a broken chain.
        if found == DnsFinding::Bogus { self.ask(&name).await } else { found }
    }

    async fn ask(&self, name: &Name) -> DnsFinding {
        match self.resolver.lookup(name.clone(), RecordType::SSHFP).await {
            Ok(lookup) => records(&lookup),
            Err(NetError::Dns(NetDnsError::NoRecordsFound(none))) => absent(&none),
            Err(NetError::Dns(NetDnsError::DnssecBogus)) => DnsFinding::Bogus,
            Err(NetError::Dns(NetDnsError::Nsec { proof: Proof::Insecure, .. })) => {
                DnsFinding::Absent { proven: false }
            }
            Err(NetError::Dns(NetDnsError::Nsec { .. })) => DnsFinding::Bogus,
            Err(error) => DnsFinding::Failed { why: self.why(&error) },
        }
    }

    fn why(&self, error: &NetError) -> String {
        let servers: Vec<_> = self.servers.iter().map(ToString::to_string).collect();
        let servers = servers.join(", ");
        match error {
            NetError::Timeout => format!("{servers} did not answer within {} s", self.limit.as_secs()),
            NetError::NoConnections => format!("{servers} cannot be reached"),
            NetError::Dns(NetDnsError::ResponseCode(ResponseCode::ServFail)) => {
                format!("{servers} says SERVFAIL; a validating resolver says so of a bogus zone as well")
            }
            NetError::Dns(NetDnsError::ResponseCode(code)) => format!("{servers} says {code}"),
            error => format!("{servers}: {error}"),
        }
    }
}

fn name_server(server: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}

/// A record's verdict is only as good as that of every alias on the way.
fn records(lookup: &Lookup) -> DnsFinding {
    let is_link = |record: &&Record| matches!(record.record_type(), RecordType::CNAME | RecordType::SSHFP);
    let answers: Vec<&Record> = lookup.answers().iter().filter(is_link).collect();
    let records: Vec<SshfpRecord> = answers.iter().filter_map(|record| sshfp(record)).collect();
    if answers.iter().any(|r| matches!(r.proof, Proof::Bogus | Proof::Indeterminate)) {
        return DnsFinding::Bogus;
    }
    let secure = answers.iter().all(|record| record.proof == Proof::Secure);
    if records.is_empty() {
        DnsFinding::Absent { proven: false }
    } else {
        DnsFinding::Records { secure, records }
    }
}

fn sshfp(record: &Record) -> Option<SshfpRecord> {
    let RData::SSHFP(data) = &record.data else { return None };
    Some(SshfpRecord {
        algorithm: data.algorithm.into(),
        digest_type: data.fingerprint_type.into(),
        digest: data.fingerprint.clone(),
    })
}

/// That there is nothing is proven by signed NSEC or NSEC3 records, which the validator has already compared with the
/// question.
fn absent(none: &NoRecords) -> DnsFinding {
    let denials = none.authorities.iter().flat_map(|records| records.iter());
    let mut denials =
        denials.filter(|record| matches!(record.record_type(), RecordType::NSEC | RecordType::NSEC3));
    DnsFinding::Absent { proven: denials.any(|record| record.proof == Proof::Secure) }
}
