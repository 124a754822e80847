//! What a row of the catalogue says of a parameter, and how a row is written.

use super::kinds::Kind;

/// One parameter.
pub struct Param {
    /// Its name: lower case, as CONFIG GET prints it.
    pub name: &'static str,
    /// Other names it answers to, newer or older ones.
    pub aliases: &'static [&'static str],
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// The value when nobody sets it, as CONFIG GET prints it.
    pub default: &'static str,
    /// Whether CONFIG SET may change it.
    pub change: Change,
    /// What this server makes of it.
    pub standing: Standing,
    /// What must happen after CONFIG SET has changed it.
    pub apply: Apply,
    /// The value must not appear in logs, MONITOR and the slow log.
    pub secret: bool,
    /// Answered by CONFIG GET only when asked for by its full name.
    pub hidden: bool,
    /// CONFIG REWRITE writes it even when it has its default.
    pub always_written: bool,
    /// Several directives at start add up, instead of the last one counting.
    pub adds_up: bool,
    pub(super) kind: Kind,
}

/// Whether CONFIG SET may change a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Yes.
    Mutable,
    /// Where `enable-protected-configs` permits it.
    Protected,
    /// Never: it is set at start.
    Immutable,
}

/// What this server makes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does what it says.
    Live,
    /// It tunes a machine that this server does not have. Any valid value is kept; the text says
    /// what happens instead.
    Moot(&'static str),
    /// A detail of the named capability, which does not exist yet. Any valid value is kept.
    Ahead(&'static str),
    /// Would switch on the named capability, which does not exist yet: only the default is
    /// accepted.
    Refused(&'static str),
}

/// What the server must do after CONFIG SET has changed a parameter, beyond reading the new
/// settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// Nothing: the setting is read where it is used.
    OnRead,
    /// Open the new listening sockets, close the old ones.
    Listeners,
    /// Set the password of the default user.
    Password,
    /// Set the level of the log.
    LogLevel,
    /// Check the limit of open files.
    MaxClients,
    /// Evict down to the new limit.
    MaxMemory,
    /// Change the working directory.
    WorkingDirectory,
    /// Begin or end the append-only file, or change how it is written.
    Journal,
    /// Keep more or less for replicas that come back.
    Backlog,
    /// Let saving and loading go at their new paces.
    Paces,
}

impl Param {
    pub(super) const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(super) const fn fixed(mut self) -> Self {
        self.change = Change::Immutable;
        self
    }

    pub(super) const fn protected(mut self) -> Self {
        self.change = Change::Protected;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    pub(super) const fn always_written(mut self) -> Self {
        self.always_written = true;
        self
    }

    pub(super) const fn adds_up(mut self) -> Self {
        self.adds_up = true;
        self
    }

    pub(super) const fn then(mut self, apply: Apply) -> Self {
        self.apply = apply;
        self
    }

    pub(super) const fn moot(mut self, instead: &'static str) -> Self {
        self.standing = Standing::Moot(instead);
        self
    }

    pub(super) const fn ahead(mut self, capability: &'static str) -> Self {
        self.standing = Standing::Ahead(capability);
        self
    }

    pub(super) const fn refused(mut self, capability: &'static str) -> Self {
        self.standing = Standing::Refused(capability);
        self
    }
}

/// A row that is live, mutable and read where it is used, unless the methods above say otherwise.
pub(super) const fn p(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> Param {
    Param {
        name,
        aliases: &[],
        doc,
        default,
        change: Change::Mutable,
        standing: Standing::Live,
        apply: Apply::OnRead,
        secret: false,
        hidden: false,
        always_written: false,
        adds_up: false,
        kind,
    }
}
