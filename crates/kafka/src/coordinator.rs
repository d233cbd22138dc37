//! FindCoordinator and InitProducerId.
//!
//! Groups are coordinated by the node that is asked. Transactions are not spoken: a transactional
//! id is refused with a code that every client takes as the end, not as something to retry.

use kafka_codec::messages::find_coordinator_response::Coordinator;
use kafka_codec::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse,
};
use kafka_codec::{ErrorCode, Text};
use protocol::{Reply, Request};

use crate::call::{Begun, Call, Desk, Step};

/// What is said to a transactional id.
pub(crate) const TRANSACTION_CODE: ErrorCode = ErrorCode::TransactionalIdAuthorizationFailed;
/// The same in words.
pub(crate) const TRANSACTION_TEXT: Text = Text::from_static("transactions are not supported");

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// The first version with a list of keys (KIP-699).
const FIRST_BATCHED: i16 = 4;

pub(crate) fn find(request: FindCoordinatorRequest, desk: &mut Desk<'_>) -> Begun {
    let refused = match request.key_type {
        GROUP => None,
        TRANSACTION => Some((TRANSACTION_CODE, TRANSACTION_TEXT)),
        _ => Some((ErrorCode::InvalidRequest, Text::from_static("unknown type of key"))),
    };
    let (host, port) = desk.advertised();
    let host = Text::from(host);
    let node_id = desk.node().id;
    let coordinator = |key: Text| match &refused {
        None => Coordinator { key, node_id, host: host.clone(), port, ..Default::default() },
        Some((code, text)) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: code.number(),
            error_message: Some(text.clone()),
            ..Default::default()
        },
    };
    if desk.version() >= FIRST_BATCHED {
        let coordinators = request.coordinator_keys.into_iter().map(coordinator).collect();
        return Begun::answer(FindCoordinatorResponse { coordinators, ..Default::default() });
    }
    let only = coordinator(request.key);
    Begun::answer(FindCoordinatorResponse {
        error_code: only.error_code,
        error_message: only.error_message,
        node_id: only.node_id,
        host: only.host,
        port: only.port,
        ..Default::default()
    })
}

#[derive(Debug)]
struct Producer;

pub(crate) fn init_producer(request: &InitProducerIdRequest, desk: &mut Desk<'_>) -> Begun {
    if request.transactional_id.is_some() {
        return Begun::answer(refused(TRANSACTION_CODE));
    }
    // An idempotent producer that had an id gets a fresh one: nothing hangs on the old one.
    desk.ask(0, Request::NewProducer);
    Begun::waiting(Producer)
}

impl Call for Producer {
    fn reply(&mut self, _index: u32, reply: Reply, _desk: &mut Desk<'_>) -> Step {
        if let Reply::ProducerId(producer_id) = reply {
            Step::answer(InitProducerIdResponse {
                producer_id,
                producer_epoch: 0,
                ..Default::default()
            })
        } else {
            Step::answer(refused(ErrorCode::CoordinatorNotAvailable))
        }
    }
}

fn refused(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: code.into(),
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    }
}
