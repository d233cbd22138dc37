//! Names of resting files (storage rule 26).

use std::fmt;

/// Names one resting file for ever: a boot of the data folder and a sequence within it.
///
/// The boot counter is synced before the first file of a boot is created, so no crash makes an id
/// come twice, and caches may key on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// Digits of an id in a file name.
const DIGITS: usize = 20;

impl FileId {
    /// The id of the `sequence`-th file of a boot.
    pub fn new(boot: u32, sequence: u32) -> Self {
        Self(u64::from(boot) << 32 | u64::from(sequence))
    }

    /// The boot in which the file was made.
    pub fn boot(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Its number within the boot.
    pub fn sequence(self) -> u32 {
        self.0 as u32
    }

    /// Reads back what `Display` writes: 20 digits, nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { text.parse().ok().map(Self) } else { None }
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:0DIGITS$}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_boot_and_sequence_and_reads_back_from_its_name() {
        let id = FileId::new(7, 9);
        assert_eq!((id.boot(), id.sequence()), (7, 9));
        assert_eq!(id.to_string(), "00000000030064771081");
        assert_eq!(FileId::parse(&id.to_string()), Some(id));
        assert_eq!(FileId::parse(&FileId(u64::MAX).to_string()), Some(FileId(u64::MAX)));
        for wrong in
            ["", "7", "+0000000030064771081", "99999999999999999999", "0000000003006477108x"]
        {
            assert_eq!(FileId::parse(wrong), None, "{wrong}");
        }
        assert!(FileId::new(1, u32::MAX) < FileId::new(2, 0), "later boots sort after");
    }
}
