//! Names that the server makes up: queues, consumer tags, reply addresses.

use bytes::Bytes;
use model::subject::Subject;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A source of unpredictable names; one per connection.
#[derive(Debug)]
pub(crate) struct Names(u64);

impl Names {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// `amq.gen-JzTY20BRgKO-HjmUJj0wLg`
    pub(crate) fn queue(&mut self) -> Bytes {
        Bytes::from(format!("amq.gen-{}", self.token()))
    }

    /// `amq.ctag-JzTY20BRgKO-HjmUJj0wLg`
    pub(crate) fn consumer(&mut self) -> Bytes {
        Bytes::from(format!("amq.ctag-{}", self.token()))
    }

    /// An address of the shared space that answers come to, live only.
    pub(crate) fn reply(&mut self) -> Subject {
        Subject::from_canonical(Bytes::from(format!("_INBOX/amqp/{}", self.token())))
            .expect("letters, digits, dashes and underscores under a fixed prefix")
    }

    /// 128 bits as 22 characters.
    fn token(&mut self) -> String {
        let bits = u128::from(self.next()) << 64 | u128::from(self.next());
        (0..22)
            .map(|at| {
                let sextet = (bits >> (6 * at)) as usize & 63;
                char::from(ALPHABET.get(sextet).copied().unwrap_or(b'A'))
            })
            .collect()
    }

    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_have_rabbitmqs_form() {
        let mut names = Names::new(7);
        let first = names.queue();
        assert!(first.starts_with(b"amq.gen-"));
        assert_eq!(first.len(), 30);
        assert_ne!(first, names.queue());
        assert_ne!(Names::new(8).queue(), first);
        assert!(names.reply().is_inbox());
    }
}
