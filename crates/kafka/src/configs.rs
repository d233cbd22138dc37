//! DescribeConfigs.

use kafka_codec::messages::describe_configs_request::DescribeConfigsResource;
use kafka_codec::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_codec::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_codec::{ErrorCode, Text};
use protocol::{Node, Reply, Request, StreamRef, StreamStatus};

use crate::call::{Begun, Call, Desk, Step};
use crate::metadata::is_topic_name;
use crate::refusal;
use crate::settings::{BROKER, DEFAULT, Setting, TOPIC, of_node, of_topic};

#[derive(Debug)]
struct Waiting {
    request: DescribeConfigsRequest,
}

pub(crate) fn describe(request: DescribeConfigsRequest, desk: &mut Desk<'_>) -> Begun {
    let streams: Vec<StreamRef> = request
        .resources
        .iter()
        .filter(|resource| is_topic(resource))
        .map(|resource| StreamRef::Name(resource.resource_name.bytes().clone()))
        .collect();
    if streams.is_empty() {
        return Begun::answer(answer(&request, Vec::new(), desk.node()));
    }
    desk.ask(0, Request::DescribeStreams { streams: Some(streams), create: false });
    Begun::waiting(Waiting { request })
}

impl Call for Waiting {
    fn reply(&mut self, _index: u32, reply: Reply, desk: &mut Desk<'_>) -> Step {
        let streams = if let Reply::Streams(streams) = reply { streams } else { Vec::new() };
        Step::answer(answer(&self.request, streams, desk.node()))
    }
}

/// Whether the resource is a topic that there may be.
fn is_topic(resource: &DescribeConfigsResource) -> bool {
    resource.resource_type == TOPIC && is_topic_name(resource.resource_name.as_bytes())
}

/// Answers each resource; `streams` are those of the topics among them, in order.
fn answer(
    request: &DescribeConfigsRequest,
    streams: Vec<StreamStatus>,
    node: &Node,
) -> DescribeConfigsResponse {
    let mut streams = streams.into_iter();
    let mut results = Vec::with_capacity(request.resources.len());
    for resource in &request.resources {
        let settings = if is_topic(resource) {
            let stream = StreamRef::Name(resource.resource_name.bytes().clone());
            match streams.next() {
                Some(StreamStatus { refused: Some(refused), .. }) => {
                    Err((refusal::code(&refused, &stream), "no such topic"))
                }
                Some(status) => Ok(of_topic(&status, node)),
                None => Err((ErrorCode::KafkaStorageError, "the topic cannot be read")),
            }
        } else {
            match resource.resource_type {
                TOPIC => Err((ErrorCode::InvalidTopicException, "no topic has this name")),
                BROKER => broker(&resource.resource_name, node),
                _ => Err((ErrorCode::InvalidRequest, "only topics and the broker have configs")),
            }
        };
        results.push(result(request, resource, settings));
    }
    DescribeConfigsResponse { results, ..Default::default() }
}

/// The settings of a broker by its number; the empty name means what all brokers default to, of
/// which nothing is set.
fn broker(name: &str, node: &Node) -> Result<Vec<Setting>, (ErrorCode, &'static str)> {
    if name.is_empty() {
        Ok(Vec::new())
    } else if name.parse() == Ok(node.id) {
        Ok(of_node(node))
    } else {
        Err((ErrorCode::InvalidRequest, "there is no broker of this number"))
    }
}

fn result(
    request: &DescribeConfigsRequest,
    resource: &DescribeConfigsResource,
    settings: Result<Vec<Setting>, (ErrorCode, &'static str)>,
) -> DescribeConfigsResult {
    let mut result = DescribeConfigsResult {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        ..Default::default()
    };
    match settings {
        Err((code, text)) => {
            result.error_code = code.into();
            result.error_message = Some(Text::from_static(text));
        }
        Ok(settings) => {
            let wanted = |setting: &Setting| match &resource.configuration_keys {
                Some(keys) => keys.iter().any(|key| *key == setting.name),
                None => true,
            };
            result.configs = settings
                .into_iter()
                .filter(wanted)
                .map(|setting| described(setting, request))
                .collect();
        }
    }
    result
}

fn described(setting: Setting, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let value = Some(Text::from(setting.value));
    let mut synonyms = Vec::new();
    if request.include_synonyms {
        // The first synonym is where the value comes from.
        let name = match (setting.source, setting.inherits) {
            (DEFAULT, Some(inherited)) => inherited,
            _ => setting.name,
        };
        synonyms.push(DescribeConfigsSynonym {
            name: Text::from_static(name),
            value: value.clone(),
            source: setting.source,
        });
    }
    DescribeConfigsResourceResult {
        name: Text::from_static(setting.name),
        value,
        read_only: setting.read_only,
        config_source: setting.source,
        is_sensitive: false,
        synonyms,
        config_type: setting.kind,
        documentation: request.include_documentation.then(|| Text::from_static(setting.about)),
    }
}
