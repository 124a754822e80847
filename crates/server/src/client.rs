//! What a connection knows about its client between commands.

use std::sync::Arc;

use base::ids::DbIndex;

use crate::clients::Card;
use crate::registry::RowId;

/// Which replies are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyMode {
    /// All.
    On,
    /// None.
    Off,
    /// Not the next one: SKIP itself is being answered.
    SkipNext,
    /// Not this one.
    Skip,
}

/// What becomes of the connection after the current command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Open,
    /// It is closed once its replies are written.
    CloseAfterReply,
    /// It is closed at once.
    CloseNow,
}

/// See the module's head.
pub struct Client {
    /// What others may know of it.
    pub card: Arc<Card>,
    /// Selected database.
    pub db: DbIndex,
    /// Has logged in, or need not.
    pub authenticated: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// CLIENT NO-TOUCH.
    pub no_touch: bool,
    /// The last command that ran.
    pub last_command: Option<RowId>,
    /// What becomes of the connection.
    pub fate: Fate,
}

impl Client {
    /// A client that has just connected.
    pub fn new(card: Arc<Card>, authenticated: bool) -> Client {
        Client {
            card,
            db: DbIndex::default(),
            authenticated,
            reply_mode: ReplyMode::On,
            no_touch: false,
            last_command: None,
            fate: Fate::Open,
        }
    }
}
