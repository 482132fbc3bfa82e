//! The Huffman code of RFC 7541 appendix B. In: a string as sent → its bytes; bytes → the string as sent. Used by the
//! decoder and the encoder for names and values.
//!
//! The code is canonical, so its lengths are all there is to know; every table below is made from them at compile time.

use super::HpackError;

/// The bits of each symbol's code; the last one ends a string.
static LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, //
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, //
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, //
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, //
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, //
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, //
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, //
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, //
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, //
    30,
];
const END: u16 = 256;
/// The longest code.
const LONGEST: u32 = 30;
/// How many bits one step of decoding looks at: two symbols as they are common in fields, or one of up to 12 bits.
const STEP: u32 = 12;
/// How many steps there are in a loaded word. Always as many, since a loop's end that depends on the string is
/// predicted badly.
const STEPS: u32 = LOADED / STEP;
/// How many bits of a loaded word are surely there, whatever bit of a byte it begins at.
const LOADED: u32 = 57;

/// What a step finds.
#[derive(Clone, Copy)]
struct Step {
    symbols: [u8; 2],
    /// How many of them; none for a code longer than the step.
    count: u8,
    /// The bits of their codes.
    bits: u8,
}

/// All codes of one length above the step's.
#[derive(Clone, Copy)]
struct Run {
    bits: u32,
    /// Its first code, with zeros behind it to 32 bits, and the end of its last one.
    from: u64,
    to: u64,
    /// Where its symbols begin in [`Tables::sorted`].
    first: usize,
}

struct Tables {
    /// A symbol's code, the last bit lowest.
    codes: [u32; 257],
    /// Symbols by length, then value: in the order of their codes.
    sorted: [u16; 257],
    runs: [Run; RUNS],
    steps: [Step; 1 << STEP],
}

/// How many lengths above the step's there are.
const RUNS: usize = 14;
static TABLES: Tables = tables();
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "runs at compile time, where out of bounds is an error; symbols fit 9 bits"
)]
const fn tables() -> Tables {
    let mut t = Tables {
        codes: [0; 257],
        sorted: [0; 257],
        runs: [Run { bits: 0, from: 0, to: 0, first: 0 }; RUNS],
        steps: [Step { symbols: [0; 2], count: 0, bits: 0 }; 1 << STEP],
    };
    let (mut code, mut place, mut runs, mut bits) = (0_u32, 0, 0, 1);
    while bits <= LONGEST {
        code <<= 1;
        let (from, first) = (code, place);
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as u32 == bits {
                t.codes[symbol] = code;
                t.sorted[place] = symbol as u16;
                code += 1;
                place += 1;
            }
            symbol += 1;
        }
        if place > first && bits > STEP {
            let shift = 32 - bits;
            t.runs[runs] = Run { bits, from: (from as u64) << shift, to: (code as u64) << shift, first };
            runs += 1;
        }
        bits += 1;
    }
    assert!(runs == RUNS);
    t.steps = steps(&t.codes);
    t
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "runs at compile time, where out of bounds is an error; symbols fit 8 bits"
)]
const fn steps(codes: &[u32; 257]) -> [Step; 1 << STEP] {
    let mut steps = [Step { symbols: [0; 2], count: 0, bits: 0 }; 1 << STEP];
    let mut one = 0;
    while one < 256 {
        let bits = LENGTHS[one] as u32;
        if bits <= STEP {
            let left = STEP - bits;
            let from = (codes[one] as usize) << left;
            let mut i = 0;
            while i < 1 << left {
                steps[from + i] = Step { symbols: [one as u8, 0], count: 1, bits: bits as u8 };
                i += 1;
            }
            let mut two = 0;
            while two < 256 {
                let more = LENGTHS[two] as u32;
                if more <= left {
                    let mut i = 0;
                    while i < 1 << (left - more) {
                        let at = from + ((codes[two] as usize) << (left - more)) + i;
                        let bits = (bits + more) as u8;
                        steps[at] = Step { symbols: [one as u8, two as u8], count: 2, bits };
                        i += 1;
                    }
                }
                two += 1;
            }
        }
        one += 1;
    }
    steps
}

/// The step that a word's first bits make.
fn step(word: u64) -> Step {
    let at = (word >> (64 - STEP)) as usize;
    TABLES.steps.get(at).copied().unwrap_or(Step { symbols: [0; 2], count: 0, bits: 0 })
}

/// The symbol at a word's beginning, of a code longer than a step, and the code's bits.
#[cold]
fn long(word: u64) -> (u16, u32) {
    let top = word >> 32;
    for run in &TABLES.runs {
        if top < run.to {
            let at = run.first + (top.saturating_sub(run.from) >> (32 - run.bits)) as usize;
            return (TABLES.sorted.get(at).copied().unwrap_or(END), run.bits);
        }
    }
    (END, LONGEST)
}

/// How much room `decode` wants for a string of so many bytes: no code is shorter than 5 bits, and a step writes two
/// bytes whether it found one or two.
pub(super) const fn room(bytes: usize) -> usize {
    bytes + bytes / 5 * 3 + 4
}

