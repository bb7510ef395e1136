//! How often a thread asks for memory: for one that must not, because whoever holds the allocator's lock is no thread that is on time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Without a destructor and without an initialiser that runs: it can be used within the allocator, to the end of the thread.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts for each thread. A program that wants to know makes it its `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

/// How often this thread has asked for memory so far, or given some back; 0 in a program without [`Counting`].
pub fn asked() -> u64 {
    ASKED.with(Cell::get)
}

fn count() {
    ASKED.with(|asked| asked.set(asked.get().wrapping_add(1)));
}

// SAFETY: everything is the system allocator's, with the very arguments that it was called with; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: see above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: see above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: see above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
