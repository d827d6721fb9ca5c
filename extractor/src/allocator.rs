//! How the memory allocator of the process is set.

/// Bytes of the block that is freed at first.
const BLOCK: usize = 16 << 20;

/// Lets glibc keep memory that is freed, for what is allocated next.
///
/// At first glibc gives every block of 128 KiB and more back to the kernel, and each page of the next such block is a
/// page fault. When a larger block is freed, blocks up to its size come from the heap afterwards, and the heap keeps
/// twice that size at its end. So this frees a large block, which takes no memory because nothing is written to it.
/// Another C library, or a variable `MALLOC_TRIM_THRESHOLD_`, makes it ineffective.
///
/// <https://man7.org/linux/man-pages/man3/mallopt.3.html>, `M_MMAP_THRESHOLD`
pub(crate) fn keep_freed() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK)));
}
