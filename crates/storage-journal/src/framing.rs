//! From the steps of a plan to the frames of a group.

use storage::memory::plan::Step;

use crate::entry;
use crate::frame::{BadFrame, FrameKind};
use crate::group::GroupBuilder;

/// A META frame is closed at this size.
const META_BYTES: usize = 1 << 20;

/// A step with its place in the group: where its frame starts, and how long it is.
#[derive(Debug)]
pub(crate) struct Framed {
    pub(crate) step: Step,
    pub(crate) start: usize,
    pub(crate) length: usize,
}

/// Puts the frames of steps into a group.
///
/// # Errors
///
/// [`BadFrame`] when a frame is too long.
pub(crate) fn frame(
    group: &mut GroupBuilder,
    steps: Vec<Step>,
    framed: &mut Vec<Framed>,
) -> Result<(), BadFrame> {
    framed.reserve(steps.len());
    let mut steps = steps.into_iter().peekable();
    let mut images = Vec::new();
    while let Some(step) = steps.next() {
        let start = group.length();
        match &step {
            Step::Batch { volatile: true, .. } => {}
            Step::Batch { image, payload, epoch, .. } => {
                group.push(
                    (FrameKind::Data, 0, 1),
                    |_| {},
                    |out| {
                        entry::put_batch(out, image, |out| payload.write(out, image.base, *epoch));
                    },
                )?;
            }
            Step::Image(image) => {
                images.clear();
                entry::put_image(&mut images, image);
                let mut entries = 1;
                let mut after = Vec::new();
                while images.len() < META_BYTES
                    && let Some(step) = steps.next_if(is_image)
                {
                    if let Step::Image(image) = &step {
                        entry::put_image(&mut images, image);
                    }
                    entries += 1;
                    after.push(Framed { step, start, length: 0 });
                }
                let head = (FrameKind::Meta, 0, entries);
                group.push(head, |_| {}, |out| out.extend_from_slice(&images))?;
                framed.push(Framed { step, start, length: group.length() - start });
                framed.append(&mut after);
                continue;
            }
        }
        framed.push(Framed { step, start, length: group.length() - start });
    }
    Ok(())
}

fn is_image(step: &Step) -> bool {
    match step {
        Step::Image(_) => true,
        Step::Batch { .. } => false,
    }
}
