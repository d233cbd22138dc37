//! The histories.

use std::time::Duration;

use storage_journal::sim::CrashModel;

use crate::clients::Client;
use crate::world::World;

/// Orders of steps that are tried; `EXACTLY_ONCE_SEEDS` for more.
const SEEDS: u64 = 2;

struct History {
    world: World,
    publisher: Client,
    subscriber: Client,
    /// The step at which the server crashes, and how.
    crash: Option<(u64, CrashModel)>,
}

impl History {
    fn new(seed: u64, crash: Option<(u64, CrashModel)>) -> Self {
        let world = World::new(seed);
        let (publisher, subscriber) = (Client::new("p", false), Client::new("s", true));
        Self { world, publisher, subscriber, crash }
    }

    /// One step of anybody; `false` if nobody has anything to do.
    fn step(&mut self) -> bool {
        self.world.steps += 1;
        assert!(self.world.steps < 20_000, "it does not come to an end");
        if let Some((_, model)) = self.crash.take_if(|(at, _)| *at == self.world.steps) {
            self.world.crash(model);
        }
        self.publisher.connect(&mut self.world);
        self.subscriber.connect(&mut self.world);
        match self.world.choose(4) {
            0 if self.publisher.read(&mut self.world) => return true,
            1 if self.subscriber.read(&mut self.world) => return true,
            _ => {}
        }
        self.world.step()
            || self.publisher.read(&mut self.world)
            || self.subscriber.read(&mut self.world)
    }

    /// Until nothing happens any more, also after a while.
    fn settle(&mut self) {
        for _ in 0..4 {
            while self.step() {}
            self.world.pass(Duration::from_millis(25));
        }
        assert_eq!(self.world.engine.waiting(), 0);
    }

    fn subscribe(&mut self) {
        while !self.subscriber.subscribed {
            if !self.step() {
                self.world.pass(Duration::from_millis(25));
            }
        }
    }
}

fn names(kind: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{kind}{n}")).collect()
}

/// Messages from one client to another; the number of steps.
fn exchange(seed: u64, crash: Option<(u64, CrashModel)>) -> u64 {
    let mut history = History::new(seed, crash);
    history.subscribe();
    let wanted = names("m", 5);
    history.publisher.todo = wanted.clone().into();
    history.publisher.go_on(&mut history.world);
    history.settle();
    let context = format!("seed {seed}, crash {crash:?}");
    assert_eq!(history.world.stored(), wanted, "stored, {context}");
    assert_eq!(history.subscriber.got, wanted, "delivered, {context}");
    assert_eq!(history.publisher.completed.len(), wanted.len(), "{context}");
    history.world.steps
}

/// Both clients break off in the middle and begin new lives, under the same packet identifiers.
fn clean_starts(seed: u64, crash: Option<(u64, CrashModel)>) -> u64 {
    let mut history = History::new(seed, crash);
    history.subscribe();
    history.publisher.todo = names("a", 3).into();
    history.publisher.go_on(&mut history.world);
    let steps = 2 + history.world.choose(40);
    for _ in 0..steps {
        history.step();
    }
    history.publisher.begin_again(&mut history.world);
    history.subscriber.begin_again(&mut history.world);
    history.subscribe();
    while history.publisher.clean {
        history.step();
    }
    let wanted = names("b", 4);
    history.publisher.todo = wanted.clone().into();
    history.publisher.go_on(&mut history.world);
    history.settle();
    let context = format!("seed {seed}, crash {crash:?}");
    let (old, new): (Vec<_>, Vec<_>) =
        history.world.stored().into_iter().partition(|body| body.starts_with('a'));
    assert_eq!(new, wanted, "stored, {context}");
    let mut different = old.clone();
    different.sort();
    different.dedup();
    assert_eq!(old.len(), different.len(), "stored twice, {context}: {old:?}");
    let got: Vec<_> = history.subscriber.got.iter().filter(|body| body.starts_with('b')).collect();
    assert_eq!(got, wanted.iter().collect::<Vec<_>>(), "delivered, {context}");
    history.world.steps
}

fn crash_at_every_step(history: fn(u64, Option<(u64, CrashModel)>) -> u64) {
    let seeds = std::env::var("EXACTLY_ONCE_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(SEEDS) {
        let steps = history(seed, None);
        for at in 1..=steps {
            for model in [CrashModel::Kill, CrashModel::Power] {
                history(seed, Some((at, model)));
            }
        }
    }
}

#[test]
fn a_message_comes_once_whenever_the_server_crashes() {
    crash_at_every_step(exchange);
}

#[test]
fn nothing_of_an_ended_life_reaches_the_next_one() {
    crash_at_every_step(clean_starts);
}
