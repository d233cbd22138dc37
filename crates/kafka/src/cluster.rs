//! DescribeCluster: one node, which is broker and controller.

use kafka_codec::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_codec::messages::{DescribeClusterRequest, DescribeClusterResponse};
use kafka_codec::{ErrorCode, Text};

use crate::call::{Begun, Desk};

/// What anyone may do to the cluster, as a set of bits by operation number: there are no users yet.
const CLUSTER_OPERATIONS: i32 = 1 << 5 // create
    | 1 << 8 // describe
    | 1 << 10 // describe configs
    | 1 << 12; // idempotent write

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) fn describe(request: &DescribeClusterRequest, desk: &mut Desk<'_>) -> Begun {
    let mut response = DescribeClusterResponse {
        endpoint_type: request.endpoint_type,
        cluster_id: Text::from(desk.node().cluster_id.as_str()),
        ..Default::default()
    };
    if request.endpoint_type != BROKERS {
        let (code, text) = if request.endpoint_type == CONTROLLERS {
            (ErrorCode::MismatchedEndpointType, "this endpoint is a broker's")
        } else {
            (ErrorCode::UnsupportedEndpointType, "unknown endpoint type")
        };
        response.error_code = code.into();
        response.error_message = Some(text.into());
        return Begun::answer(response);
    }
    let (host, port) = desk.advertised();
    response.controller_id = desk.node().id;
    response.brokers = vec![DescribeClusterBroker {
        broker_id: desk.node().id,
        host: host.into(),
        port,
        ..Default::default()
    }];
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    Begun::answer(response)
}

/// The bits for Metadata up to version 10, which carried them before DescribeCluster did.
pub(crate) fn operations(asked: bool) -> i32 {
    if asked { CLUSTER_OPERATIONS } else { i32::MIN }
}
