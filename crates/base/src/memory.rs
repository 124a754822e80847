//! What an allocation really costs: jemalloc's size classes, for `used_memory` and MEMORY USAGE.
//!
//! jemalloc serves a request from the smallest class that holds it: multiples of 16 up to 128 (and
//! 8), then four evenly spaced classes per doubling. From 16 KiB on a large allocation is whole
//! pages, and the same formula gives them. Source: "size classes" in jemalloc's manual, for 64-bit
//! machines with 4 KiB pages.

/// Bytes that an allocation of `size` bytes takes. Zero takes nothing. O(1).
///
/// Saturates at `usize::MAX` for sizes that no allocator can serve.
#[inline]
#[must_use]
pub const fn size_class(size: usize) -> usize {
    // Up to 128 the spacing is 16; above, a quarter of the doubling that the size lies in.
    let spacing_log2 = match size {
        0 => return 0,
        1..=8 => 3,
        9..=128 => 4,
        _ => (size - 1).ilog2() - 2,
    };
    let spacing = 1_usize << spacing_log2;
    match size.checked_next_multiple_of(spacing) {
        Some(class) => class,
        None => usize::MAX,
    }
}

const _: () = assert!(size_class(129) == 160, "usable in constants");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The classes of jemalloc 5 on x86-64 up to 64 KiB.
    const CLASSES: &[usize] = &[
        8, 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896,
        1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4096, 5120, 6144, 7168, 8192, 10240, 12288,
        14336, 16384, 20480, 24576, 28672, 32768, 40960, 49152, 57344, 65536,
    ];

    #[test]
    fn every_size_up_to_64_kib() {
        let mut classes = CLASSES.iter().copied().peekable();
        for size in 1..=65_536 {
            let class = classes.next_if(|&class| class < size);
            assert!(class.is_none_or(|class| class == size - 1));
            assert_eq!(Some(&size_class(size)), classes.peek(), "{size}");
        }
        assert_eq!(size_class(0), 0);
    }

    #[test]
    fn huge_sizes_saturate() {
        assert_eq!(size_class((1 << 20) + 1), (1 << 20) + (1 << 18));
        assert_eq!(size_class(usize::MAX), usize::MAX);
        assert_eq!(size_class(isize::MAX as usize), 1 << 63);
    }

    proptest! {
        #[test]
        fn holds_the_size_and_wastes_at_most_a_fifth(size in 129_usize..1 << 40) {
            let class = size_class(size);
            prop_assert!(class >= size);
            prop_assert!((class - size) * 5 < class);
            prop_assert_eq!(size_class(class), class);
        }
    }
}
