//! The writer on a simulated disk: whatever fails, and wherever the power goes, what can be loaded
//! is a beginning of what was appended, with all of it that was called durable.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::ids::DbIndex;
use base::rng::Rng;
use base::time::UnixMillis;

use super::*;
use crate::disk::{Disk, DiskFile};
use crate::files::{BaseFormat, Place, Rest, read_manifest};
use crate::journal::Framing;
use crate::manifest::Entry;
use crate::read::{Item, Reader};

/// What happens to the simulated disk.
#[derive(Default)]
struct Model {
    rng: Option<Rng>,
    /// Files by number: bytes, and how many of them are durable.
    files: Vec<Contents>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Calls that fail, of a thousand.
    failing: u64,
}

#[derive(Clone, Default)]
struct Contents {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

impl Model {
    /// Whether the next call fails.
    fn refuse(&mut self) -> io::Result<()> {
        let failing = self.failing;
        let refused = self
            .rng
            .as_mut()
            .is_some_and(|rng| rng.below(1000) < failing);
        match refused {
            true => Err(io::Error::other("simulated")),
            false => Ok(()),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.rng.as_mut().map_or(0, |rng| rng.below(bound))
    }

    /// Power off and on: of what was not synced, anything may be there or not.
    fn crash(&mut self) {
        let named = self.names.values().chain(self.durable_names.values());
        let named: std::collections::BTreeSet<usize> = named.copied().collect();
        for at in named {
            let Contents { bytes, durable } = self.files[at].clone();
            let common = bytes.len().min(durable.len());
            let mut kept = match bytes[..common] == durable[..common] {
                true if bytes.len() >= durable.len() => durable,
                // Cut back since the last sync: either may be there.
                _ if self.below(2) == 0 => durable,
                _ => bytes[..common].to_vec(),
            };
            if bytes.len() > kept.len() && bytes.starts_with(&kept) {
                let more = self.below((bytes.len() - kept.len()) as u64 + 1) as usize;
                let torn = &bytes[kept.len()..kept.len() + more];
                // The length may be on disk before the bytes are.
                match self.below(4) {
                    0 => kept.extend(std::iter::repeat_n(0, more)),
                    _ => kept.extend_from_slice(torn),
                }
            }
            self.files[at].bytes.clone_from(&kept);
            self.files[at].durable = kept;
        }
        if self.below(2) == 0 {
            self.names.clone_from(&self.durable_names);
        } else {
            self.durable_names.clone_from(&self.names);
        }
        self.failing = 0;
    }
}

#[derive(Clone, Default)]
struct SimDisk(Arc<Mutex<Model>>);

struct SimFile(SimDisk, usize);

impl DiskFile for SimFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut model = self.0.0.lock();
        let refused = model.refuse();
        let count = match refused.is_err() {
            // A write that fails may have written something.
            true => model.below(bytes.len() as u64) as usize,
            false => 1 + model.below(bytes.len() as u64) as usize,
        };
        model.files[self.1].bytes.extend_from_slice(&bytes[..count]);
        refused.map(|()| count)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut model = self.0.0.lock();
        let refused = model.refuse();
        let keep = model.below(2) == 0;
        let file = &mut model.files[self.1];
        if refused.is_ok() || keep {
            file.durable.clone_from(&file.bytes);
        }
        refused
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut model = self.0.0.lock();
        model.refuse()?;
        model.files[self.1].bytes.truncate(len as usize);
        Ok(())
    }

    fn is_linked(&self) -> bool {
        self.0
            .0
            .lock()
            .names
            .values()
            .any(|&number| number == self.1)
    }
}

impl Disk for SimDisk {
    fn make_dir(&self, _: &Path) -> io::Result<()> {
        self.0.lock().refuse()
    }

