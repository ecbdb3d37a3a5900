//! Files that lie: whatever they say, reading them ends soon, without a panic, and within the memory that is due.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::{Duration, Instant},
};

use thawline::rng::Draws;

use super::{tests::file, *};

/// The system's allocator, which also counts what this thread holds. Of the tests only.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
}

// SAFETY: every call is handed on as it is; counting touches only this thread's own numbers.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What the budget allows: twice the file and a megabyte; errors and the stack of the reader itself are small change.
fn due(file: usize) -> usize {
    2 * file + (1 << 20) + (1 << 16)
}

/// The most memory that `parse` held at once.
fn most_held(bytes: &[u8]) -> usize {
    let before = HELD.get();
    MOST.set(before);
    let parsed = parse(bytes);
    let most = (MOST.get() - before) as usize;
    if let Ok(tensors) = parsed {
        for tensor in tensors.values() {
            assert_eq!(tensor.shape.iter().product::<usize>() * tensor.dtype.size(), tensor.bytes.len());
        }
    }
    most
}

/// One of many ways to damage a file.
fn mutated(original: &[u8], draws: &mut Draws) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let length = bytes.len() as u64;
    for _ in 0..1 + draws.below(6) {
        let at = draws.below(length) as usize;
        bytes[at] = match draws.below(4) {
            0 => draws.below(256) as u8,
            1 => 0xff,
            2 => bytes[at] ^ (1 << draws.below(8)),
            // An opcode, a digit, or whatever else is common in the file.
            _ => original[draws.below(length) as usize],
        };
    }
    match draws.below(8) {
        0 => bytes.truncate(draws.below(length) as usize),
        1 => {
            let tail = bytes[draws.below(length) as usize..].to_vec();
            bytes.extend(tail);
        }
        2 => {
            let (from, to) = (draws.below(length) as usize, draws.below(length) as usize);
            bytes.drain(from.min(to)..from.max(to));
        }
        _ => {}
    }
    bytes
}

#[test]
fn a_hundred_thousand_damaged_files_are_read_or_refused() {
    let originals =
        ["zip.pth", "zip-protocol4.pth", "legacy.pth", "nested.pth", "plain.safetensors", "arrays.npz", "packed.npz"];
    let start = Instant::now();
    std::thread::scope(|scope| {
        for (of, name) in originals.iter().enumerate() {
            scope.spawn(move || {
                let original = file(name);
                for i in (of..100_000).step_by(originals.len()) {
                    let bytes = mutated(&original, &mut Draws::new(0, name, i as u64, "mutation"));
                    let started = Instant::now();
                    let most = most_held(&bytes);
                    assert!(most <= due(bytes.len()), "{name}, mutation {i}: {most} bytes for {}", bytes.len());
                    assert!(started.elapsed() < Duration::from_secs(10), "{name}, mutation {i}");
                }
            });
        }
    });
    println!("100,000 files in {:?}", start.elapsed());
}

/// Large files made of one thing that is small to write and large to hold.
#[test]
fn nothing_small_to_write_is_large_to_hold() {
    let legacy = |object: &[u8]| super::tests::legacy(object);
    let megabytes = |pattern: &[u8]| pattern.repeat((4 << 20) / pattern.len());
    let safetensors = |header: &[u8]| [&(header.len() as u64).to_le_bytes()[..], header].concat();
    let directory = |entry: &[u8]| {
        let zip = file("zip.pth");
        let end = zip.len() - 22;
        [&zip[..end], &megabytes(entry), &zip[end..]].concat()
    };
    let entry = [&b"PK\x01\x02"[..], &[0; 42]].concat();
    let header = format!("{{{}\"z\":1}}", r#""a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"#.repeat(80_000));
    for (what, bytes) in [
        ("values", legacy(&megabytes(b"N"))),
        ("marks", legacy(&megabytes(b"("))),
        ("empty lists", legacy(&megabytes(b"]"))),
        ("a list", legacy(&[b"](".to_vec(), megabytes(b"K\0"), b"e".to_vec()].concat())),
        ("memo", legacy(&[b"N".to_vec(), megabytes(b"\x94")].concat())),
        ("recalls", legacy(&[b"Nq\0".to_vec(), megabytes(b"h\0")].concat())),
        ("tuples", legacy(&[b"N".to_vec(), megabytes(b"\x85")].concat())),
        ("sets", legacy(&megabytes(b"\x8f"))),
        ("a directory", directory(&entry)),
        ("a header", safetensors(header.as_bytes())),
        ("nesting", safetensors(format!("{{\"a\":{}", "[".repeat(4 << 20)).as_bytes())),
    ] {
        let most = most_held(&bytes);
        assert!(most <= due(bytes.len()), "{what}: {most} bytes for a file of {}", bytes.len());
    }
}

/// The counter counts: what an honest file takes is seen.
#[test]
fn honest_files_are_counted() {
    let most = most_held(&file("zip.pth"));
    assert!(most > 200 && most < due(file("zip.pth").len()), "{most}");
}
