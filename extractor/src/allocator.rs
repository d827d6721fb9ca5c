//! How the memory allocator of the process is set.

/// The largest block that the C library takes from its heap afterwards.
const BLOCK: usize = 16 << 20;

/// Lets the C library keep the memory that is freed, up to 32 MiB, for what is allocated next.
///
/// At first it gives every block of 128 KiB and more back to the kernel, and each page of such a block is a page fault
/// when it is written again. It raises that limit to the size of the largest block that was freed, up to 32 MiB, and
/// what it keeps at the end of the heap to twice as much. A block that is never written takes no memory.
///
/// <https://man7.org/linux/man-pages/man3/mallopt.3.html>, `M_MMAP_THRESHOLD`
pub(crate) fn keep_freed() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK)));
}
