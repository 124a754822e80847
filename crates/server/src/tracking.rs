//! Client-side caching between workers: who tracks, and who is told what to forget.
//!
//! The stripes know who has read which keys (`engine::track`). What changes leave behind is turned
//! into [`Note`]s, one batch for each worker, and sent while the lease of the change is still held:
//! a note is in its worker's mailbox before the change is answered, and a worker looks into its
//! mailbox between reading commands and running them. So a client that has seen the answer to a
//! change, or heard of it, cannot have its next command answered before its note.
//!
//! Notes go straight to the worker of the connection that is to be written to ([`Post`]): with
//! REDIRECT that is another client's. Whether the way still holds is looked at there; if not, the
//! note is sent on.
//!
//! What clients in BCAST mode have to hear is gathered until the end of the worker's round
//! ([`Tracking::flush`]), by prefix, each key once.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};

use base::ids::ClientId;
use engine::env::Env;
use engine::track::{Invalidation, Name, Reader};
use parking_lot::{Mutex, RwLock};
use resp::{Proto, Reply};

use crate::client::Client;
use crate::mailbox::{Mailbox, Message, WorkerId};
use crate::server::Server;

/// Where a connection is: its worker and its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Post {
    /// The worker that owns it.
    pub worker: WorkerId,
    /// Where the worker keeps it.
    pub place: u32,
}

impl Post {
    fn pack(self) -> u64 {
        u64::from(self.worker.0) << 32 | u64::from(self.place)
    }

    fn unpack(packed: u64) -> Post {
        Post {
            worker: WorkerId((packed >> 32) as u16),
            place: packed as u32,
        }
    }
}

/// What a client has to forget.
#[derive(Clone, Debug)]
pub enum News {
    /// A key.
    Key(Name),
    /// Keys under a prefix, in order.
    Keys(Arc<[Change]>),
    /// Every key.
    All,
}

impl News {
    /// Whether it is news for a client that tracks in this mode: keys read in one mode are no
    /// business of the other.
    pub fn concerns(&self, mode: Mode) -> bool {
        match self {
            News::Key(_) => mode != Mode::Broadcast,
            News::Keys(_) => mode == Mode::Broadcast,
            News::All => true,
        }
    }
}

/// A key that was changed, and by whom if a client did it.
#[derive(Clone, Debug)]
pub struct Change {
    key: Name,
    writer: Option<ClientId>,
}

/// News for a client that tracks.
#[derive(Debug)]
pub struct Note {
    /// The client.
    pub client: ClientId,
    /// The place of the connection that is to be written to.
    pub place: u32,
    /// The news.
    pub news: News,
}

/// What everybody may know of a client's tracking.
#[derive(Debug, Default)]
pub struct Seen {
    flags: AtomicU8,
    redirect: AtomicU64,
}

impl Seen {
    const ON: u8 = 1;
    const BROADCAST: u8 = 2;
    const NO_LOOP: u8 = 4;
    const BROKEN: u8 = 8;

    fn has(&self, flag: u8) -> bool {
        self.flags.load(Relaxed) & flag != 0
    }

    /// Whether the client tracks.
    pub fn is_on(&self) -> bool {
        self.has(Seen::ON)
    }

    /// Whether it hears of all changes under its prefixes.
    pub fn is_broadcast(&self) -> bool {
        self.has(Seen::BROADCAST)
    }

    /// Whether its news could not be given to the client that was to have them.
    pub fn is_broken(&self) -> bool {
        self.has(Seen::BROKEN)
    }

    /// Whether it does not want to hear of its own changes.
    pub fn is_no_loop(&self) -> bool {
        self.has(Seen::NO_LOOP)
    }

    /// Who gets its news; 0 = the client itself.
    pub fn redirect(&self) -> u64 {
        self.redirect.load(Relaxed)
    }

    /// `redir` of CLIENT LIST, and what CLIENT GETREDIR answers.
    pub fn shown_redirect(&self) -> i64 {
        match self.is_on() {
            true => self.redirect() as i64,
            false => -1,
        }
    }
}

/// Which of its reads a client caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All.
    Reads,
    /// Those that CLIENT CACHING YES announces.
    OptIn,
    /// All but those that CLIENT CACHING NO excepts.
    OptOut,
    /// Nobody knows; it hears of all changes under its prefixes.
    Broadcast,
}

/// What CLIENT TRACKING ON asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// See [`Mode`].
    pub mode: Mode,
    /// NOLOOP.
    pub no_loop: bool,
    /// The client that gets the news instead.
    pub redirect: Option<(ClientId, Post)>,
}

