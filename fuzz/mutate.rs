//! Fuzzing without a nightly toolchain: seeds, mutations, and a parser that must neither panic nor hang.
//!
//! Each test file that fuzzes includes this one. A run is short and always the same by default, so that it belongs to the
//! ordinary tests; `cargo xtask fuzz` makes it long and random by `LONGREIN_FUZZ_SECONDS`. Without the coverage feedback
//! of libFuzzer it finds less per second; what the formats are made of (lengths, counts, nesting, numbers at the ends of
//! their ranges) is therefore among the mutations. An input that fails is written to a file whose name is printed: copy it
//! to `fuzz/corpus/TARGET/`, where it is tried first from then on.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by panicking, and says why"
)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Tries of a target in an ordinary test.
const TRIES: u64 = 4_000;
/// An input that takes longer is one that hangs.
const INPUT_WITHIN: Duration = Duration::from_secs(2);
/// Longest input that is made.
const LEN_MAX: usize = 1 << 16;

/// Numbers that break arithmetic.
const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Pieces of JSON and of names that break readers.
const TOKENS: [&str; 20] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-0",
    "1e999",
    "-1",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "did:key:z",
    "..",
    "/",
    "\0",
];

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let (a, b) = (self.below(len + 1), self.below(len + 1));
        a.min(b)..a.max(b)
    }
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
    let at = random.below(bytes.len());
    match random.below(11) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(random.range(bytes.len()))),
        4 => {
            let piece = bytes[random.range(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        5 | 6 => {
            let number = NUMBERS[random.below(NUMBERS.len())];
            let number = number.wrapping_add(random.below(3) as u64).wrapping_sub(1);
            let width = [1, 2, 4, 8][random.below(4)];
            let (low, high) = (number.to_le_bytes(), number.to_be_bytes());
            let piece = if random.below(4) == 0 { &high[8 - width..] } else { &low[..width] };
            let end = (at + width).min(bytes.len());
            bytes.splice(at..end, piece.iter().copied());
        }
        7 => {
            let token = TOKENS[random.below(TOKENS.len())];
            let times = [1, 1, 1, 300][random.below(4)];
            bytes.splice(at..at, token.repeat(times).into_bytes());
        }
        8 => {
            let other = &others[random.below(others.len())];
            let piece = other[random.range(other.len())].to_vec();
            let replaced = at..(at + random.below(piece.len() + 1)).min(bytes.len());
            bytes.splice(replaced, piece);
        }
        9 => {
            // A digit for a digit: numbers of text stay numbers.
            if let Some(digit) = bytes.iter_mut().skip(at).find(|byte| byte.is_ascii_digit()) {
                *digit = b'0' + random.below(10) as u8;
            }
        }
        _ => bytes.extend((0..random.below(64)).map(|_| random.next() as u8)),
    }
    bytes.truncate(LEN_MAX);
}

fn folder(name: &str) -> PathBuf {
    // From the folder of whatever crate runs this, up to the one of the workspace.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().find(|dir| dir.join("Cargo.lock").exists()).unwrap_or(here);
    root.join("fuzz").join(name)
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let Ok(files) = std::fs::read_dir(folder("corpus").join(target)) else { return Vec::new() };
    files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

fn attempt(target: &str, bytes: &[u8], parse: &mut impl FnMut(&[u8])) {
    let begun = Instant::now();
    let parsed = catch_unwind(AssertUnwindSafe(|| parse(bytes)));
    let took = begun.elapsed();
    if parsed.is_ok() && took <= INPUT_WITHIN {
        return;
    }
    let file =
        std::env::temp_dir().join(format!("longrein-fuzz-{target}-{}.bin", std::process::id()));
    std::fs::write(&file, bytes).unwrap();
    let keep = folder("corpus").join(target);
    eprintln!("{target}: this input fails: {}; keep it in {}", file.display(), keep.display());
    match parsed {
        Err(panic) => resume_unwind(panic),
        Ok(()) => panic!("{target}: {took:?} for one input of {} bytes", bytes.len()),
    }
}

/// Feeds `parse` with the corpus, the seeds, and mutations of both.
pub(crate) fn fuzz(target: &str, seeds: Vec<Vec<u8>>, mut parse: impl FnMut(&[u8])) {
    let seconds = std::env::var("LONGREIN_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let long = seconds.map(Duration::from_secs);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    if long.is_some() {
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        random = Random(clock.as_nanos() as u64 | 1);
        eprintln!("{target}: seed {}", random.0);
    }
    let mut all = corpus(target);
    all.extend(seeds);
    all.push(Vec::new());
    for seed in &all {
        attempt(target, seed, &mut parse);
    }
    let begun = Instant::now();
    let mut tries = 0;
    while long.map_or(tries < TRIES, |long| begun.elapsed() < long) {
        let mut bytes = all[random.below(all.len())].clone();
        for _ in 0..=random.below(6) {
            mutate(&mut random, &mut bytes, &all);
        }
        attempt(target, &bytes, &mut parse);
        tries += 1;
    }
    if long.is_some() {
        eprintln!("{target}: {tries} inputs, nothing found");
    }
}
