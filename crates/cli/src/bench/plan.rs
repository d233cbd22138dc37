//! Which connection does what.

use super::dialect::Role;
use super::{Options, Scenario};

/// One connection to make.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) role: Role,
    /// A publisher's number, which is that of its flow.
    pub(super) publisher: Option<u32>,
    /// The publishers that a subscriber hears: the first, and how many.
    pub(super) hears: (u32, u32),
}

/// All connections, and how often each message arrives.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) specs: Vec<Spec>,
    pub(super) publishers: u32,
    pub(super) copies: u64,
}

/// Makes the plan; `prefix` is the topic that all others are below.
pub(super) fn make(options: &Options, prefix: &str) -> Plan {
    let publishers = match options.scenario {
        Scenario::Publish | Scenario::FanIn | Scenario::Pairs | Scenario::FanOut => {
            options.publishers
        }
        Scenario::Subscribe | Scenario::Connections => 0,
    };
    let mut specs = Vec::new();
    let all = (0, number(publishers));
    match options.scenario {
        Scenario::Publish => {}
        Scenario::Subscribe => {
            let role = Role::Subscriber { topic: "bench".to_owned(), below: true };
            specs.extend((0..options.subscribers).map(|_| subscriber(&role, (0, 0))));
        }
        Scenario::FanOut => {
            let role = Role::Subscriber { topic: prefix.to_owned(), below: false };
            specs.extend((0..options.subscribers).map(|_| subscriber(&role, all)));
        }
        Scenario::FanIn => {
            let role = Role::Subscriber { topic: prefix.to_owned(), below: true };
            specs.push(subscriber(&role, all));
        }
        Scenario::Pairs => specs.extend((0..publishers).map(|pair| {
            let role = Role::Subscriber { topic: format!("{prefix}/{pair}"), below: false };
            subscriber(&role, (number(pair), 1))
        })),
        Scenario::Connections => specs.extend((0..options.connections).map(|one| {
            let role = Role::Subscriber { topic: format!("{prefix}/{one}"), below: false };
            subscriber(&role, (0, 0))
        })),
    }
    let acknowledged = options.scenario == Scenario::Publish;
    specs.extend((0..publishers).map(|publisher| {
        let topic = match options.scenario {
            Scenario::FanOut => prefix.to_owned(),
            Scenario::Publish
            | Scenario::Subscribe
            | Scenario::FanIn
            | Scenario::Pairs
            | Scenario::Connections => format!("{prefix}/{publisher}"),
        };
        let role = Role::Publisher { topic, acknowledged };
        Spec { role, publisher: Some(number(publisher)), hears: (0, 0) }
    }));
    let copies = match options.scenario {
        Scenario::FanOut => options.subscribers as u64,
        Scenario::Publish
        | Scenario::Subscribe
        | Scenario::FanIn
        | Scenario::Pairs
        | Scenario::Connections => 1,
    };
    Plan { specs, publishers: number(publishers), copies }
}

fn subscriber(role: &Role, hears: (u32, u32)) -> Spec {
    Spec { role: role.clone(), publisher: None, hears }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
