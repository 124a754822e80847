//! The directory of an append-only file: which files there are, and how one set of them takes the
//! place of another.
//!
//! At any moment the manifest on disk names a set that can be loaded: a new increment is made
//! before the manifest names it, a new base is complete before it does, and what it no longer names
//! is removed afterwards. A step that fails leaves the manifest as it was, on disk and here. No
//! name is used twice.
//!
//! When a manifest has taken its place but the directory cannot be synced, either manifest may be
//! there after a crash. Both sets are whole until then; nothing may be promised on the new one
//! before [`Files::settle`] succeeds.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::info;

use crate::Offset;
use crate::disk::{Disk, DiskFile, Trouble, write_all};
use crate::manifest::{Entry, Malformed, Manifest};

/// What a base file consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFormat {
    /// A snapshot in RDB format.
    Rdb,
    /// Commands.
    Commands,
}

/// What goes on when a new base takes the place of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// The last increment, which is being written.
    LastIncrement,
    /// Nothing: the base is all there is.
    Nothing,
}

/// Where the files are and how they are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The directory (`appenddirname` in `dir`).
    pub dir: PathBuf,
    /// First part of all names (`appendfilename`).
    pub name: Vec<u8>,
}

impl Place {
    /// A file in the directory.
    pub fn path(&self, name: &[u8]) -> PathBuf {
        self.dir.join(OsStr::from_bytes(name))
    }

    /// The manifest.
    pub fn manifest(&self) -> PathBuf {
        self.path(&[&self.name, &b".manifest"[..]].concat())
    }
}

/// Why the manifest cannot be read.
#[derive(Debug)]
pub enum ManifestFault {
    /// The operating system refuses.
    Trouble(Trouble),
    /// It is not a manifest.
    Malformed(PathBuf, Malformed),
}

impl std::fmt::Display for ManifestFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ManifestFault::Trouble(trouble) => trouble.fmt(f),
            ManifestFault::Malformed(path, malformed) => {
                write!(f, "{}: {malformed}", path.display())
            }
        }
    }
}

/// An increment that is being written.
pub struct OpenIncrement {
    /// The file.
    pub file: Box<dyn DiskFile>,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub len: u64,
}

/// See the module's head.
pub struct Files {
    disk: Arc<dyn Disk>,
    place: Place,
    manifest: Manifest,
    /// An increment that the manifest does not name, because the base before it is still to come.
    unlisted: Option<Entry>,
    /// The directory has not been synced since the manifest was replaced.
    unsettled: bool,
    /// Numbers of the last base and increment.
    last_base: u64,
    last_increment: u64,
}

