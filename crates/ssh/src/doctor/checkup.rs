//! What an examination finds.

use std::fmt;
use std::time::Duration;

/// A layer of the checklist, from the nearest to the farthest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerKind {
    /// What was asked for: files, options, where they came from.
    Configuration,
    /// From the name to addresses.
    Name,
    /// The TCP handshake.
    Tcp,
    /// The server's version line.
    Version,
    /// Key exchange.
    KeyExchange,
    /// Whether the host is who it should be.
    HostKey,
    /// Whether it lets us in.
    Authentication,
    /// Whether it runs a command.
    Session,
    /// The sftp subsystem.
    Sftp,
    /// Whether it forwards connections, as a bastion does.
    Forwarding,
}

impl LayerKind {
    /// All layers in order.
    pub const ALL: [Self; 10] = [
        Self::Configuration,
        Self::Name,
        Self::Tcp,
        Self::Version,
        Self::KeyExchange,
        Self::HostKey,
        Self::Authentication,
        Self::Session,
        Self::Sftp,
        Self::Forwarding,
    ];

    /// The layer's name, as it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Name => "name",
            Self::Tcp => "tcp",
            Self::Version => "version line",
            Self::KeyExchange => "key exchange",
            Self::HostKey => "host key",
            Self::Authentication => "authentication",
            Self::Session => "session",
            Self::Sftp => "sftp",
            Self::Forwarding => "forwarding",
        }
    }
}

impl fmt::Display for LayerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is said of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// An earlier layer is in the way.
    NotReached,
    /// Nothing to mend.
    Good,
    /// Works, and deserves a look.
    Warn,
    /// Does not work.
    Bad,
}

impl Verdict {
    /// The verdict's word, as it is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotReached => "not reached",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// One layer's result. All texts are escaped and bounded, whoever wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Which.
    pub kind: LayerKind,
    /// The verdict.
    pub verdict: Verdict,
    /// How long it took, where that can be told.
    pub took: Option<Duration>,
    /// What the verdict rests on, the weightiest first.
    pub evidence: Vec<String>,
    /// What to change, and on which side.
    pub hint: Option<String>,
}

impl Layer {
    pub(crate) fn new(kind: LayerKind, verdict: Verdict) -> Self {
        Self { kind, verdict, took: None, evidence: Vec::new(), hint: None }
    }

    pub(crate) fn good(kind: LayerKind) -> Self {
        Self::new(kind, Verdict::Good)
    }

    pub(crate) fn bad(kind: LayerKind) -> Self {
        Self::new(kind, Verdict::Bad)
    }

    pub(crate) fn not_reached(kind: LayerKind) -> Self {
        Self::new(kind, Verdict::NotReached)
    }

    pub(crate) fn took(mut self, took: Duration) -> Self {
        self.took = Some(took);
        self
    }

    pub(crate) fn seen(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    pub(crate) fn seen_all(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// Evidence that outweighs the rest.
    pub(crate) fn first(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.insert(0, evidence.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Something that works and deserves a look; the first hint stays.
    pub(crate) fn warn(mut self, evidence: impl Into<String>, hint: impl Into<String>) -> Self {
        self.verdict = self.verdict.max(Verdict::Warn);
        self.evidence.push(evidence.into());
        self.hint.get_or_insert_with(|| hint.into());
        self
    }
}

/// The layers of one machine: the host itself, or a hop on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The machine's name, as the user knows it.
    pub host: String,
    /// Whom we log in as, and where.
    pub destination: String,
    /// Its layers in order.
    pub layers: Vec<Layer>,
}

impl Section {
    /// The first layer that does not work.
    pub fn first_bad(&self) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.verdict == Verdict::Bad)
    }
}

/// What was found about one host and the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkup {
    /// The host's name, as the user knows it.
    pub host: String,
    /// The hops in order, then the host.
    pub sections: Vec<Section>,
}

impl Checkup {
    /// The gravest verdict.
    pub fn verdict(&self) -> Verdict {
        let layers = self.sections.iter().flat_map(|section| &section.layers);
        layers.map(|layer| layer.verdict).max().unwrap_or(Verdict::Good)
    }

    /// The first layer that does not work.
    pub fn first_bad(&self) -> Option<(&Section, &Layer)> {
        self.sections.iter().find_map(|section| Some((section, section.first_bad()?)))
    }
}