/// A client's tracking, as its connection knows it.
pub struct Caching {
    /// What it has asked for.
    pub wish: Wish,
    /// CLIENT CACHING was given for the next command.
    pub given: bool,
    /// In BCAST mode: in order.
    pub prefixes: Vec<Box<[u8]>>,
    prefix_bytes: usize,
    reader: Reader,
    /// What its own command has changed, to be told after the reply.
    own: Vec<News>,
}

impl Caching {
    /// Under what name its reads are remembered now, if they are.
    #[inline]
    pub fn reader(&self) -> Option<Reader> {
        let caches = match self.wish.mode {
            Mode::Reads => true,
            Mode::OptIn => self.given,
            Mode::OptOut => !self.given,
            Mode::Broadcast => false,
        };
        caches.then_some(self.reader)
    }

    /// Bytes that its prefixes take, here and in the register of all.
    pub fn bytes(&self) -> usize {
        2 * (self.prefixes.len() * size_of::<Box<[u8]>>() + self.prefix_bytes)
    }

    /// After its command has been answered: tells it what that changed, and forgets CLIENT CACHING
    /// unless `keeps_given`.
    pub fn end_command(&mut self, keeps_given: bool, out: &mut Reply) {
        self.given &= keeps_given;
        self.tell(out);
    }

    /// Tells it what has gathered for it.
    pub fn tell(&mut self, out: &mut Reply) {
        for news in self.own.drain(..) {
            write(&news, None, false, out);
        }
    }
}

type Listeners = BTreeMap<ClientId, Post>;

/// See the module's head. Shared by the workers.
pub struct Tracking {
    /// All clients that track.
    clients: Mutex<Listeners>,
    /// Those in BCAST mode, by prefix.
    prefixes: RwLock<BTreeMap<Box<[u8]>, Listeners>>,
    broadcasting: AtomicBool,
    /// Somebody has had REDIRECT: where the news of a read go may have changed since.
    redirected: AtomicBool,
    /// What each worker's commands have changed in this round.
    changed: Vec<Mutex<Vec<Change>>>,
    under_way_bytes: AtomicU64,
}

impl Tracking {
    /// Nobody tracks on any of so many workers.
    pub fn new(workers: usize) -> Tracking {
        Tracking {
            clients: Mutex::default(),
            prefixes: RwLock::default(),
            broadcasting: AtomicBool::new(false),
            redirected: AtomicBool::new(false),
            changed: (0..workers).map(|_| Mutex::default()).collect(),
            under_way_bytes: AtomicU64::new(0),
        }
    }

    /// Bytes of notes in mailboxes. They do not count against `maxmemory`: evicting a key makes
    /// notes, which may be longer than the key was.
    #[inline]
    pub fn under_way_bytes(&self) -> u64 {
        self.under_way_bytes.load(Relaxed)
    }

    /// Notes are put into a mailbox.
    pub fn depart(&self, notes: &[Note]) {
        self.under_way_bytes.fetch_add(bytes_of(notes), Relaxed);
    }

    /// A worker has taken notes out of its mailbox.
    pub fn arrived(&self, notes: &[Note]) {
        self.under_way_bytes.fetch_sub(bytes_of(notes), Relaxed);
    }

    /// Number of clients that track.
    pub fn client_count(&self) -> usize {
        self.clients.lock().len()
    }

    /// Number of prefixes that somebody listens to.
    pub fn prefix_count(&self) -> usize {
        self.prefixes.read().len()
    }

    /// Whether there is one: `Env::broadcast` of every worker, looked at between reading commands
    /// and running them.
    #[inline]
    pub fn is_broadcasting(&self) -> bool {
        self.broadcasting.load(Relaxed)
    }

    /// Where the news of what a client has read go, which was `post` when it read. Asked when they
    /// are sent, so that they take one way and come before whatever is sent there later.
    fn post_now(&self, client: ClientId, post: u64) -> Post {
        let then = Post::unpack(post);
        match self.redirected.load(Relaxed) {
            true => self.clients.lock().get(&client).copied().unwrap_or(then),
            false => then,
        }
    }

