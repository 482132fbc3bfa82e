//! Properties of HPACK over generated lines and blocks: what is encoded decodes to the same, through evictions, wraps
//! and changes of size; the table is the one of a plain model; another implementation reads and writes the same.

use proptest::prelude::*;
use std::collections::VecDeque;
use tulle_decide::hpack::{Decoder, Encoder, HpackError, Indexing, Line};
use tulle_decide::http::FieldKind;

type Pair = (Vec<u8>, Vec<u8>);
type Triple = (Vec<u8>, Vec<u8>, Indexing);

#[derive(Debug, Clone)]
enum Act {
    Line(Vec<u8>, Vec<u8>, Indexing),
    /// The block ends, and another one begins.
    Block,
    Limit(u32),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        ":authority",
        ":method",
        ":path",
        ":status",
        "accept-encoding",
        "content-type",
        "cookie",
        "te",
        "grpc-timeout",
        "x-a",
        "x-b",
        "x-request-id",
    ]);
    prop_oneof![
        6 => known.prop_map(|name| name.as_bytes().to_vec()),
        2 => "[a-c]{0,3}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec!["", "GET", "POST", "/", "200", "404", "gzip, deflate", "trailers"]);
    prop_oneof![
        3 => known.prop_map(|value| value.as_bytes().to_vec()),
        3 => "[ab]{0,2}".prop_map(String::into_bytes),
        2 => "[ -~]{0,60}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..60),
        1 => (0_usize..1500).prop_map(|len| vec![b'v'; len]),
    ]
}

fn indexing() -> impl Strategy<Value = Indexing> {
    prop_oneof![6 => Just(Indexing::Incremental), 1 => Just(Indexing::Without), 1 => Just(Indexing::Never)]
}

fn act() -> impl Strategy<Value = Act> {
    let limit = prop_oneof![Just(0_u32), Just(4096), 0_u32..400, 0_u32..6000];
    prop_oneof![
        12 => (name(), value(), indexing()).prop_map(|(name, value, indexing)| Act::Line(name, value, indexing)),
        3 => Just(Act::Block),
        1 => limit.prop_map(Act::Limit),
    ]
}

/// The blocks that come of it and the lines of each; sizes change between blocks only.
fn encoded(seed: u64, acts: &[Act]) -> Vec<(Vec<u8>, Vec<Triple>)> {
    let mut encoder = Encoder::new(seed);
    let mut blocks = Vec::new();
    let (mut out, mut lines, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for act in acts.iter().chain([&Act::Block]) {
        match act {
            Act::Line(name, value, indexing) => {
                encoder.encode(name, value, *indexing, &mut out);
                lines.push((name.clone(), value.clone(), *indexing));
            }
            Act::Limit(limit) => limits.push(*limit),
            Act::Block => {
                blocks.push((std::mem::take(&mut out), std::mem::take(&mut lines)));
                limits.drain(..).for_each(|limit| encoder.set_limit(limit));
                encoder.begin(&mut out);
            }
        }
    }
    blocks
}

fn decode(decoder: &mut Decoder, scratch: &mut Vec<u8>, block: &[u8]) -> Result<Vec<Pair>, HpackError> {
    let mut lines = Vec::new();
    let each = |line: Line<'_>| lines.push((line.name.to_vec(), line.value.to_vec()));
    decoder.decode(block, scratch, each)?;
    Ok(lines)
}

/// What is left of RFC 7541 when speed does not matter: sections 2.3.2, 4.3 and 4.4.
struct Model {
    entries: VecDeque<Pair>,
    limit: usize,
}

impl Model {
    fn evict(&mut self, wanted: usize) {
        let size =
            |entries: &VecDeque<Pair>| entries.iter().map(|(n, v)| n.len() + v.len() + 32).sum::<usize>();
        while !self.entries.is_empty() && size(&self.entries) + wanted > self.limit {
            self.entries.pop_back();
        }
    }

    fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + 32;
        self.evict(size);
        if size <= self.limit {
            self.entries.push_front((name.to_vec(), value.to_vec()));
        }
    }
}

