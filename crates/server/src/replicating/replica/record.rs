//! The file in which a full copy is kept as it comes. A thread of its own writes it, so that
//! whoever receives does not wait for the disk; it takes the place of the snapshot file once all of
//! it is there for good, which may be long after the data are in force.
//!
//! Invariants: at most [`WAITING`] buffers are between the two threads; a snapshot that was saved
//! meanwhile is newer, and stays.

use std::fs::{File, remove_file, rename};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use log::{info, warn};

use crate::priority;
use crate::server::Server;

/// Bytes written at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Buffers that wait to be written.
const WAITING: usize = 64;
/// What is written is forced to disk every so many bytes, as long as nobody has to wait for that.
const SYNC_BYTES: usize = 8 << 20;
/// A file of so many bytes is on disk soon.
const SHORT_BYTES: u64 = SYNC_BYTES as u64;

/// A copy that is being received.
pub(super) struct Record {
    file: Temporary,
    bytes: u64,
    buffer: Vec<u8>,
    orders: SyncSender<Vec<u8>>,
    given_back: Receiver<Vec<u8>>,
    /// The disk does not keep up.
    behind: Arc<AtomicBool>,
    thread: Thread,
}

/// What writes.
struct Thread {
    /// How writing went, and then how syncing did.
    results: Receiver<io::Result<()>>,
    handle: JoinHandle<()>,
}

/// A file that is removed unless it is wanted.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It is gone already if it was kept.
        let _ = remove_file(&self.0);
    }
}

impl Record {
    /// Begins the file.
    pub(super) fn begin() -> io::Result<Record> {
        let path = PathBuf::from(format!("temp-replica.{}.rdb", std::process::id()));
        Record::begin_at(path)
    }

    fn begin_at(path: PathBuf) -> io::Result<Record> {
        let output = File::create(&path)?;
        let (orders, taken) = sync_channel(WAITING);
        let (give_back, given_back) = sync_channel(WAITING);
        let (tell, results) = sync_channel(2);
        let behind = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&behind);
        let builder = thread::Builder::new().name("record".to_owned());
        let handle = builder.spawn(move || {
            priority::lower();
            let written = write(&output, &taken, &give_back, &seen);
            let well = written.is_ok();
            // Who does not listen any more does not want the file.
            if tell.send(written).is_ok() && well {
                let _ = tell.send(output.sync_all());
            }
        })?;
        Ok(Record {
            file: Temporary(path),
            bytes: 0,
            buffer: Vec::with_capacity(BUFFER_BYTES),
            orders,
            given_back,
            behind,
            thread: Thread { results, handle },
        })
    }

    /// These bytes have come.
    ///
    /// # Errors
    /// As the operating system said when others were written.
    pub(super) fn note(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = BUFFER_BYTES - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == BUFFER_BYTES {
                self.pass_on()?;
            }
        }
        Ok(())
    }

    fn pass_on(&mut self) -> io::Result<()> {
        let next = self.given_back.try_recv();
        let next = next.unwrap_or_else(|_| Vec::with_capacity(BUFFER_BYTES));
        let full = std::mem::replace(&mut self.buffer, next);
        let sent = match self.orders.try_send(full) {
            Err(TrySendError::Full(full)) => {
                self.behind.store(true, Relaxed);
                self.orders.send(full).is_ok()
            }
            sent => sent.is_ok(),
        };
        match sent {
            true => Ok(()),
            false => self.thread.result(),
        }
    }

    /// Everything has come: waits until it is in the file, if not on disk.
    ///
    /// # Errors
    /// As the operating system says.
    pub(super) fn complete(mut self, server: &Server) -> io::Result<Kept> {
        self.pass_on()?;
        drop(self.orders);
        self.thread.result()?;
        Ok(Kept {
            file: self.file,
            bytes: self.bytes,
            thread: self.thread,
            saves: server.saving.report().saves,
        })
    }
}

impl Thread {
    /// The next result.
    fn result(&self) -> io::Result<()> {
        let ended = || Err(io::Error::other("the thread that writes has ended"));
        self.results.recv().unwrap_or_else(|_| ended())
    }
}

fn write(
    mut file: &File,
    orders: &Receiver<Vec<u8>>,
    give_back: &SyncSender<Vec<u8>>,
    behind: &AtomicBool,
) -> io::Result<()> {
    let mut unsynced_bytes = 0;
    loop {
        let mut bytes = match orders.try_recv() {
            Ok(bytes) => bytes,
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {
                if unsynced_bytes >= SYNC_BYTES && !behind.load(Relaxed) {
                    unsynced_bytes = 0;
                    file.sync_data()?;
                }
                match orders.recv() {
                    Ok(bytes) => bytes,
                    Err(_) => return Ok(()),
                }
            }
        };
        file.write_all(&bytes)?;
        unsynced_bytes += bytes.len();
        bytes.clear();
        // If there is no room, there are enough.
        let _ = give_back.try_send(bytes);
    }
}

/// A copy that is in its file, and soon on disk.
pub(super) struct Kept {
    file: Temporary,
    bytes: u64,
    thread: Thread,
    /// Snapshots that had been saved when it was complete.
    saves: u64,
}

impl Kept {
    /// Reads it.
    ///
    /// # Errors
    /// As the operating system says.
    pub(super) fn open(&self) -> io::Result<File> {
        File::open(&self.file.0)
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it is on disk soon.
    pub(super) fn is_short(&self) -> bool {
        self.bytes <= SHORT_BYTES
    }

    /// Whether it is on disk, or will never be.
    pub(super) fn is_ready(&self) -> bool {
        self.thread.handle.is_finished()
    }

    /// Waits until it is on disk and makes it the snapshot file, as in Redis: it is as good as one
    /// of our own, if there is no newer one.
    pub(super) fn settle(self, server: &Server) {
        let mut renamed = Ok(());
        let synced = self.thread.result();
        let undisturbed = server.snapshot_turn.unless_taken(|| {
            if server.saving.report().saves == self.saves {
                let settings = server.settings.get();
                renamed = rename(&self.file.0, &settings.dbfilename);
            }
        });
        match synced.and(renamed) {
            Err(error) => warn!("The snapshot of the master cannot be kept: {error}"),
            Ok(()) if !undisturbed => info!("The snapshot of the master gives way to a new one"),
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ruddle-record-{name}-{}", std::process::id()))
    }

    #[test]
    fn what_comes_is_in_the_file_which_goes_unless_it_is_kept() {
        let path = path("all");
        let mut record = Record::begin_at(path.clone()).expect("a file");
        let piece: Vec<u8> = (0..100_003_u32).map(|n| (n % 251) as u8).collect();
        let mut expected = Vec::new();
        for _ in 0..200 {
            record.note(&piece).expect("it is written");
            expected.extend_from_slice(&piece);
        }
        record.pass_on().expect("it is written");
        drop(record.orders);
        record.thread.result().expect("all is written");
        assert!(std::fs::read(&path).expect("a file") == expected);
        record.thread.result().expect("it is synced");
        drop(record.file);
        assert!(!path.exists());
    }

    #[test]
    fn a_full_disk_is_told() {
        let device = PathBuf::from("/dev/full");
        let output = File::options().write(true).open(&device).expect("a device");
        let (orders, taken) = sync_channel(WAITING);
        let (give_back, _given_back) = sync_channel(WAITING);
        orders.send(vec![1; 100]).expect("there is room");
        let error = write(&output, &taken, &give_back, &AtomicBool::new(false));
        let error = error.expect_err("it is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
