//! Every method against a second table of the specification, written by hand here: the test packs
//! arguments with an encoder of its own, and the bytes must survive decode and encode unchanged.

use amqp_codec::{Frame, Limits, decode};
use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

/// Class, method, arguments: `o` octet, `w` short, `l` long, `q` long long, `s` short string,
/// `S` long string, `b` bit, `t` table.
const SHAPES: &[(u16, u16, &str)] = &[
    (10, 10, "ootSS"),
    (10, 11, "tsSs"),
    (10, 20, "S"),
    (10, 21, "S"),
    (10, 30, "wlw"),
    (10, 31, "wlw"),
    (10, 40, "ssb"),
    (10, 41, "s"),
    (10, 50, "wsww"),
    (10, 51, ""),
    (10, 60, "s"),
    (10, 61, ""),
    (10, 70, "Ss"),
    (10, 71, ""),
    (20, 10, "s"),
    (20, 11, "S"),
    (20, 20, "b"),
    (20, 21, "b"),
    (20, 40, "wsww"),
    (20, 41, ""),
    (30, 10, "sbbbbb"),
    (30, 11, "w"),
    (40, 10, "wssbbbbbt"),
    (40, 11, ""),
    (40, 20, "wsbb"),
    (40, 21, ""),
    (40, 30, "wsssbt"),
    (40, 31, ""),
    (40, 40, "wsssbt"),
    (40, 51, ""),
    (50, 10, "wsbbbbbt"),
    (50, 11, "sll"),
    (50, 20, "wsssbt"),
    (50, 21, ""),
    (50, 30, "wsb"),
    (50, 31, "l"),
    (50, 40, "wsbbb"),
    (50, 41, "l"),
    (50, 50, "wssst"),
    (50, 51, ""),
    (60, 10, "lwb"),
    (60, 11, ""),
    (60, 20, "wssbbbbt"),
    (60, 21, "s"),
    (60, 30, "sb"),
    (60, 31, "s"),
    (60, 40, "wssbb"),
    (60, 50, "wsss"),
    (60, 60, "sqbss"),
    (60, 70, "wsb"),
    (60, 71, "qbssl"),
    (60, 72, "s"),
    (60, 80, "qb"),
    (60, 90, "qb"),
    (60, 100, "b"),
    (60, 110, "b"),
    (60, 111, ""),
    (60, 120, "qbb"),
    (85, 10, "b"),
    (85, 11, ""),
    (90, 10, ""),
    (90, 11, ""),
    (90, 20, ""),
    (90, 21, ""),
    (90, 30, ""),
    (90, 31, ""),
];

/// Where the test gets its argument values from.
struct Dice<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl Dice<'_> {
    fn octet(&mut self) -> u8 {
        *self.0.next().expect("never ends")
    }
}

fn arguments(shape: &str, dice: &mut Dice<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bits = 0;
    for letter in shape.chars() {
        if letter == 'b' {
            if bits % 8 == 0 {
                out.push(0);
            }
            *out.last_mut().expect("pushed") |= (dice.octet() & 1) << (bits % 8);
            bits += 1;
            continue;
        }
        bits = 0;
        match letter {
            'o' => out.push(dice.octet()),
            'w' => (0..2).for_each(|_| out.push(dice.octet())),
            'l' => (0..4).for_each(|_| out.push(dice.octet())),
            'q' => (0..8).for_each(|_| out.push(dice.octet())),
            's' => {
                let len = dice.octet();
                out.push(len);
                (0..len).for_each(|_| out.push(dice.octet()));
            }
            'S' => {
                let len = u32::from(dice.octet()) * 3;
                out.put_u32(len);
                (0..len).for_each(|_| out.push(dice.octet()));
            }
            't' => {
                let mut inside = Vec::new();
                for _ in 0..dice.octet() % 4 {
                    inside.push(1);
                    inside.push(dice.octet());
                    inside.push(b'I');
                    (0..4).for_each(|_| inside.push(dice.octet()));
                }
                out.put_u32(u32::try_from(inside.len()).expect("small"));
                out.extend_from_slice(&inside);
            }
            other => panic!("no such letter: {other}"),
        }
    }
    out
}

fn frame(channel: u16, class_id: u16, method_id: u16, arguments: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    out.put_u8(1);
    out.put_u16(channel);
    out.put_u32(u32::try_from(arguments.len() + 4).expect("small"));
    out.put_u16(class_id);
    out.put_u16(method_id);
    out.put_slice(arguments);
    out.put_u8(0xCE);
    out
}

proptest! {
    #[test]
    fn every_method_survives_decode_and_encode(
        at in 0..SHAPES.len(),
        channel in any::<u16>(),
        dice in proptest::collection::vec(any::<u8>(), 1..64),
    ) {
        let (class_id, method_id, shape) = SHAPES[at];
        let bytes = frame(channel, class_id, method_id, &arguments(shape, &mut Dice(dice.iter().cycle())));
        let mut buffer = bytes.clone();
        let decoded = decode(&mut buffer, &Limits::default()).expect("valid").expect("complete");
        prop_assert!(buffer.is_empty());
        let Frame::Method { channel: decoded_channel, ref method } = decoded else {
            panic!("a method frame")
        };
        prop_assert_eq!(decoded_channel, channel);
        prop_assert_eq!(method.id(), (class_id, method_id));
        let mut again = BytesMut::new();
        decoded.encode(&mut again);
        prop_assert_eq!(again, bytes);
    }

    #[test]
    fn arguments_that_are_cut_short_or_too_long_are_a_syntax_error(
        at in 0..SHAPES.len(),
        dice in proptest::collection::vec(any::<u8>(), 1..64),
        cut in any::<prop::sample::Index>(),
    ) {
        let (class_id, method_id, shape) = SHAPES[at];
        let mut wrong = arguments(shape, &mut Dice(dice.iter().cycle()));
        if wrong.is_empty() {
            wrong.push(0);
        } else {
            wrong.truncate(cut.index(wrong.len()));
        }
        let mut buffer = frame(1, class_id, method_id, &wrong);
        let fault = decode(&mut buffer, &Limits::default()).expect_err("cut");
        prop_assert_eq!(fault.code.number(), 502);
        prop_assert_eq!((fault.class_id, fault.method_id), (class_id, method_id));
    }
}

#[test]
fn the_table_has_every_method_once_and_no_others_exist() {
    let known = |id| SHAPES.iter().filter(|shape| (shape.0, shape.1) == id).count();
    for class_id in 0..120 {
        for method_id in 0..150 {
            let mut buffer = frame(1, class_id, method_id, &[0; 3]);
            let outcome = decode(&mut buffer, &Limits::default());
            let exists = outcome.map_or_else(|fault| fault.code.number() != 503, |_| true);
            assert_eq!(known((class_id, method_id)), usize::from(exists), "{class_id}.{method_id}");
        }
    }
}
