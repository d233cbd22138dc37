//! Protocols' own shared state machines, hosted: one owner, durable rows, one timer each.

use protocol::{ConnId, Effects, Module, Propose, Proposer, Refusal, Reply, Token};
use storage::{Mode, Op};

use crate::completion::Step;
use crate::state::Core;
use crate::timers::{Due, TimerId};
use crate::turn::Turn;

#[derive(Default)]
pub(crate) struct Modules(Vec<Hosted>);

struct Hosted {
    module: Box<dyn Module>,
    timer: Option<TimerId>,
}

impl Modules {
    pub(crate) fn new(modules: Vec<Box<dyn Module>>) -> Self {
        Self(modules.into_iter().map(|module| Hosted { module, timer: None }).collect())
    }
}

impl Core {
    pub(crate) fn propose(
        &mut self,
        turn: &mut Turn<'_>,
        conn: ConnId,
        token: Option<Token>,
        propose: Propose,
    ) {
        let Some(token) = token else { return };
        let Some(index) = self.modules.0.iter().position(|m| m.module.name() == propose.module)
        else {
            return turn.refuse(conn, Some(token), Refusal::NotFound);
        };
        let mut effects = Effects::default();
        let from = Proposer { conn, token };
        let module = &mut self.modules.0[index].module;
        module.propose(turn.now, from, propose.key, propose.command, &mut effects);
        self.carry_out(turn, index, effects);
    }

    pub(crate) fn modules_gone(&mut self, turn: &mut Turn<'_>, conn: ConnId) {
        for index in 0..self.modules.0.len() {
            let mut effects = Effects::default();
            self.modules.0[index].module.gone(turn.now, conn, &mut effects);
            self.carry_out(turn, index, effects);
        }
    }

    pub(crate) fn module_timeout(&mut self, turn: &mut Turn<'_>, index: usize) {
        let mut effects = Effects::default();
        self.modules.0[index].timer = None;
        self.modules.0[index].module.timeout(turn.now, &mut effects);
        self.carry_out(turn, index, effects);
    }

    fn carry_out(&mut self, turn: &mut Turn<'_>, index: usize, effects: Effects) {
        let table = self.modules.0[index].module.name();
        if effects.rows.is_empty() {
            for (to, answer) in effects.answers {
                turn.port.reply(to.conn, to.token, Reply::Proposed(answer));
            }
        } else {
            let ops = effects
                .rows
                .into_iter()
                .map(|(key, value)| match value {
                    Some(value) => Op::Put { table, key, value },
                    None => Op::Remove { table, key },
                })
                .collect();
            // An answer that cannot be kept is not given: its connection ends by its own deadline.
            turn.shared.submit(ops, Mode::Durable, turn.worker, |result| match result {
                Ok(_) => Step::Answers(effects.answers),
                Err(_) => Step::Unkept(effects.answers.into_iter().map(|(to, _)| to).collect()),
            });
        }
        let deadline = self.modules.0[index].module.deadline();
        let old = self.modules.0[index].timer;
        if old.map(|(at, _)| at) != deadline {
            if let Some(old) = old {
                self.timers.cancel(old);
            }
            let timer = deadline.map(|at| self.timer(turn, at, Due::Module(index)));
            self.modules.0[index].timer = timer;
        }
    }

    /// Takes back the rows of all modules at the start.
    pub(crate) fn restore_modules(&mut self, engine: &dyn storage::Engine) {
        for hosted in &mut self.modules.0 {
            let mut from: Vec<u8> = Vec::new();
            loop {
                let page = engine.scan(hosted.module.name(), &from, 10_000);
                let Some((last, _)) = page.last() else { break };
                from = last.to_vec();
                from.push(0);
                for (key, value) in &page {
                    hosted.module.restore(key, value);
                }
            }
        }
    }
}
