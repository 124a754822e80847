//! An append-only file: what is written, what of that is durable, and what a restart gives back. As
//! in `journal::writer`, the name of the history is in the file before every byte that is younger
//! than it; as in `appending`, a full copy needs a new base, and until that is in place a restart
//! gives back what was there before.

use base::ids::RunId;
use base::rng::Rng;
use replication::history::History;

/// What is known of the data besides their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remark {
    pub(crate) history: History,
    /// For the judge: all names that the data went by, in order, and from where on.
    pub(crate) names: Vec<(RunId, usize)>,
}

#[derive(Clone)]
struct Files {
    /// Where the increments begin.
    start: usize,
    data: Vec<u8>,
    durable: usize,
    /// Each with its place, and whether it is durable.
    remarks: Vec<(usize, Remark, bool)>,
}

impl Files {
    fn begin(data: &[u8]) -> Files {
        Files {
            start: data.len(),
            data: data.to_vec(),
            durable: data.len(),
            remarks: Vec::new(),
        }
    }

    fn write(&mut self, log: &[u8], remark: &Remark) {
        if self
            .remarks
            .last()
            .is_none_or(|(_, last, _)| last != remark)
        {
            self.remarks.push((self.data.len(), remark.clone(), false));
        }
        let len = self.data.len();
        self.data.extend_from_slice(&log[len..]);
    }

    fn sync(&mut self) {
        // Compat with ourselves: remarks alone are not worth a sync.
        if self.data.len() > self.durable {
            self.durable = self.data.len();
            self.remarks
                .iter_mut()
                .for_each(|(.., durable)| *durable = true);
        }
    }
}

pub(crate) struct Disk {
    /// `appendonly`.
    pub(crate) wanted: bool,
    /// Every write is synced at once; otherwise once a second.
    pub(crate) always: bool,
    /// It answers nobody.
    pub(crate) stalled: bool,
    /// What a restart loads.
    set: Option<Files>,
    /// Its base is being written until then.
    next: Option<(Files, i64)>,
    /// The log goes into `set`.
    on: bool,
    synced_at: i64,
}

impl Disk {
    pub(crate) fn new(wanted: bool, always: bool) -> Disk {
        Disk {
            wanted,
            always,
            stalled: false,
            set: wanted.then(|| Files::begin(&[])),
            next: None,
            on: wanted,
            synced_at: 0,
        }
    }

    /// Up to where a restart would give the log back.
    pub(crate) fn restorable(&self) -> Option<usize> {
        let set = self.set.as_ref().filter(|_| self.on && self.next.is_none());
        set.map(|set| set.durable)
    }

    /// What of the log memory has to keep for the files.
    pub(crate) fn needs_from(&self) -> Option<usize> {
        let next = self.next.as_ref().map(|(files, _)| files.durable);
        next.or_else(|| self.restorable())
    }

    /// Whether the files hold the log from there on.
    pub(crate) fn reaches(&self, from: usize) -> bool {
        let set = self.set.as_ref().filter(|_| self.restorable().is_some());
        set.is_some_and(|set| set.start <= from)
    }

    /// The data are about to be replaced.
    pub(crate) fn suspend(&mut self) {
        self.next = None;
        if let Some(set) = &mut self.set {
            set.sync();
        }
        self.on = false;
    }

    /// A new set begins, with the data as they are.
    pub(crate) fn begin(&mut self, log: &[u8], now: i64, rng: &mut Rng) {
        if self.wanted {
            self.next = Some((Files::begin(log), now + rng.below(1_500) as i64));
        }
    }

    /// A new base takes the place of what was logged before, if that is possible.
    pub(crate) fn rewrite(&mut self, log: &[u8], remark: &Remark) -> bool {
        let possible = self.restorable().is_some() && !self.stalled;
        if possible {
            let mut files = Files::begin(log);
            files.write(log, remark);
            self.set = Some(files);
        }
        possible
    }

    /// Some time has passed: whether more of the log can be given back than before.
    pub(crate) fn tick(&mut self, log: &[u8], remark: &Remark, now: i64) -> bool {
        if self.stalled {
            return false;
        }
        let before = self.restorable();
        let is_due = self.always || now - self.synced_at >= 1_000;
        if let Some((files, _)) = &mut self.next {
            files.write(log, remark);
            files.sync();
        }
        if let Some((files, _)) = self.next.take_if(|(_, ready)| *ready <= now) {
            self.set = Some(files);
            self.on = true;
        }
        if let Some(set) = self.set.as_mut().filter(|_| self.on && self.next.is_none()) {
            set.write(log, remark);
            if is_due {
                set.sync();
                self.synced_at = now;
            }
        }
        self.restorable() > before
    }

    /// What a restart after a crash gives back: the log, and what is known of it. Torn records are
    /// cut off.
    pub(crate) fn restart(&mut self, rng: &mut Rng) -> (Vec<u8>, Option<Remark>) {
        self.next = None;
        self.stalled = false;
        let Some(set) = self.set.as_mut().filter(|_| self.wanted) else {
            return (Vec::new(), None);
        };
        let unsure = set.data.len() - set.durable;
        let kept = set.durable + rng.below(unsure as u64 + 1) as usize;
        let whole = set.data[..kept].iter().rposition(|&byte| byte == b'\n');
        let kept = whole.map_or(0, |at| at + 1).max(set.durable);
        set.data.truncate(kept);
        set.durable = kept;
        set.remarks
            .retain(|&(at, _, durable)| at < kept || at == kept && (durable || rng.below(2) == 0));
        self.on = true;
        let remark = set.remarks.last().map(|(_, remark, _)| remark.clone());
        (set.data.clone(), remark)
    }
}
