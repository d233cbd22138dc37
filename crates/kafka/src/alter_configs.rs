//! AlterConfigs and IncrementalAlterConfigs: of topics alone; what holds for the node stands in its
//! file.
//!
//! First all topics are looked up, because what is not named stays as it is; then each is altered.

use kafka_codec::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_codec::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as Amended;
use kafka_codec::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use kafka_codec::{ErrorCode, Text};
use protocol::{Alter, Declared, Node, Reply, Request, Retention, StreamRef, StreamStatus};

use crate::call::{Begun, Call, Desk, Step};
use crate::metadata::is_topic_name;
use crate::refusal;
use crate::settings::{TOPIC, amend, reset, reset_all, set};

type Refused = (ErrorCode, String);

/// One change of a setting.
#[derive(Debug)]
struct Change {
    name: Text,
    how: How,
    value: Option<Text>,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Set,
    Reset,
    Add,
    Remove,
    Unknown(i8),
}

impl How {
    const fn of(operation: i8) -> Self {
        match operation {
            0 => Self::Set,
            1 => Self::Reset,
            2 => Self::Add,
            3 => Self::Remove,
            other => Self::Unknown(other),
        }
    }
}

/// One resource that is asked to be changed.
#[derive(Debug)]
struct Resource {
    kind: i8,
    name: Text,
    changes: Vec<Change>,
    /// What was wrong with it.
    refused: Option<Refused>,
}

#[derive(Debug)]
struct Altering {
    resources: Vec<Resource>,
    /// The resource that each look-up is of.
    places: Vec<usize>,
    /// What is not named goes back to its default.
    whole: bool,
    dry_run: bool,
    left: usize,
}

/// The index of the look-up; the ones before are of the resources.
const LOOK_UP: u32 = (1 << 24) - 1;

pub(crate) fn whole(request: AlterConfigsRequest, desk: &mut Desk<'_>) -> Begun {
    let resources = request.resources.into_iter().map(|resource| {
        let changes = resource.configs.into_iter();
        let change = |one: kafka_codec::messages::alter_configs_request::AlterableConfig| Change {
            name: one.name,
            how: if one.value.is_some() { How::Set } else { How::Reset },
            value: one.value,
        };
        (resource.resource_type, resource.resource_name, changes.map(change).collect())
    });
    begin(resources.collect(), true, request.validate_only, desk)
}

pub(crate) fn incremental(request: IncrementalAlterConfigsRequest, desk: &mut Desk<'_>) -> Begun {
    let resources = request.resources.into_iter().map(|resource| {
        let changes = resource.configs.into_iter().map(|one| Change {
            name: one.name,
            how: How::of(one.config_operation),
            value: one.value,
        });
        (resource.resource_type, resource.resource_name, changes.collect())
    });
    begin(resources.collect(), false, request.validate_only, desk)
}

fn begin(
    named: Vec<(i8, Text, Vec<Change>)>,
    whole: bool,
    dry_run: bool,
    desk: &mut Desk<'_>,
) -> Begun {
    let mut resources: Vec<Resource> = Vec::with_capacity(named.len());
    for (kind, name, changes) in named {
        let refused = if kind != TOPIC {
            let text = "only topics can be changed; the broker has a configuration file";
            Some((ErrorCode::InvalidRequest, text.to_owned()))
        } else if !is_topic_name(name.as_bytes()) {
            let text = "no topic has this name";
            Some((ErrorCode::InvalidTopicException, text.to_owned()))
        } else {
            None
        };
        resources.push(Resource { kind, name, changes, refused });
    }
    let mut names: Vec<(&Text, usize)> =
        resources.iter().enumerate().map(|(at, resource)| (&resource.name, at)).collect();
    names.sort_unstable();
    let twice: Vec<usize> = names
        .windows(2)
        .filter_map(|pair| match pair {
            [(first, _), (second, at)] if first == second => Some(*at),
            _ => None,
        })
        .collect();
    for at in twice {
        if let Some(resource) = resources.get_mut(at) {
            let text = "the request names this resource twice".to_owned();
            resource.refused = Some((ErrorCode::InvalidRequest, text));
        }
    }
    let places: Vec<usize> = (0..resources.len())
        .filter(|at| resources.get(*at).is_some_and(|resource| resource.refused.is_none()))
        .collect();
    let streams: Vec<StreamRef> = places
        .iter()
        .filter_map(|at| resources.get(*at))
        .map(|resource| StreamRef::Name(resource.name.bytes().clone()))
        .collect();
    let mut altering = Altering { resources, places, whole, dry_run, left: 0 };
    if streams.is_empty() {
        return Begun::Ended(altering.answer());
    }
    desk.ask(LOOK_UP, Request::DescribeStreams { streams: Some(streams), create: false });
    Begun::waiting(altering)
}

