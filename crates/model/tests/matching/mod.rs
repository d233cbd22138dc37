//! Subjects and filters over a small alphabet, and the plainest matcher there can be.

use bytes::Bytes;
use model::filter::{Filter, FilterToken, Reach};
use model::subject::Subject;
use proptest::prelude::*;

/// Tokens that sort around the separator, with a private one, an inbox and the empty one.
const TOKENS: [&str; 8] = ["a", "b", "", "a!", "$x", "_INBOX", "_INBOX!", "~"];

pub(crate) fn subject() -> impl Strategy<Value = Subject> {
    prop::collection::vec(prop::sample::select(&TOKENS[..]), 0..6)
        .prop_map(|tokens| Subject::from_tokens(tokens).unwrap_or_default())
}

/// Filters of all five kinds of tokens and of every reach.
pub(crate) fn filter() -> impl Strategy<Value = Filter> {
    let token = prop_oneof![
        2 => prop::sample::select(&TOKENS[..]),
        2 => Just("+"),
        1 => Just("#"),
    ];
    let reach = prop::sample::select(vec![Reach::All, Reach::Public, Reach::Inboxes]);
    (prop::collection::vec(token, 0..6), reach).prop_map(|(tokens, reach)| {
        let mut stored = vec![reach as u8];
        stored.extend_from_slice(tokens.join("/").as_bytes());
        let filter = Filter::from_bytes(&Bytes::from(stored.clone())).unwrap_or_else(|_| {
            // It begins with a literal token, which has one reach only.
            stored[0] = Reach::All as u8;
            Filter::from_bytes(&Bytes::from(stored)).unwrap()
        });
        filter.with_reach(reach)
    })
}

/// Whether the filter matches, said as plainly as possible.
pub(crate) fn plainly_matches(filter: &Filter, subject: &Subject) -> bool {
    let pattern: Vec<_> = filter.tokens().collect();
    let tokens: Vec<_> = subject.tokens().collect();
    let wild = !matches!(pattern.first(), None | Some(FilterToken::Literal(_)));
    if let (true, Some(first)) = (wild, tokens.first()) {
        let private = first.starts_with(b"$");
        let inbox = *first == b"_INBOX";
        match filter.reach() {
            Reach::Public if private || inbox => return false,
            Reach::Inboxes if private => return false,
            Reach::All | Reach::Public | Reach::Inboxes => {}
        }
    }
    tail_matches(&pattern, &tokens)
}

fn tail_matches(pattern: &[FilterToken<'_>], tokens: &[&[u8]]) -> bool {
    let Some((kind, rest)) = pattern.split_first() else { return tokens.is_empty() };
    match kind {
        FilterToken::Literal(literal) => {
            tokens.first() == Some(literal) && tail_matches(rest, &tokens[1..])
        }
        FilterToken::One => !tokens.is_empty() && tail_matches(rest, &tokens[1..]),
        FilterToken::TailZero => true,
        FilterToken::TailOne => !tokens.is_empty(),
        FilterToken::AnyZero => (0..=tokens.len()).any(|n| tail_matches(rest, &tokens[n..])),
    }
}