    /// Begins a client's tracking, or changes it; `prefixes` come on top of those it has.
    pub fn start(&self, client: &mut Client, wish: Wish, prefixes: &[&[u8]]) {
        let id = client.card.id;
        let own = Post {
            worker: client.card.worker,
            place: client.card.place.load(Relaxed),
        };
        let post = wish.redirect.map_or(own, |(_, post)| post);
        if wish.redirect.is_some() {
            self.redirected.store(true, Relaxed);
        }
        let before = client.caching.take();
        let (given, mut known) = before.map_or((false, Vec::new()), |caching| {
            (caching.given, caching.prefixes)
        });
        self.clients.lock().insert(id, post);
        if wish.mode == Mode::Broadcast {
            let whole: &[&[u8]] = &[b""];
            let new = if prefixes.is_empty() { whole } else { prefixes };
            known.extend(new.iter().map(|&prefix| Box::from(prefix)));
            known.sort_unstable();
            known.dedup();
            let mut all = self.prefixes.write();
            for prefix in &known {
                all.entry(prefix.clone()).or_default().insert(id, post);
            }
            self.broadcasting.store(true, Relaxed);
        }
        let seen = &client.card.tracking;
        let broadcast = match wish.mode {
            Mode::Broadcast => Seen::BROADCAST,
            Mode::Reads | Mode::OptIn | Mode::OptOut => 0,
        };
        let no_loop = if wish.no_loop { Seen::NO_LOOP } else { 0 };
        let redirect = wish.redirect.map_or(0, |(target, _)| target.0);
        seen.redirect.store(redirect, Relaxed);
        seen.flags.store(Seen::ON | broadcast | no_loop, Relaxed);
        let reader = Reader {
            client: id,
            post: post.pack(),
        };
        client.caching = Some(Box::new(Caching {
            wish,
            given,
            prefix_bytes: known.iter().map(|prefix| prefix.len()).sum(),
            prefixes: known,
            reader,
            own: Vec::new(),
        }));
    }

    /// Ends a client's tracking, if it tracks.
    pub fn stop(&self, client: &mut Client) {
        let Some(caching) = client.caching.take() else {
            return;
        };
        let id = client.card.id;
        client.card.tracking.flags.store(0, Relaxed);
        self.clients.lock().remove(&id);
        if caching.wish.mode != Mode::Broadcast {
            return;
        }
        let mut all = self.prefixes.write();
        for prefix in &caching.prefixes {
            if let Some(listeners) = all.get_mut(prefix) {
                listeners.remove(&id);
                if listeners.is_empty() {
                    all.remove(prefix);
                }
            }
        }
        self.broadcasting.store(!all.is_empty(), Relaxed);
    }

    /// Tells those in BCAST mode what the worker's commands have changed in this round. To be
    /// called before the replies are written.
    pub fn flush(&self, mailboxes: &[Mailbox], own: WorkerId) {
        let changed = std::mem::take(&mut *self.changed[usize::from(own.0)].lock());
        if changed.is_empty() {
            return;
        }
        // Of a key's changes the last counts, as in Redis: who made it is not told with NOLOOP.
        let by_key: BTreeMap<Name, Option<ClientId>> = changed
            .into_iter()
            .map(|change| (change.key, change.writer))
            .collect();
        let mut outgoing = Outgoing::new(mailboxes.len());
        for (prefix, listeners) in &*self.prefixes.read() {
            let from = (Bound::Included(&**prefix), Bound::Unbounded);
            let under = by_key
                .range::<[u8], _>(from)
                .take_while(|(key, _)| key.starts_with(prefix));
            let changes: Arc<[Change]> = under
                .map(|(key, &writer)| Change {
                    key: Arc::clone(key),
                    writer,
                })
                .collect();
            if changes.is_empty() {
                continue;
            }
            for (&client, &post) in listeners {
                outgoing.add(client, post, News::Keys(Arc::clone(&changes)));
            }
        }
        outgoing.send(self, mailboxes, own);
    }
}

fn bytes_of(notes: &[Note]) -> u64 {
    let key_bytes = |note: &Note| match &note.news {
        News::Key(key) => key.len(),
        News::Keys(_) | News::All => 0,
    };
    let bytes = notes.iter().map(|note| size_of::<Note>() + key_bytes(note));
    bytes.sum::<usize>() as u64
}

/// Notes by worker.
struct Outgoing(Vec<Vec<Note>>);

impl Outgoing {
    fn new(workers: usize) -> Outgoing {
        Outgoing((0..workers).map(|_| Vec::new()).collect())
    }

    fn add(&mut self, client: ClientId, post: Post, news: News) {
        let place = post.place;
        self.0[usize::from(post.worker.0)].push(Note {
            client,
            place,
            news,
        });
    }

    /// The worker `own` looks into its mailbox before it writes replies and needs not be woken.
    fn send(self, tracking: &Tracking, mailboxes: &[Mailbox], own: WorkerId) {
        for (worker, (mailbox, notes)) in mailboxes.iter().zip(self.0).enumerate() {
            tracking.depart(&notes);
            match notes.is_empty() {
                true => {}
                false if worker == usize::from(own.0) => mailbox.leave(Message::Forget(notes)),
                false => mailbox.send(Message::Forget(notes)),
            }
        }
    }
}