impl Call for Altering {
    fn reply(&mut self, index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        if index == LOOK_UP {
            let streams = if let Reply::Streams(streams) = reply { streams } else { Vec::new() };
            return self.found(streams, desk);
        }
        let Some(resource) = self.resources.get_mut(index as usize) else { return Step::Wait };
        if !matches!(reply, Reply::Declared(Declared::Stream(_))) {
            let refused = refusal::of(reply);
            let stream = StreamRef::Name(resource.name.bytes().clone());
            let text = refusal::message(&refused).unwrap_or_else(|| refused.to_string());
            resource.refused = Some((refusal::config_code(&refused, &stream), text));
        }
        self.left -= 1;
        if self.left == 0 { self.answer() } else { Step::Wait }
    }
}

impl Altering {
    fn found(&mut self, streams: Vec<StreamStatus>, desk: &mut Desk<'_>) -> Step {
        let mut streams = streams.into_iter();
        for at in std::mem::take(&mut self.places) {
            let Some(resource) = self.resources.get_mut(at) else { continue };
            let name = StreamRef::Name(resource.name.bytes().clone());
            let changed = match streams.next() {
                Some(StreamStatus { refused: Some(refused), .. }) => {
                    Err((refusal::code(&refused, &name), "no such topic".to_owned()))
                }
                Some(status) => change(status.retention, resource, self.whole, desk.node()),
                None => Err((ErrorCode::KafkaStorageError, "the topic cannot be read".to_owned())),
            };
            match changed {
                Ok(retention) => {
                    let index = u32::try_from(at).unwrap_or(u32::MAX);
                    let alter = Alter { stream: name, retention, dry_run: self.dry_run };
                    desk.ask(index, Request::Alter(alter));
                    self.left += 1;
                }
                Err(refused) => resource.refused = Some(refused),
            }
        }
        if self.left == 0 { self.answer() } else { Step::Wait }
    }

    fn answer(&mut self) -> Step {
        let resources = std::mem::take(&mut self.resources);
        let parts = resources.into_iter().map(|resource| {
            let (code, text) = match resource.refused {
                Some((code, text)) => (code.into(), Some(Text::from(text))),
                None => (0, None),
            };
            (code, text, resource.kind, resource.name)
        });
        if self.whole {
            let responses =
                parts.map(|(error_code, error_message, resource_type, resource_name)| {
                    AlterConfigsResourceResponse {
                        error_code,
                        error_message,
                        resource_type,
                        resource_name,
                    }
                });
            let responses = responses.collect();
            return Step::answer(AlterConfigsResponse { responses, ..Default::default() });
        }
        let responses = parts.map(|(error_code, error_message, resource_type, resource_name)| {
            Amended { error_code, error_message, resource_type, resource_name }
        });
        let responses = responses.collect();
        Step::answer(IncrementalAlterConfigsResponse { responses, ..Default::default() })
    }
}

/// What a topic keeps after the changes.
fn change(
    mut keep: Retention,
    resource: &Resource,
    whole: bool,
    node: &Node,
) -> Result<Retention, Refused> {
    if whole {
        reset_all(&mut keep);
    }
    for Change { name, how, value } in &resource.changes {
        let changed = match (how, value) {
            (How::Set, Some(value)) => set(name, value, node, &mut keep),
            (How::Reset, _) => reset(name, node, &mut keep),
            (How::Add, Some(value)) => amend(name, value, true, &mut keep),
            (How::Remove, Some(value)) => amend(name, value, false, &mut keep),
            (How::Set | How::Add | How::Remove, None) => Err(format!("{name} needs a value")),
            (How::Unknown(operation), _) => {
                let text = format!("there is no operation {operation}");
                return Err((ErrorCode::InvalidRequest, text));
            }
        };
        changed.map_err(|text| (ErrorCode::InvalidConfig, text))?;
    }
    Ok(keep)
}