impl Files {
    /// Reads the manifest, if there is one.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(disk: Arc<dyn Disk>, place: Place) -> Result<Files, ManifestFault> {
        let manifest = read_manifest(&*disk, &place)?;
        Ok(Files::with(disk, place, manifest))
    }

    /// No files, whatever is in the directory: a base will take the place of it.
    pub fn empty(disk: Arc<dyn Disk>, place: Place) -> Files {
        Files::with(disk, place, Manifest::default())
    }

    fn with(disk: Arc<dyn Disk>, place: Place, manifest: Manifest) -> Files {
        let seq = |entries: &[Entry]| entries.iter().map(|entry| entry.seq).max();
        // History counts, so that no name is used twice.
        let history = seq(&manifest.history).unwrap_or(0);
        let base = manifest.base.as_ref().map_or(0, |base| base.seq);
        let increment = seq(&manifest.increments).unwrap_or(0);
        Files {
            disk,
            place,
            unlisted: None,
            unsettled: false,
            last_base: base.max(history),
            last_increment: increment.max(history),
            manifest,
        }
    }

    /// What the manifest on disk says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the files are.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The file system they are on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Takes a single append-only file, as Redis up to 6 writes it, into the directory as its base.
    /// Does nothing if there is a manifest or no such file.
    ///
    /// # Errors
    /// The operating system refuses. Nothing is lost then, and the next start tries again.
    pub fn adopt_single(&mut self, single: &Path) -> Result<bool, Trouble> {
        let name = self.place.name.clone();
        let target = self.place.path(&name);
        let is_there = |path: &Path| {
            let len = self.disk.len(path);
            len.map(|len| len.is_some())
                .map_err(Trouble::of("look at", path))
        };
        let adopted = self
            .manifest
            .base
            .as_ref()
            .is_some_and(|base| base.name == name);
        let unfinished = adopted && !is_there(&target)?;
        if !self.manifest.is_empty() && !unfinished || !is_there(single)? {
            return Ok(false);
        }
        self.make_dir()?;
        if !unfinished {
            let base = entry(name, 1);
            let manifest = Manifest {
                base: Some(base),
                ..Manifest::default()
            };
            self.put(manifest)?;
            self.last_base = 1;
        }
        self.settle()?;
        self.disk
            .rename(single, &target)
            .map_err(Trouble::of("move into the append-only directory", single))?;
        self.sync_dir()?;
        Ok(true)
    }

    /// Opens the last increment to go on in it, or makes the first one. What is in it was read and
    /// counts as durable from now on, though whoever wrote it may have ended before a sync.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn resume(&mut self, end: Offset) -> Result<OpenIncrement, Trouble> {
        let Some(last) = self.manifest.increments.last() else {
            return self.next_increment(end);
        };
        let path = self.place.path(&last.name);
        let (mut file, len) = self
            .disk
            .append(&path)
            .map_err(Trouble::of("open", &path))?;
        file.sync().map_err(Trouble::of("sync", &path))?;
        Ok(OpenIncrement { file, path, len })
    }

    /// Makes the next increment, which begins at `start`, and names it in the manifest.
    ///
    /// # Errors
    /// The operating system refuses; the set is what it was.
    pub fn next_increment(&mut self, start: Offset) -> Result<OpenIncrement, Trouble> {
        self.make_dir()?;
        let (entry, open) = self.make_increment(start)?;
        let mut manifest = self.manifest.clone();
        if let Some(last) = manifest.increments.last_mut()
            && last.start.is_some()
        {
            last.end = Some(start);
        }
        manifest.increments.push(entry);
        self.put(manifest)?;
        Ok(open)
    }

    /// Makes an increment that is named in the manifest when its base is ([`Files::install`]).
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn first_increment(&mut self, start: Offset) -> Result<OpenIncrement, Trouble> {
        self.make_dir()?;
        let (entry, open) = self.make_increment(start)?;
        self.unlisted = Some(entry);
        Ok(open)
    }

    fn make_increment(&mut self, start: Offset) -> Result<(Entry, OpenIncrement), Trouble> {
        self.last_increment += 1;
        let seq = self.last_increment;
        let name = [&self.place.name, format!(".{seq}.incr.aof").as_bytes()].concat();
        let path = self.place.path(&name);
        let file = self
            .disk
            .create(&path)
            .map_err(Trouble::of("create", &path))?;
        self.sync_dir()?;
        info!("Creating AOF incr file {}", String::from_utf8_lossy(&name));
        let entry = Entry {
            start: Some(start),
            ..entry(name, seq)
        };
        Ok((entry, OpenIncrement { file, path, len: 0 }))
    }

    /// Makes a complete and durable file the base: what came before it becomes history, but for
    /// `rest`.
    ///
    /// # Errors
    /// The operating system refuses; the set is what it was.
    pub fn install(
        &mut self,
        temporary: &Path,
        format: BaseFormat,
        rest: Rest,
    ) -> Result<(), Trouble> {
        self.last_base += 1;
        let seq = self.last_base;
        let suffix = match format {
            BaseFormat::Rdb => "rdb",
            BaseFormat::Commands => "aof",
        };
        let name = [&self.place.name, format!(".{seq}.base.{suffix}").as_bytes()].concat();
        let path = self.place.path(&name);
        self.disk
            .rename(temporary, &path)
            .map_err(Trouble::of("rename", temporary))?;
        self.sync_dir()?;
        let old = self.manifest.clone();
        let (mut past, last) = match &self.unlisted {
            Some(unlisted) => (old.increments, Some(unlisted.clone())),
            None => {
                let mut increments = old.increments;
                let last = match rest {
                    Rest::LastIncrement => increments.pop(),
                    Rest::Nothing => None,
                };
                (increments, last)
            }
        };
        past.splice(0..0, old.base);
        let history = past.into_iter().chain(old.history).collect();
        let manifest = Manifest {
            base: Some(entry(name, seq)),
            history,
            increments: last.into_iter().collect(),
        };
        self.put(manifest)?;
        self.unlisted = None;
        Ok(())
    }

    /// Removes what is history.
    ///
    /// # Errors
    /// The operating system refuses; what is left stays history.
    pub fn remove_history(&mut self) -> Result<(), Trouble> {
        self.settle()?;
        if self.manifest.history.is_empty() {
            return Ok(());
        }
        for old in &self.manifest.history {
            let name = String::from_utf8_lossy(&old.name);
            info!("Removing the history file {name}");
            let path = self.place.path(&old.name);
            match self.disk.remove(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                result => result.map_err(Trouble::of("remove", &path))?,
            }
        }
        let mut manifest = self.manifest.clone();
        manifest.history.clear();
        self.put(manifest)
    }

    /// Forgets the files: they are gone.
    pub fn forget(&mut self) {
        self.manifest = Manifest::default();
        self.unlisted = None;
    }

    /// See [`Files::settle`].
    pub fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// Whether an increment waits for its base.
    pub fn is_waiting_for_base(&self) -> bool {
        self.unlisted.is_some()
    }

    /// Bytes of the files that would be loaded.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn total_bytes(&self) -> Result<u64, Trouble> {
        let mut total = 0;
        for part in self.manifest.parts().chain(&self.unlisted) {
            let path = self.place.path(&part.name);
            let len = self
                .disk
                .len(&path)
                .map_err(Trouble::of("look at", &path))?;
            total += len.unwrap_or(0);
        }
        Ok(total)
    }

    /// Makes the directory if there is none.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn make_dir(&self) -> Result<(), Trouble> {
        let dir = &self.place.dir;
        self.disk
            .make_dir(dir)
            .map_err(Trouble::of("make directory", dir))
    }

    fn sync_dir(&self) -> Result<(), Trouble> {
        let dir = &self.place.dir;
        self.disk
            .sync_dir(dir)
            .map_err(Trouble::of("sync directory", dir))
    }

    /// Replaces the manifest on disk, then here.
    fn put(&mut self, manifest: Manifest) -> Result<(), Trouble> {
        let path = self.place.manifest();
        let name = [b"temp-", &self.place.name[..], b".manifest"].concat();
        let temporary = self.place.path(&name);
        let written = self.disk.create(&temporary).and_then(|mut file| {
            write_all(&mut *file, &manifest.text())?;
            file.sync()
        });
        written.map_err(Trouble::of("write", &temporary))?;
        let renamed = self.disk.rename(&temporary, &path);
        renamed.map_err(Trouble::of("rename", &temporary))?;
        self.manifest = manifest;
        self.unsettled = true;
        // A failure is made good by whoever needs it settled.
        let _ = self.settle();
        Ok(())
    }

    /// Makes sure that the manifest of now is the one after a crash.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn settle(&mut self) -> Result<(), Trouble> {
        if self.unsettled {
            self.sync_dir()?;
            self.unsettled = false;
        }
        Ok(())
    }
}

fn entry(name: Vec<u8>, seq: u64) -> Entry {
    let (start, end) = (None, None);
    Entry {
        name,
        seq,
        start,
        end,
    }
}

/// Reads the manifest at a place; an empty one if there is none.
///
/// # Errors
/// It cannot be read.
pub fn read_manifest(disk: &dyn Disk, place: &Place) -> Result<Manifest, ManifestFault> {
    let path = place.manifest();
    let trouble = |error| ManifestFault::Trouble(Trouble::of("read", &path)(error));
    if disk.len(&path).map_err(trouble)?.is_none() {
        return Ok(Manifest::default());
    }
    let mut text = Vec::new();
    let mut file = disk.open(&path).map_err(trouble)?;
    file.read_to_end(&mut text).map_err(trouble)?;
    Manifest::parse(&text).map_err(|malformed| ManifestFault::Malformed(path, malformed))
}
