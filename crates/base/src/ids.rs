//! tmp
/// db
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DbIndex(pub u16);
impl From<DbIndex> for usize {
    fn from(d: DbIndex) -> usize {
        usize::from(d.0)
    }
}
/// id
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);
