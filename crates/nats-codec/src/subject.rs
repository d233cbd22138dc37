//! Which subjects and wildcards the protocol allows.
//!
//! Tokens are separated by `.`, not empty, and hold no blank or line end. `*` alone is any one
//! token, `>` alone at the end is one or more; inside a longer token both are literal.

/// Whether `subject` may be published to by a pedantic client: valid and free of wildcards.
#[must_use]
pub fn is_literal(subject: &[u8]) -> bool {
    is_valid(subject)
        && !subject.split(|byte| *byte == b'.').any(|token| matches!(token, b"*" | b">"))
}

/// Whether `subject` may be subscribed to.
#[must_use]
pub fn is_valid(subject: &[u8]) -> bool {
    let mut tokens = subject.split(|byte| *byte == b'.').peekable();
    while let Some(token) = tokens.next() {
        let last = tokens.peek().is_none();
        if !is_token(token) || (token == b">" && !last) {
            return false;
        }
    }
    true
}

/// Whether `name` may be a queue group: like a subject without wildcards meaning anything.
#[must_use]
pub fn is_queue(name: &[u8]) -> bool {
    is_token(name)
}

fn is_token(token: &[u8]) -> bool {
    !token.is_empty()
        && !token.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | 0))
}

#[cfg(test)]
mod tests {
    use super::{is_literal, is_valid};

    #[test]
    fn wildcards_stand_alone_and_the_tail_stands_last() {
        for good in ["a", "a.b", "*", ">", "a.*", "a.>", "*.b.>", "a*", "a>", "$SYS.x", "a.>b"] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", ">.a", "a.>.b", "a b", "a\tb", "a\0"] {
            assert!(!is_valid(bad.as_bytes()), "{bad:?}");
        }
    }

    #[test]
    fn a_literal_subject_has_no_wildcard_tokens() {
        for good in ["a", "a.b", "a*", "a>b.c"] {
            assert!(is_literal(good.as_bytes()), "{good}");
        }
        for bad in ["*", ">", "a.*.c", "a.>", "a..b", ""] {
            assert!(!is_literal(bad.as_bytes()), "{bad:?}");
        }
    }
}
