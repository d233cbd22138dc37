//! Random messages of any kind and version, for tests.
//!
//! A sample holds only what its version can hold, so it survives a round trip unchanged.

use bytes::Bytes;

use crate::wire::{Records, Text, Uuid};

/// A seeded source of values for one version.
#[derive(Debug)]
pub struct Sampler {
    state: u64,
    version: i16,
}

/// A type of which there are random values.
pub trait Sample: Sized {
    /// A random value that `sampler`'s version can hold.
    fn sample(sampler: &mut Sampler) -> Self;
}

impl Sampler {
    /// The same seed and version give the same values.
    pub const fn new(seed: u64, version: i16) -> Self {
        Self { state: seed, version }
    }

    /// The version that values are for.
    pub const fn version(&self) -> i16 {
        self.version
    }

    /// A random value.
    pub fn draw<T: Sample>(&mut self) -> T {
        T::sample(self)
    }

    /// A random value, or none one time in four.
    pub fn draw_nullable<T: Sample>(&mut self) -> Option<T> {
        (!self.bits().is_multiple_of(4)).then(|| T::sample(self))
    }

    /// The next 64 random bits (SplitMix64).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Small numbers often, edges sometimes, anything else else.
    fn number(&mut self) -> i64 {
        let bits = self.bits();
        let value = i64::from_ne_bytes(self.bits().to_ne_bytes());
        match bits % 8 {
            0..=3 => value.rem_euclid(8),
            4 => -1,
            5 => i64::MIN,
            6 => i64::MAX,
            _ => value,
        }
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Sample for $number {
            fn sample(sampler: &mut Sampler) -> Self {
                let wide = sampler.number();
                wide.clamp(<$number>::MIN.into(), <$number>::MAX.into())
                    .try_into()
                    .expect("clamped to its range")
            }
        }
    )*};
}

numbers!(i8, i16, i32, i64);

impl Sample for bool {
    fn sample(sampler: &mut Sampler) -> Self {
        sampler.bits().is_multiple_of(2)
    }
}

impl Sample for Uuid {
    fn sample(sampler: &mut Sampler) -> Self {
        match sampler.bits() % 4 {
            0 => Self::ZERO,
            _ => {
                Self((u128::from(sampler.bits()) << 64 | u128::from(sampler.bits())).to_be_bytes())
            }
        }
    }
}

impl Sample for Text {
    fn sample(sampler: &mut Sampler) -> Self {
        match sampler.bits() % 8 {
            0 => Self::default(),
            1 => Self::from("äöü ∑ 🦀"),
            2 => Self::from("x".repeat(300)),
            bits => Self::from(format!("name-{}", bits % 5)),
        }
    }
}

impl Sample for Bytes {
    fn sample(sampler: &mut Sampler) -> Self {
        let length = match sampler.bits() % 16 {
            0 => 0,
            1 => 5000,
            bits => bits * 7,
        };
        (0..length).map(|_| sampler.bits().to_le_bytes()[0]).collect()
    }
}

impl Sample for Records {
    fn sample(sampler: &mut Sampler) -> Self {
        sampler.draw::<Bytes>().into()
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(sampler: &mut Sampler) -> Self {
        let count = sampler.bits() % 4;
        (0..count).map(|_| sampler.draw()).collect()
    }
}
