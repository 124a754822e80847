//! tmp
/// x
pub const fn size_class(n: usize) -> usize {
    if n <= 8 {
        8
    } else if n <= 128 {
        n.next_multiple_of(16)
    } else {
        let p = n.next_power_of_two() / 8;
        n.next_multiple_of(p)
    }
}
