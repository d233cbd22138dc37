//! From a recovered group to the state.

use storage::memory::image::{BatchImage, Image};
use storage::memory::state::State;

use crate::entry;
use crate::frame::FrameKind;
use crate::recovery::RecoveredGroup;
use crate::view::Spot;

/// Applies one recovered group.
pub(crate) fn replay(state: &mut State<Spot>, group: &RecoveredGroup) -> Result<(), String> {
    let segment = u32::try_from(group.segment).map_err(|error| error.to_string())?;
    let known = state.knows(group.lsn);
    state.begin(group.lsn);
    for frame in &group.frames {
        match frame.kind {
            FrameKind::Data => {
                let image: BatchImage =
                    entry::batch(frame, group.clock_ms).map_err(|e| e.to_string())?;
                let position = u32::try_from(group.position + frame.at as u64);
                let position = position.map_err(|error| error.to_string())?;
                let length = u32::try_from(frame.length).map_err(|error| error.to_string())?;
                let spot = Spot::Disk { segment, position, length };
                match known {
                    true => state.place_known(&image, spot),
                    false => state.apply_batch(&image, spot),
                }
            }
            FrameKind::Meta if known => {}
            FrameKind::Meta => {
                let images: Vec<Image> = entry::images(frame).map_err(|error| error.to_string())?;
                images.iter().for_each(|image| state.apply(image));
            }
            FrameKind::Raft | FrameKind::Checkpoint | FrameKind::Seal => {
                return Err(format!("frames of the kind {:?} need a newer version", frame.kind));
            }
        }
    }
    Ok(())
}
