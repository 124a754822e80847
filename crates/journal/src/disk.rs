//! The door to the file system, so that tests can put a failing disk behind it.
//!
//! What is written is durable after `sync`; names are after `sync_dir`. An error carries the path
//! and what was being done with it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What the operating system refused.
#[derive(Debug)]
pub struct Trouble {
    /// What was being done, as in "cannot ... PATH".
    pub doing: &'static str,
    /// With which file or directory.
    pub path: PathBuf,
    /// The reason.
    pub error: io::Error,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        write!(f, "cannot {} {path}: {}", self.doing, self.error)
    }
}

impl std::error::Error for Trouble {}

impl Trouble {
    /// Makes one of an error.
    pub fn of(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Trouble {
        let path = path.to_owned();
        move |error| Trouble { doing, path, error }
    }
}

/// A file that is being written, at its end.
pub trait DiskFile: Send {
    /// Writes some of the bytes; how many.
    ///
    /// # Errors
    /// As the operating system says.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was written durable.
    ///
    /// # Errors
    /// As the operating system says. What was written since the last success may be lost.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to `len` bytes; the next write goes there.
    ///
    /// # Errors
    /// As the operating system says.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Whether the file still has a name.
    fn is_linked(&self) -> bool;
}

/// A file system.
pub trait Disk: Send + Sync {
    /// Makes a directory if there is none.
    ///
    /// # Errors
    /// As the operating system says.
    fn make_dir(&self, path: &Path) -> io::Result<()>;

    /// Opens a file to write at its end, making it if there is none; its length.
    ///
    /// # Errors
    /// As the operating system says.
    fn append(&self, path: &Path) -> io::Result<(Box<dyn DiskFile>, u64)>;

    /// Makes an empty file, in place of any that is there.
    ///
    /// # Errors
    /// As the operating system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file to read it from its beginning.
    ///
    /// # Errors
    /// As the operating system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>>;

    /// Length of a file, `None` if there is none.
    ///
    /// # Errors
    /// As the operating system says.
    fn len(&self, path: &Path) -> io::Result<Option<u64>>;

    /// Gives a file another name, in place of any that has it.
    ///
    /// # Errors
    /// As the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// Writes all bytes.
///
/// # Errors
/// The first failure; some of the bytes may have been written.
pub fn write_all(file: &mut dyn DiskFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl DiskFile for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        // All files here are opened for appending: the next write goes to the end.
        self.set_len(len)
    }

    fn is_linked(&self) -> bool {
        self.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
    }
}

impl Disk for RealDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    fn append(&self, path: &Path) -> io::Result<(Box<dyn DiskFile>, u64)> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let len = file.metadata()?.len();
        Ok((Box::new(file), len))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        file.set_len(0)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}
