//! The first line of a script or library: `#!lua flags=no-writes,allow-oom` or `#!lua name=lib`.

/// What a script or function says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// It does not write.
    pub const NO_WRITES: Flags = Flags(1);
    /// It may run when memory is full.
    pub const ALLOW_OOM: Flags = Flags(2);
    /// It may run on a replica that has lost its primary.
    pub const ALLOW_STALE: Flags = Flags(4);
    /// It cannot run in a cluster.
    pub const NO_CLUSTER: Flags = Flags(8);
    /// It may touch keys of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Flags = Flags(16);

    /// Names, in the order in which FUNCTION LIST gives them.
    pub const NAMES: [(&str, Flags); 5] = [
        ("no-writes", Flags::NO_WRITES),
        ("allow-oom", Flags::ALLOW_OOM),
        ("allow-stale", Flags::ALLOW_STALE),
        ("no-cluster", Flags::NO_CLUSTER),
        ("allow-cross-slot-keys", Flags::ALLOW_CROSS_SLOT_KEYS),
    ];

    /// Whether all of `other` are in this set.
    pub fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets.
    #[must_use]
    pub fn or(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// The flag with this name.
    pub fn named(name: &[u8]) -> Option<Flags> {
        let found = Flags::NAMES
            .iter()
            .find(|(known, _)| known.as_bytes() == name);
        found.map(|&(_, flag)| flag)
    }

    /// The names of the flags in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let named = Flags::NAMES.iter().filter(move |(_, flag)| self.has(*flag));
        named.map(|&(name, _)| name)
    }
}

/// What a first line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// `None`: the script has no such line, and the rules of before there were flags apply.
    pub flags: Option<Flags>,
    /// Where the code begins. The line's end belongs to it, so that lines are counted right.
    pub code: usize,
}

impl Header {
    /// The header of a script.
    ///
    /// # Errors
    /// The text of the error.
    pub fn of_script(source: &[u8]) -> Result<Header, Vec<u8>> {
        if !source.starts_with(b"#!") {
            let (flags, code) = (None, 0);
            return Ok(Header { flags, code });
        }
        let Some(end) = source.iter().position(|&byte| byte == b'\n') else {
            return Err(b"ERR Invalid script shebang".to_vec());
        };
        let mut words = split(&source[..end]);
        let engine = words.next().unwrap_or_default();
        if engine != b"#!lua" {
            return Err([b"ERR Unexpected engine in script shebang: ", engine].concat());
        }
        let mut flags = Flags::default();
        for word in words {
            let Some(list) = word.strip_prefix(b"flags=") else {
                return Err([b"ERR Unknown lua shebang option: ", word].concat());
            };
            for name in list
                .split(|&byte| byte == b',')
                .filter(|_| !list.is_empty())
            {
                let Some(flag) = Flags::named(name) else {
                    return Err([b"ERR Unexpected flag in script shebang: ", name].concat());
                };
                flags = flags.or(flag);
            }
        }
        Ok(Header {
            flags: Some(flags),
            code: end,
        })
    }
}

/// The words of a header line.
pub(crate) fn split(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace())
        .filter(|word| !word.is_empty())
}
