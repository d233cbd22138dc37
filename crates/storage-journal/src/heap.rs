//! What the allocator keeps of the memory that this process has freed (ADR 7).
//!
//! Left alone, glibc takes every large block that is freed as a sign that more such blocks will
//! come: it keeps up to 64 MiB of them, and takes the next ones from where they leave holes.

/// Blocks from this size on go back to the system as soon as they are freed. Larger than the
/// buffers that come and go while records are written and read.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_BYTES: libc::c_int = 4 << 20;

/// Fixes, for the whole process, the size from which on freed memory goes back to the system. For
/// `main`, before there are threads; does nothing where the allocator is not glibc's.
#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "a program can tell glibc this in no other way")
)]
pub fn give_back_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for option in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: two numbers go in, and glibc locks what it changes by them.
        let taken = unsafe { libc::mallopt(option, LARGE_BYTES) };
        debug_assert_eq!(taken, 1, "glibc knows both options and takes 4 MiB");
    }
}