/// The bits from `bit` on, ones behind the end: 57 or more of them.
fn load(input: &[u8], bit: usize) -> u64 {
    let at = bit / 8;
    let word = match input.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        Some(whole) => u64::from_be_bytes(*whole),
        None => last_word(input, at),
    };
    let begun = bit % 8;
    (word << begun) | ((1 << begun) - 1)
}

/// As `load` with less than eight bytes left.
fn last_word(input: &[u8], at: usize) -> u64 {
    let left = input.len().saturating_sub(at);
    if left == 0 {
        return u64::MAX;
    }
    if let Some(last) = input.last_chunk::<8>() {
        let gone = 64 - 8 * left;
        return (u64::from_be_bytes(*last) << gone) | ((1 << gone) - 1);
    }
    let mut bytes = [0xff; 8];
    for (to, from) in bytes.iter_mut().zip(input.iter().skip(at)) {
        *to = *from;
    }
    u64::from_be_bytes(bytes)
}

/// Where the decoded bytes go.
struct Sink<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Sink<'_> {
    fn put(&mut self, symbols: [u8; 2], count: usize) {
        if let Some(to) = self.out.get_mut(self.len..).and_then(|rest| rest.first_chunk_mut::<2>()) {
            *to = symbols;
        }
        self.len += count;
    }

    fn put_long(&mut self, symbol: u16) -> Result<(), HpackError> {
        let byte = u8::try_from(symbol).map_err(|_| HpackError::EndOfString)?;
        self.put([byte, 0], 1);
        Ok(())
    }
}

/// Decodes a string into `out`, which has [`room`] for it; the number of bytes written.
pub(super) fn decode(input: &[u8], out: &mut [u8]) -> Result<usize, HpackError> {
    let mut sink = Sink { out, len: 0 };
    let total = input.len() * 8;
    let mut bit = 0;
    while total - bit >= LOADED as usize {
        let mut word = load(input, bit);
        let mut used = 0;
        for _ in 0..STEPS {
            let step = step(word);
            if step.count == 0 {
                // What is behind a longer code may not be loaded: go on after it, or at it, with another word.
                if used <= LOADED - LONGEST {
                    let (symbol, bits) = long(word);
                    sink.put_long(symbol)?;
                    used += bits;
                }
                break;
            }
            sink.put(step.symbols, usize::from(step.count));
            word <<= step.bits;
            used += u32::from(step.bits);
        }
        bit += used as usize;
    }
    #[expect(clippy::cast_possible_truncation, reason = "less than 57")]
    decode_end(load(input, bit), (total - bit) as u32, &mut sink)?;
    Ok(sink.len)
}

/// The last `left` bits, less than [`LOADED`].
fn decode_end(mut word: u64, mut left: u32, sink: &mut Sink<'_>) -> Result<(), HpackError> {
    // Up to seven ones are padding: no code is as short and all ones.
    while left >= 8 || word.leading_ones() < left {
        let step = step(word);
        let mut bits = u32::from(step.bits);
        if step.count == 0 {
            let (symbol, length) = long(word);
            if length > left {
                return Err(HpackError::BadPadding);
            }
            sink.put_long(symbol)?;
            bits = length;
        } else if bits <= left {
            sink.put(step.symbols, usize::from(step.count));
        } else {
            let [first, _] = step.symbols;
            bits = u32::from(length(first));
            if bits > left {
                return Err(HpackError::BadPadding);
            }
            sink.put(step.symbols, 1);
        }
        word <<= bits;
        left -= bits;
    }
    Ok(())
}

/// The bits of a byte's code.
fn length(byte: u8) -> u8 {
    LENGTHS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// How many bytes the string takes when encoded.
pub(super) fn encoded_len(plain: &[u8]) -> usize {
    plain.iter().map(|&byte| usize::from(length(byte))).sum::<usize>().div_ceil(8)
}

/// Appends the encoded string, [`encoded_len`] bytes.
pub(super) fn encode(plain: &[u8], out: &mut Vec<u8>) {
    // Fewer than 32 bits wait before each symbol, and none is longer than 30.
    let (mut word, mut waiting) = (0_u64, 0_u32);
    for &byte in plain {
        let code = TABLES.codes.get(usize::from(byte)).copied().unwrap_or_default();
        let bits = length(byte);
        word = (word << bits) | u64::from(code);
        waiting += u32::from(bits);
        if waiting >= 32 {
            waiting -= 32;
            #[expect(clippy::cast_possible_truncation, reason = "the oldest 32 bits that wait")]
            out.extend_from_slice(&((word >> waiting) as u32).to_be_bytes());
        }
    }
    if waiting > 0 {
        let padded = (word << (64 - waiting)) | (u64::MAX >> waiting);
        let bytes = padded.to_be_bytes();
        out.extend(bytes.iter().take(waiting.div_ceil(8) as usize));
    }
}
