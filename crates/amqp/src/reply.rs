//! Answers of the broker to replies on the wire.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "any answer but the one hoped for is a refusal, or breaks the contract"
)]

use amqp_codec::{ShortStr, basic, exchange, queue};
use protocol::{
    Close, Declare, Declared, QueueDeclaration, QueueStatus, Refusal, Reply, Request,
    SpaceDeclaration, Token,
};

use crate::arguments;
use crate::exchange::Exchange;
use crate::failure::{Failure, Object, broken_contract};
use crate::running::{Bind, Consumer, EXCLUSIVE_MAX, Running, Step, Target, Waiting};
use crate::session::{Cx, End};

type Outcome = Result<(), Failure>;

impl Running {
    /// One answer.
    pub(crate) fn reply(&mut self, cx: &mut Cx<'_>, token: Token, reply: Reply) -> Result<(), End> {
        if !Self::is_awaited(token) {
            return self.publish_reply(cx, token, &reply);
        }
        let Some(Waiting { channel, method, step }) = self.waiting.take() else { return Ok(()) };
        let result = match step {
            Step::Close => {
                cx.send(0, amqp_codec::connection::CloseOk {});
                return Err(End::Close(Close::Done));
            }
            // These two leave something with the broker even if the channel failed meanwhile.
            Step::Consume { number, consumer, queue, nowait } => {
                self.on_consume(cx, number, consumer, &queue, nowait, &reply)
            }
            Step::Get { queue, no_ack } => match reply {
                Reply::Pulled(pulled) => {
                    self.pulled(cx, channel, no_ack, pulled);
                    Ok(())
                }
                Reply::Refused(Refusal::InUse) => {
                    Err(Object::Queue(queue.as_bytes()).not_for_get())
                }
                reply => Err(not_done(&Object::Queue(queue.as_bytes()), &reply)),
            },
            step if self.channel(channel).is_some() => self.step(cx, channel, step, &reply),
            _ => Ok(()),
        };
        result.or_else(|failure| self.failed(cx, channel, method, failure))
    }

    fn publish_reply(&mut self, cx: &mut Cx<'_>, token: Token, reply: &Reply) -> Result<(), End> {
        let Some(flight) = self.flights.take(token) else { return Ok(()) };
        if let Err((channel, failure)) = self.published(cx, flight, reply) {
            self.failed(cx, channel, Self::publish_id(), failure)?;
        }
        if !self.flights.is_empty() {
            return Ok(());
        }
        match self.waiting.take() {
            Some(Waiting { channel, step: Step::Publishes(method), .. }) => {
                self.execute(cx, channel, method)
            }
            other => {
                self.waiting = other;
                Ok(())
            }
        }
    }

    fn step(&mut self, cx: &mut Cx<'_>, number: u16, step: Step, reply: &Reply) -> Outcome {
        match step {
            Step::PublishTo(publish) => self.on_publish_to(cx, number, publish, reply),
            Step::DeclareExchange { declaration, nowait } => {
                self.on_declare_exchange(cx, number, &declaration, nowait, reply)
            }
            Step::CheckExchange { name, nowait } => match reply {
                Reply::Space(_) => self.declared_exchange(cx, number, nowait),
                reply => {
                    self.known.forget(&name);
                    Err(not_done(&Object::Exchange(name.as_bytes()), reply))
                }
            },
            Step::DeleteExchange { name, nowait } => {
                self.on_delete_exchange(cx, number, &name, nowait, reply)
            }
            Step::BindFrom(bind) => self.on_bind_from(cx, number, bind, reply),
            Step::Bind(bind) => self.on_bind(cx, number, &bind, reply),
            Step::DeclareQueue { declaration, nowait } => {
                self.on_declare_queue(cx, number, &declaration, nowait, reply)
            }
            Step::DeclareReserved { declaration, nowait } => {
                self.on_declare_reserved(cx, number, declaration, nowait, reply)
            }
            Step::CheckQueue { name, nowait } => match reply {
                Reply::Queue(status) => {
                    let counts = (status.ready, status.consumers);
                    self.declared_queue(cx, number, &name, nowait, counts);
                    Ok(())
                }
                reply => Err(not_done(&Object::Queue(name.as_bytes()), reply)),
            },
            Step::Purge { name, nowait } => match reply {
                Reply::Purged(count) => {
                    if !nowait {
                        let message_count = u32::try_from(*count).unwrap_or(u32::MAX);
                        cx.send(number, queue::PurgeOk { message_count });
                    }
                    Ok(())
                }
                reply => Err(not_done(&Object::Queue(name.as_bytes()), reply)),
            },
            Step::DeleteQueue { name, nowait } => {
                self.on_delete_queue(cx, number, &name, nowait, reply)
            }
            Step::Cancel { number: consumer, nowait } => {
                self.cancelled(cx, consumer, nowait);
                Ok(())
            }
            Step::Publishes(_) | Step::Consume { .. } | Step::Get { .. } | Step::Close => {
                Err(broken_contract())
            }
        }
    }