/// Passes on what has gathered in `env`, on the worker `own`. `by` is the client whose command is
/// over: it hears of its own changes after the reply, or not at all.
#[cold]
pub fn tell(server: &Server, own: WorkerId, env: &Env, mut by: Option<&mut Client>) {
    let mut outgoing = Outgoing::new(server.mailboxes.len());
    let tracking = &server.tracking;
    for news in env.take_invalidations() {
        match news {
            Invalidation::Read { key, readers } => {
                for Reader { client, post } in readers {
                    let news = News::Key(Arc::clone(&key));
                    if !take_own(by.as_deref_mut(), client, &news) {
                        outgoing.add(client, tracking.post_now(client, post), news);
                    }
                }
            }
            Invalidation::Changed { key, by_command } => {
                let writer = by.as_ref().filter(|_| by_command);
                let writer = writer.map(|client| client.card.id);
                let mut changed = tracking.changed[usize::from(own.0)].lock();
                changed.push(Change { key, writer });
            }
            Invalidation::Everything => {
                for (&client, &post) in &*tracking.clients.lock() {
                    if !take_own(by.as_deref_mut(), client, &News::All) {
                        outgoing.add(client, post, News::All);
                    }
                }
            }
        }
    }
    outgoing.send(tracking, &server.mailboxes, own);
}

/// Keeps news for the client under whose command they arose; whether they need not be sent.
fn take_own(by: Option<&mut Client>, client: ClientId, news: &News) -> bool {
    let Some(me) = by.filter(|me| me.card.id == client) else {
        return false;
    };
    let Some(caching) = &mut me.caching else {
        return true;
    };
    let is_loop = caching.wish.no_loop && matches!(news, News::Key(_));
    if is_loop || !news.concerns(caching.wish.mode) {
        return true;
    }
    if caching.wish.redirect.is_some() {
        return false;
    }
    caching.own.push(news.clone());
    true
}

/// The channel on which a client that speaks RESP2 gets another's news.
const CHANNEL: &[u8] = b"__redis__:invalidate";

/// Writes news to a connection, if it can be told them: by a push, or as a message, if `listening`
/// (another's news for a client that listens to channels). Keys that `except` has changed are left
/// out of the lists of BCAST mode.
pub fn write(news: &News, except: Option<ClientId>, listening: bool, out: &mut Reply) {
    let wanted = |change: &&Change| except.is_none() || change.writer != except;
    let keys: Vec<&Name> = match news {
        News::Key(key) => vec![key],
        News::Keys(changes) => {
            let wanted = changes.iter().filter(wanted);
            wanted.map(|change| &change.key).collect()
        }
        News::All => Vec::new(),
    };
    if keys.is_empty() && !matches!(news, News::All) {
        return;
    }
    match out.proto() {
        Proto::Resp3 => {
            out.push(2);
            out.bulk(b"invalidate");
        }
        Proto::Resp2 if listening => {
            out.array(3);
            out.bulk(b"message");
            out.bulk(CHANNEL);
        }
        Proto::Resp2 => return,
    }
    if matches!(news, News::All) {
        return out.null();
    }
    out.array(keys.len());
    keys.iter().for_each(|key| out.bulk(key));
}

/// Marks a client's redirection as broken, and tells it, if it can be told.
pub fn write_broken(client: &Client, out: &mut Reply) {
    let seen = &client.card.tracking;
    if !seen.is_on() {
        return;
    }
    seen.flags.fetch_or(Seen::BROKEN, Relaxed);
    if out.proto() == Proto::Resp3 {
        out.push(2);
        out.bulk(b"tracking-redir-broken");
        out.int(seen.redirect() as i64);
    }
}

/// Where a client's news go now.
pub enum Way {
    /// Nowhere: it is gone, or tracks no more.
    Nowhere,
    /// To this connection.
    To {
        /// Whose it is.
        recipient: ClientId,
        /// Where it is.
        post: Post,
        /// Whether it is that of a client whom REDIRECT named.
        redirected: bool,
        /// NOLOOP.
        no_loop: bool,
    },
    /// The client that was to get them is gone; the one that tracks is here.
    Broken(Post),
}

/// Finds out where these news of a client go now.
pub fn way(server: &Server, client: ClientId, news: &News) -> Way {
    let alive = |id| {
        let card = server.clients.get(id);
        card.filter(|card| !card.killed.load(Relaxed))
    };
    let Some(card) = alive(client).filter(|card| card.tracking.is_on()) else {
        return Way::Nowhere;
    };
    if matches!(news, News::Key(_)) && card.tracking.is_broadcast() {
        return Way::Nowhere;
    }
    let post_of = |card: &crate::clients::Card| Post {
        worker: card.worker,
        place: card.place.load(Relaxed),
    };
    let redirect = card.tracking.redirect();
    let recipient = match redirect {
        0 => Some(Arc::clone(&card)),
        id => alive(ClientId(id)),
    };
    match recipient {
        None => Way::Broken(post_of(&card)),
        Some(recipient) => Way::To {
            recipient: recipient.id,
            post: post_of(&recipient),
            redirected: redirect != 0,
            no_loop: card.tracking.is_no_loop(),
        },
    }
}