fn integer(value: usize, prefix: u32, flags: u8, out: &mut Vec<u8>) {
    let full = (1_usize << prefix) - 1;
    out.push(flags | u8::try_from(value.min(full)).unwrap());
    let Some(mut left) = value.checked_sub(full) else { return };
    while left > 127 {
        out.push(u8::try_from(left % 128).unwrap() | 0x80);
        left /= 128;
    }
    out.push(u8::try_from(left).unwrap());
}

/// One representation of a generated block; indices are taken modulo what there is.
#[derive(Debug, Clone)]
enum Item {
    Indexed(usize),
    Named(usize, Vec<u8>, Indexing),
    New(Vec<u8>, Vec<u8>, Indexing),
    Update(u32),
}

fn item() -> impl Strategy<Value = Item> {
    let index = prop_oneof![0_usize..62, 60_usize..200];
    prop_oneof![
        3 => index.clone().prop_map(Item::Indexed),
        3 => (index, value(), indexing()).prop_map(|(index, value, indexing)| Item::Named(index, value, indexing)),
        4 => (name(), value(), indexing()).prop_map(|(name, value, indexing)| Item::New(name, value, indexing)),
        1 => prop_oneof![0_u32..5000, 4000_u32..20_000].prop_map(Item::Update),
    ]
}

fn string(plain: &[u8], out: &mut Vec<u8>) {
    integer(plain.len(), 7, 0, out);
    out.extend_from_slice(plain);
}