    fn append(&self, path: &Path) -> io::Result<(Box<dyn DiskFile>, u64)> {
        let number = self.0.lock().names.get(path).copied();
        match number {
            Some(number) => {
                let len = self.0.lock().files[number].bytes.len() as u64;
                Ok((Box::new(SimFile(self.clone(), number)), len))
            }
            None => Ok((self.create(path)?, 0)),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut model = self.0.lock();
        model.refuse()?;
        model.files.push(Contents::default());
        let number = model.files.len() - 1;
        model.names.insert(path.to_owned(), number);
        Ok(Box::new(SimFile(self.clone(), number)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Read + Send>> {
        let model = self.0.lock();
        let number = model.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(io::Cursor::new(
            model.files[*number].bytes.clone(),
        )))
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        let model = self.0.lock();
        let number = model.names.get(path);
        Ok(number.map(|&number| model.files[number].bytes.len() as u64))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut model = self.0.lock();
        model.refuse()?;
        let number = model.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        model.names.insert(to.to_owned(), number);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut model = self.0.lock();
        model.refuse()?;
        model.names.remove(path);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut model = self.0.lock();
        model.refuse()?;
        model.durable_names = model.names.clone();
        Ok(())
    }
}

fn place() -> Place {
    Place {
        dir: PathBuf::from("/aof"),
        name: b"a".to_vec(),
    }
}

/// One process's life: a journal, its files, its writer, and what was appended so far.
struct Life {
    disk: SimDisk,
    journal: Journal,
    files: Arc<Mutex<Files>>,
    writer: Writer,
    /// Number of the next effect, and for each offset the number of effects before it.
    next: u64,
    counts: BTreeMap<u64, u64>,
    now: u64,
}

fn number(text: &[u8]) -> u64 {
    base::num::parse_i64(text).expect("a number") as u64
}

/// The words of the commands in a file, as far as it is whole; and whether its end was torn.
fn commands(disk: &SimDisk, entry: &Entry) -> (Vec<Vec<Vec<u8>>>, Option<u64>) {
    let path = place().path(&entry.name);
    let len = disk
        .len(&path)
        .expect("a length")
        .expect("a listed file is there");
    let mut reader = Reader::new(disk.open(&path).expect("opens"), len, 0);
    let (mut spans, mut commands, mut block) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match reader.next(&mut spans) {
            Ok(None) => return (commands, None),
            Ok(Some(Item::Command(bytes))) => {
                let words: Vec<Vec<u8>> = spans.iter().map(|s| s.of(bytes).to_vec()).collect();
                block.push(words);
                if reader.valid() == reader.at() {
                    commands.append(&mut block);
                }
            }
            Ok(Some(_)) => {}
            Err(fault) => {
                assert!(fault.is_torn_tail(), "{}: {fault}", path.display());
                return (commands, Some(fault.valid));
            }
        }
    }
}

/// What can be loaded: the number of effects, which are checked to be the first so many. A torn end
/// is cut off, as loading does.
fn load(disk: &SimDisk, context: &str) -> u64 {
    let manifest = read_manifest(disk, &place()).unwrap_or_else(|why| panic!("{context}: {why}"));
    let mut next = 0;
    let mut torn = false;
    for entry in manifest.parts() {
        let (commands, fault) = commands(disk, entry);
        let (mut selected, mut any) = (0, false);
        for words in &commands {
            match words[0].as_slice() {
                b"BASE" => next = number(&words[1]),
                b"SELECT" => selected = number(&words[1]),
                b"ADD" => {
                    let db = number(&words[3]);
                    assert_eq!(selected, db, "{context}: a file says its databases");
                    assert_eq!(number(&words[1]), next, "{context}: effects in order");
                    (next, any) = (next + 1, true);
                }
                _ => {}
            }
        }
        assert!(
            !(torn && any),
            "{context}: only the last file that has something is torn"
        );
        torn |= fault.is_some();
        if let Some(valid) = fault {
            let path = place().path(&entry.name);
            let mut model = disk.0.lock();
            let number = model.names[&path];
            model.files[number].bytes.truncate(valid as usize);
            model.files[number].durable.truncate(valid as usize);
        }
    }
    next
}

impl Life {
    fn begin(disk: SimDisk, policy: Policy, loaded: u64) -> Life {
        let mut files = Files::open(Arc::new(disk.clone()), place()).expect("opens");
        let journal = Journal::new(policy);
        let open = files.resume(Offset(0)).expect("resumes on a sound disk");
        journal.turn_on();
        let files = Arc::new(Mutex::new(files));
        let tell = Box::new(|_| {});
        let writer = Writer::new(&journal, Arc::clone(&files), Some(open), tell);
        Life {
            disk,
            journal,
            files,
            writer,
            next: loaded,
            counts: BTreeMap::from([(0, loaded)]),
            now: 2 * SYNC_NANOS,
        }
    }

    fn append(&mut self, rng: &mut Rng) {
        let many = 1 + rng.below(3);
        let db = DbIndex(rng.below(3) as u32);
        let commands: Vec<Vec<u8>> = (0..many)
            .map(|nth| {
                let mut bytes = Vec::new();
                let number = (self.next + nth).to_string();
                let filler = vec![b'x'; rng.below(20) as usize];
                let db = db.to_string();
                let words = [b"ADD", number.as_bytes(), &filler, db.as_bytes()];
                resp::encode_command(&words, &mut bytes);
                bytes
            })
            .collect();
        let effects = commands.iter().map(|command| (db, command.as_slice()));
        let now = UnixMillis(self.now as i64 / 1_000_000);
        let end = self.journal.append(effects, Framing::Together, now);
        self.next += many;
        self.counts.insert(end.0, self.next);
    }

    /// Effects that are said to be on disk.
    fn synced(&self) -> u64 {
        let synced = self.journal.synced();
        assert!(synced <= self.journal.durable());
        *self
            .counts
            .range(..=synced.0)
            .next_back()
            .expect("a count")
            .1
    }

    /// Rewrites: a new base that stands for all effects until the cut.
    fn rewrite(&mut self, rng: &mut Rng) {
        let (cut, base) = (self.journal.cut(), self.next);
        for _ in 0..rng.below(3) {
            self.append(rng);
        }
        let begun = self.now;
        let made = loop {
            self.step(rng);
            if let Some(result) = self.journal.0.cut_made.lock().take() {
                break result;
            }
            assert!(
                self.now < begun + 1000 * SYNC_NANOS,
                "the cut at {cut:?} is never made"
            );
        };
        let mut text = Vec::new();
        resp::encode_command(&[b"BASE", base.to_string().as_bytes()], &mut text);
        let temporary = place().path(OsStr::new("temp-rewrite").as_encoded_bytes());
        let written = made.and_then(|()| {
            let mut file = self
                .disk
                .create(&temporary)
                .map_err(|error| error.to_string())?;
            write_all(&mut *file, &text).map_err(|error| error.to_string())?;
            file.sync().map_err(|error| error.to_string())
        });
        let mut files = self.files.lock();
        if written.is_ok()
            && files
                .install(&temporary, BaseFormat::Commands, Rest::LastIncrement)
                .is_ok()
        {
            // Left-over history is removed another time.
            let _ = files.remove_history();
        }
    }

    fn step(&mut self, rng: &mut Rng) {
        self.now += rng.below(SYNC_NANOS);
        self.writer.step(self.now);
    }
}

/// Each seed is three lives of a process, each of which a power failure ends.
const SEEDS: u64 = 3000;

fn crashes(runs: std::ops::Range<u64>) {
    for seed in runs {
        let mut rng = Rng::from_seed(seed);
        let policy = [Policy::No, Policy::EverySecond, Policy::Always][(seed % 3) as usize];
        let disk = SimDisk::default();
        disk.0.lock().rng = Some(Rng::from_seed(seed ^ 0x5eed));
        let mut loaded = 0;
        for life in 0..3 {
            let context = format!("seed {seed}, life {life}, {policy:?}");
            let mut alive = Life::begin(disk.clone(), policy, loaded);
            alive.journal.set(policy, rng.below(2) == 0);
            disk.0.lock().failing = [0, 0, 20, 200][rng.below(4) as usize];
            for _ in 0..rng.below(60) {
                match rng.below(20) {
                    0 => alive.rewrite(&mut rng),
                    1..12 => alive.append(&mut rng),
                    _ => alive.step(&mut rng),
                }
            }
            if policy != Policy::No {
                assert_eq!(alive.journal.synced(), alive.journal.durable(), "{context}");
            }
            let (synced, appended) = (alive.synced(), alive.next);
            disk.0.lock().crash();
            loaded = load(&disk, &context);
            assert!(loaded <= appended, "{context}: {loaded} of {appended}");
            assert!(
                loaded >= synced,
                "{context}: {loaded}, on disk were {synced}"
            );
        }
    }
}

#[test]
fn whatever_fails_the_durable_beginning_is_loaded() {
    crashes(0..SEEDS);
}

#[test]
fn what_a_restart_would_give_back_begins_with_the_base() {
    let disk = SimDisk::default();
    let mut life = Life::begin(disk, Policy::Always, 0);
    let mut rng = Rng::from_seed(1);
    life.append(&mut rng);
    life.step(&mut rng);
    assert_eq!(life.journal.restorable(), None, "its base is not in place");
    life.journal.set_complete();
    assert_eq!(life.journal.restorable(), Some(life.journal.end()));
    life.journal.turn_off();
    assert_eq!(life.journal.restorable(), None);
    life.journal.turn_on();
    assert_eq!(
        life.journal.restorable(),
        None,
        "the next one has a base of its own"
    );
}

/// With `appendfsync no` nobody waits for the disk, and nobody is told that it has anything.
#[test]
fn what_was_only_written_is_not_given_back_for_certain() {
    let mut rng = Rng::from_seed(5);
    let mut life = Life::begin(SimDisk::default(), Policy::No, 0);
    life.journal.set_complete();
    life.append(&mut rng);
    life.step(&mut rng);
    assert_eq!(life.journal.durable(), life.journal.end());
    assert_eq!(life.journal.restorable(), Some(Offset(0)));
    life.journal.set(Policy::Always, false);
    life.step(&mut rng);
    assert_eq!(life.journal.restorable(), Some(life.journal.end()));
}

/// A process may end before it has synced what it wrote: the next one reads that, and says that it
/// is durable.
#[test]
fn what_was_read_at_the_start_is_durable() {
    let disk = SimDisk::default();
    let mut rng = Rng::from_seed(3);
    let mut life = Life::begin(disk.clone(), Policy::EverySecond, 0);
    life.step(&mut rng);
    life.now -= SYNC_NANOS;
    life.append(&mut rng);
    life.append(&mut rng);
    assert!(!life.writer.write_through(), "it is written");
    let written = life.next;
    drop(life);
    drop(Life::begin(disk.clone(), Policy::EverySecond, written));
    disk.0.lock().crash();
    assert_eq!(load(&disk, "synced at the start"), written);
}

#[test]
fn a_full_disk_keeps_everything_and_recovery_writes_it() {
    let disk = SimDisk::default();
    disk.0.lock().rng = Some(Rng::from_seed(1));
    let mut rng = Rng::from_seed(2);
    let mut life = Life::begin(disk.clone(), Policy::Always, 0);
    life.append(&mut rng);
    life.step(&mut rng);
    assert!(life.writer.is_idle());
    disk.0.lock().failing = 1000;
    life.append(&mut rng);
    life.step(&mut rng);
    assert!(life.journal.is_failing() && !life.writer.is_idle());
    assert!(life.journal.status().failure.is_some());
    disk.0.lock().failing = 0;
    life.now += RETRY_NANOS;
    life.step(&mut rng);
    assert!(!life.journal.is_failing() && life.writer.is_idle());
    disk.0.lock().crash();
    assert_eq!(load(&disk, "recovered"), life.next);
}

#[test]
fn a_removed_file_is_noticed_and_a_new_base_helps() {
    let disk = SimDisk::default();
    let mut rng = Rng::from_seed(2);
    let mut life = Life::begin(disk.clone(), Policy::Always, 0);
    life.append(&mut rng);
    life.step(&mut rng);
    disk.0.lock().names.clear();
    life.append(&mut rng);
    life.now += LOOK_NANOS;
    life.step(&mut rng);
    assert!(life.journal.is_failing() && life.journal.status().gone);
    life.now += RETRY_NANOS;
    life.rewrite(&mut rng);
    life.append(&mut rng);
    life.step(&mut rng);
    life.step(&mut rng);
    assert!(!life.journal.is_failing() && life.writer.is_idle());
    disk.0.lock().crash();
    assert_eq!(load(&disk, "new base"), life.next);
}

/// Without syncs what is written is as durable as it is to be, but not on disk: until somebody asks
/// for that, or the policy changes.
#[test]
fn what_is_only_written_is_not_called_synced() {
    let disk = SimDisk::default();
    let mut rng = Rng::from_seed(3);
    let mut life = Life::begin(disk.clone(), Policy::No, 0);
    life.append(&mut rng);
    life.step(&mut rng);
    assert_eq!(life.journal.durable(), life.journal.end());
    assert_eq!(life.synced(), 0);
    life.journal.set(Policy::EverySecond, false);
    life.now += SYNC_NANOS;
    life.step(&mut rng);
    assert_eq!(life.synced(), life.next);
    life.journal.set(Policy::No, false);
    life.append(&mut rng);
    life.step(&mut rng);
    assert!(life.synced() < life.next && !life.writer.is_idle());
    life.journal.0.urgent.store(true, SeqCst);
    life.step(&mut rng);
    assert_eq!(life.synced(), life.next);
    disk.0.lock().crash();
    assert_eq!(load(&disk, "asked for"), life.next);
}
