//! The name of a log's only subject: a short one without an allocation.

use std::borrow::Cow;

use bytes::Bytes;
use model::subject::Subject;

/// So that a name takes 24 bytes.
const SHORT_MAX: usize = 22;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Name(Form);

#[derive(Debug)]
enum Form {
    Short { length: u8, text: [u8; SHORT_MAX] },
    Long(Box<Subject>),
}

impl Name {
    pub(super) fn of(subject: &Subject) -> Self {
        let bytes = subject.as_bytes();
        let mut text = [0; SHORT_MAX];
        Self(match (text.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(bytes);
                Form::Short { length, text }
            }
            _ => Form::Long(Box::new(subject.detached())),
        })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Short { length, text } => text.get(..usize::from(*length)).unwrap_or_default(),
            Form::Long(subject) => subject.as_bytes(),
        }
    }

    /// Whether it has an allocation.
    pub(super) fn is_long(&self) -> bool {
        matches!(self.0, Form::Long(_))
    }

    /// The subject; a short one is made anew.
    pub(super) fn subject(&self) -> Cow<'_, Subject> {
        match &self.0 {
            Form::Short { .. } => {
                let name = Bytes::copy_from_slice(self.as_bytes());
                Cow::Owned(Subject::from_canonical(name).expect("it was one"))
            }
            Form::Long(subject) => Cow::Borrowed(subject),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_subject_that_it_was_made_of() {
        for length in [0, 1, SHORT_MAX, SHORT_MAX + 1, 1000] {
            let subject = Subject::from_canonical("x".repeat(length).into()).unwrap();
            let name = Name::of(&subject);
            assert_eq!(name.as_bytes(), subject.as_bytes());
            assert_eq!(*name.subject(), subject);
        }
        assert_eq!(size_of::<Name>(), 24);
    }
}