    fn on_consume(
        &mut self,
        cx: &mut Cx<'_>,
        number: u32,
        consumer: Consumer,
        queue: &ShortStr,
        nowait: bool,
        reply: &Reply,
    ) -> Outcome {
        if let Reply::Subscribed = reply {
            self.consuming(cx, number, consumer, nowait);
            return Ok(());
        }
        if let Some(channel) = self.channel(consumer.channel)
            && consumer.replies
        {
            channel.reply_address = None;
        }
        if let Some(window) = consumer.window {
            self.retire_window(consumer.channel, window);
        }
        let object = Object::Queue(queue.as_bytes());
        Err(match reply {
            Reply::Refused(Refusal::InUse) => object.in_exclusive_use(),
            reply => not_done(&object, reply),
        })
    }

    /// What a description says about an exchange.
    fn described(
        &mut self,
        cx: &Cx<'_>,
        name: &ShortStr,
        reply: &Reply,
    ) -> Result<Exchange, Failure> {
        let object = Object::Exchange(name.as_bytes());
        match reply {
            Reply::Space(status) => self
                .known
                .seen(name.as_bytes(), &status.declaration, cx.now.instant)
                .ok_or_else(|| object.missing()),
            reply => {
                self.known.forget(name);
                Err(not_done(&object, reply))
            }
        }
    }

    fn on_publish_to(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        publish: basic::Publish,
        reply: &Reply,
    ) -> Outcome {
        let exchange = self.described(cx, &publish.exchange, reply)?;
        self.publish_to(number, &exchange, publish)
    }

    fn on_declare_exchange(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        declaration: &SpaceDeclaration,
        nowait: bool,
        reply: &Reply,
    ) -> Outcome {
        match reply {
            Reply::Declared(_) => {
                self.known.seen(&declaration.name, declaration, cx.now.instant);
                self.declared_exchange(cx, number, nowait)
            }
            Reply::Refused(Refusal::DifferentSpace(stands)) => {
                match arguments::exchange_difference(declaration, stands) {
                    Some(failure) => Err(failure),
                    None => self.declared_exchange(cx, number, nowait),
                }
            }
            reply => Err(not_done(&Object::Exchange(&declaration.name), reply)),
        }
    }

    fn on_delete_exchange(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        name: &ShortStr,
        nowait: bool,
        reply: &Reply,
    ) -> Outcome {
        match reply {
            Reply::Destroyed(_) | Reply::Refused(Refusal::NotFound) => {
                self.known.forget(name);
                if !nowait {
                    cx.send(number, exchange::DeleteOk {});
                }
                Ok(())
            }
            reply => Err(not_done(&Object::Exchange(name.as_bytes()), reply)),
        }
    }