/// Writes it without any cleverness; returns false for an index that is in no table, which is then left out.
fn write(item: &Item, known: usize, out: &mut Vec<u8>) -> bool {
    let form = |indexing: &Indexing| match indexing {
        Indexing::Incremental => (6, 0x40),
        Indexing::Without => (4, 0),
        Indexing::Never => (4, 0x10),
    };
    match item {
        Item::Indexed(index) if *index == 0 || *index > known => return false,
        Item::Named(index, ..) if *index == 0 || *index > known => return false,
        Item::Indexed(index) => integer(*index, 7, 0x80, out),
        Item::Named(index, value, indexing) => {
            let (prefix, flags) = form(indexing);
            integer(*index, prefix, flags, out);
            string(value, out);
        }
        Item::New(name, value, indexing) => {
            out.push(form(indexing).1);
            string(name, out);
            string(value, out);
        }
        Item::Update(bytes) => integer(*bytes as usize, 5, 0x20, out),
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_encoded_decodes_to_the_same(seed: u64, acts in prop::collection::vec(act(), 0..150)) {
        let mut decoder = Decoder::new(4096);
        let mut other = fluke_hpack::Decoder::new();
        let mut scratch = Vec::new();
        for (block, lines) in encoded(seed, &acts) {
            let mut at = 0;
            let each = |line: Line<'_>| {
                let (name, value, indexing) = &lines[at];
                assert_eq!((line.name, line.value), (&name[..], &value[..]));
                assert_eq!(line.kind, FieldKind::of(name));
                // A secret stays one, and nothing else becomes one.
                assert_eq!(line.indexing == Indexing::Never, *indexing == Indexing::Never);
                at += 1;
            };
            decoder.decode(&block, &mut scratch, each).unwrap();
            prop_assert_eq!(at, lines.len());
            // The other one refuses a block of size updates alone, but does them.
            let theirs = other.decode(&block);
            if lines.is_empty() {
                prop_assert_eq!(theirs.is_err(), !block.is_empty());
            } else {
                let pairs: Vec<Pair> = lines.into_iter().map(|(name, value, _)| (name, value)).collect();
                prop_assert_eq!(theirs.unwrap(), pairs);
            }
        }
    }

    #[test]
    fn what_another_one_encodes_is_decoded(lists in prop::collection::vec(
        prop::collection::vec((name(), value()), 0..20), 0..20,
    )) {
        let mut encoder = fluke_hpack::Encoder::new();
        let mut decoder = Decoder::new(4096);
        let mut scratch = Vec::new();
        for list in lists {
            let block = encoder.encode(list.iter().map(|(name, value)| (&name[..], &value[..])));
            prop_assert_eq!(decode(&mut decoder, &mut scratch, &block).unwrap(), list);
        }
    }

    /// The decoder against a model of the table: every index, after every step.
    #[test]
    fn the_table_is_that_of_the_model(
        advertised in prop::sample::select(vec![4096, 16_384]),
        items in prop::collection::vec(item(), 1..200),
    ) {
        let mut model = Model { entries: VecDeque::new(), limit: 4096 };
        let mut decoder = Decoder::new(advertised);
        let mut scratch = Vec::new();
        for item in items {
            let mut block = Vec::new();
            if !write(&item, 61 + model.entries.len(), &mut block) {
                let (Item::Indexed(index) | Item::Named(index, ..)) = item else { unreachable!() };
                integer(index, 7, 0x80, &mut block);
                let error = HpackError::UnknownIndex { index: u32::try_from(index).unwrap() };
                prop_assert_eq!(decode(&mut decoder, &mut scratch, &block), Err(error));
                continue;
            }
            if let Item::Update(bytes) = item {
                let above = bytes > advertised;
                prop_assert_eq!(decode(&mut decoder, &mut scratch, &block).is_err(), above);
                if !above {
                    model.limit = bytes as usize;
                    model.evict(0);
                }
            } else {
                let lines = decode(&mut decoder, &mut scratch, &block).unwrap();
                let [(name, value)] = &lines[..] else { panic!("one line") };
                match &item {
                    Item::Indexed(index) if *index > 61 => prop_assert_eq!(&lines[0], &model.entries[index - 62]),
                    Item::Named(index, its, _) if *index > 61 => {
                        prop_assert_eq!((name, value), (&model.entries[index - 62].0, its));
                    }
                    Item::Named(_, its, _) => prop_assert_eq!(value, its),
                    Item::New(its_name, its, _) => prop_assert_eq!((name, value), (its_name, its)),
                    _ => {}
                }
                if let Item::Named(_, _, Indexing::Incremental) | Item::New(_, _, Indexing::Incremental) = &item {
                    model.insert(name, value);
                }
            }
            let mut all = Vec::new();
            for index in 62..62 + model.entries.len() {
                integer(index, 7, 0x80, &mut all);
            }
            let entries: Vec<Pair> = model.entries.iter().cloned().collect();
            prop_assert_eq!(decode(&mut decoder, &mut scratch, &all).unwrap(), entries);
        }
    }

    /// Broken blocks: both refuse, or both read the same lines.
    #[test]
    fn broken_blocks_are_judged_alike(
        blocks in prop::collection::vec(prop::collection::vec(item(), 0..12), 1..8),
        strikes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        coded in any::<bool>(),
    ) {
        let mut decoder = Decoder::new(4096);
        let mut other = fluke_hpack::Decoder::new();
        other.set_max_allowed_table_size(4096);
        let mut scratch = Vec::new();
        let last = blocks.len() - 1;
        for (i, items) in blocks.iter().enumerate() {
            let mut block = Vec::new();
            if coded {
                // Ours writes the Huffman code too.
                let mut encoder = Encoder::new(1);
                for item in items {
                    if let Item::New(name, value, _) = item {
                        encoder.encode(name, value, Indexing::Without, &mut block);
                    }
                }
            } else {
                let lines = items.iter().filter(|item| !matches!(item, Item::Update(_)));
                lines.for_each(|item| { write(item, 61, &mut block); });
            }
            if i == last && !block.is_empty() {
                for (index, byte) in &strikes {
                    let at = index.index(block.len());
                    block[at] = *byte;
                }
            }
            let ours = decode(&mut decoder, &mut scratch, &block);
            let theirs = other.decode(&block);
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Err(HpackError::LateUpdate | HpackError::TooManyUpdates | HpackError::IntegerTooLarge), _)
                | (Err(_), Err(_)) => return Ok(()),
                // They refuse a block that ends with an update.
                (Ok(ours), Err(fluke_hpack::decoder::DecoderError::SizeUpdateAtEnd)) => {
                    prop_assert_eq!(ours, Vec::<Pair>::new());
                }
                (ours, theirs) => prop_assert!(false, "{:?} against {:?}", ours, theirs),
            }
        }
    }
}