    fn on_bind_from(&mut self, cx: &mut Cx<'_>, number: u16, bind: Bind, reply: &Reply) -> Outcome {
        if let Reply::Refused(Refusal::NotFound) = reply
            && bind.undo
        {
            // What is not there is not bound: unbinding it is done.
            self.bound(cx, number, &bind);
            return Ok(());
        }
        let exchange = self.described(cx, &bind.source, reply)?;
        self.bind_from(cx, number, &exchange, bind)
    }

    fn on_bind(&mut self, cx: &mut Cx<'_>, number: u16, bind: &Bind, reply: &Reply) -> Outcome {
        match reply {
            Reply::Done => {
                self.bound(cx, number, bind);
                Ok(())
            }
            Reply::Refused(Refusal::NotFound) if bind.undo => {
                self.bound(cx, number, bind);
                Ok(())
            }
            reply => {
                self.known.forget(&bind.source);
                Err(not_done(&bind_object(bind), reply))
            }
        }
    }

    fn on_declare_queue(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        declaration: &QueueDeclaration,
        nowait: bool,
        reply: &Reply,
    ) -> Outcome {
        let name = ShortStr::new(declaration.name.clone()).unwrap_or_default();
        match reply {
            Reply::Declared(Declared::Queue(QueueStatus { ready, consumers, .. })) => {
                let room = self.exclusive.len() < EXCLUSIVE_MAX;
                if declaration.exclusive && room && !self.exclusive.contains(&name) {
                    self.exclusive.push(name.clone());
                }
                self.declared_queue(cx, number, &name, nowait, (*ready, *consumers));
                Ok(())
            }
            Reply::Refused(Refusal::DifferentQueue(stands)) => {
                if let Some(difference) = arguments::queue_difference(declaration, stands) {
                    return Err(difference);
                }
                // The same in other words: an integer of another width.
                let id = (queue::CLASS_ID, queue::Declare::METHOD_ID);
                let request = Request::DescribeQueue(name.clone().into_bytes());
                self.ask(cx, number, id, Step::CheckQueue { name, nowait }, request);
                Ok(())
            }
            reply => Err(not_done(&Object::Queue(&declaration.name), reply)),
        }
    }

    fn on_declare_reserved(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        declaration: QueueDeclaration,
        nowait: bool,
        reply: &Reply,
    ) -> Outcome {
        match reply {
            Reply::Queue(_) => {
                let id = (queue::CLASS_ID, queue::Declare::METHOD_ID);
                let request = Request::Declare(Declare::Queue(declaration.clone()));
                self.ask(cx, number, id, Step::DeclareQueue { declaration, nowait }, request);
                Ok(())
            }
            Reply::Refused(Refusal::NotFound) => Err(Object::Queue(&declaration.name).reserved()),
            reply => Err(not_done(&Object::Queue(&declaration.name), reply)),
        }
    }

    fn on_delete_queue(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        name: &ShortStr,
        nowait: bool,
        reply: &Reply,
    ) -> Outcome {
        let count = match reply {
            Reply::Destroyed(count) => *count,
            Reply::Refused(Refusal::NotFound) => 0,
            reply => return Err(not_done(&Object::Queue(name.as_bytes()), reply)),
        };
        self.exclusive.retain(|exclusive| exclusive != name);
        if !nowait {
            let message_count = u32::try_from(count).unwrap_or(u32::MAX);
            cx.send(number, queue::DeleteOk { message_count });
        }
        Ok(())
    }
}

/// What was missing or refused when a binding was.
fn bind_object(bind: &Bind) -> Object<'_> {
    match &bind.target {
        Target::Queue(name) => Object::Queue(name.as_bytes()),
        Target::Exchange(name) => Object::Exchange(name.as_bytes()),
    }
}

/// The failure of an answer that is not the one hoped for.
fn not_done(object: &Object<'_>, reply: &Reply) -> Failure {
    match reply {
        Reply::Refused(refusal) => object.refused(refusal),
        _ => broken_contract(),
    }
}
