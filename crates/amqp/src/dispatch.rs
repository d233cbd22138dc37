//! Frames and methods to the part that answers them.

use amqp_codec::{Frame, Method, ReplyCode, access, basic, channel, confirm, connection, queue};
use protocol::{Close, Destroy, Request};

use crate::channel::{Channel, Slot};
use crate::failure::{Failure, not_implemented, unexpected_frame};
use crate::running::{Running, Step, Waiting};
use crate::session::{Cx, End};

impl Running {
    /// One frame.
    pub(crate) fn frame(&mut self, cx: &mut Cx<'_>, frame: Frame) -> Result<(), End> {
        let (number, frame) = match frame {
            Frame::Heartbeat => return Ok(()),
            Frame::Method { channel: 0, method } => return self.connection_method(cx, method),
            Frame::Header { channel: 0, .. } | Frame::Body { channel: 0, .. } => {
                return Err(unexpected_frame("content on channel 0").into());
            }
            Frame::Method { channel, .. }
            | Frame::Header { channel, .. }
            | Frame::Body { channel, .. } => (channel, frame),
        };
        match self.channels.get_mut(&number) {
            None => self.unopened(cx, number, &frame),
            Some(Slot::Closing) => {
                self.closing(cx, number, &frame);
                Ok(())
            }
            Some(Slot::Open(channel)) => match frame {
                Frame::Heartbeat => Ok(()),
                Frame::Method { method, .. } => {
                    channel.assembly.refuse_method()?;
                    self.ordered(cx, number, method)
                }
                Frame::Header { header, .. } => {
                    let result = self.content_header(cx, number, header);
                    self.published_or_failed(cx, number, result)
                }
                Frame::Body { payload, .. } => {
                    let result = self.content_body(cx, number, payload);
                    self.published_or_failed(cx, number, result)
                }
            },
        }
    }

    fn published_or_failed(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        result: Result<(), Failure>,
    ) -> Result<(), End> {
        let publish = (basic::CLASS_ID, basic::Publish::METHOD_ID);
        result.or_else(|failure| self.failed(cx, number, publish, failure))
    }

    /// Any frame on a channel that is not open.
    fn unopened(&mut self, cx: &mut Cx<'_>, number: u16, frame: &Frame) -> Result<(), End> {
        let Frame::Method { method, .. } = frame else {
            return Err(Failure::new(ReplyCode::ChannelError, "expected 'channel.open'").into());
        };
        let id = method.id();
        let Method::Channel(channel::Method::Open(_)) = method else {
            let failure = Failure::new(ReplyCode::ChannelError, "expected 'channel.open'");
            return Err(failure.of(id).into());
        };
        let max = self.tuned.channel_max;
        if number > max {
            let text = format!(
                "number of channels opened ({}) has reached the negotiated channel_max ({max})",
                self.channels.len()
            );
            return Err(Failure::new(ReplyCode::NotAllowed, text).of(id).into());
        }
        let generation = self.next_generation();
        self.channels.insert(number, Slot::Open(Box::new(Channel::new(generation))));
        cx.send(number, channel::OpenOk::default());
        Ok(())
    }

    /// Any frame on a channel that the server has closed.
    fn closing(&mut self, cx: &mut Cx<'_>, number: u16, frame: &Frame) {
        let Frame::Method { method: Method::Channel(method), .. } = frame else { return };
        match method {
            channel::Method::CloseOk(_) => {
                self.channels.remove(&number);
            }
            channel::Method::Close(_) => cx.send(number, channel::CloseOk {}),
            channel::Method::Open(_)
            | channel::Method::OpenOk(_)
            | channel::Method::Flow(_)
            | channel::Method::FlowOk(_) => {}
        }
    }

    /// Methods that look at what publishes have done wait for those before them.
    fn ordered(&mut self, cx: &mut Cx<'_>, number: u16, method: Method) -> Result<(), End> {
        let looks = matches!(
            &method,
            Method::Channel(channel::Method::Close(_))
                | Method::Connection(connection::Method::Close(_))
                | Method::Basic(basic::Method::Get(_))
                | Method::Queue(
                    queue::Method::Declare(_) | queue::Method::Purge(_) | queue::Method::Delete(_)
                )
        );
        if looks && !self.flights.is_empty() {
            let id = method.id();
            let step = Step::Publishes(method);
            self.waiting = Some(Waiting { channel: number, method: id, step });
            return Ok(());
        }
        self.execute(cx, number, method)
    }

    /// Carries a method out, or begins to.
    pub(crate) fn execute(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        method: Method,
    ) -> Result<(), End> {
        if number == 0 {
            return self.connection_now(cx, &method);
        }
        if self.channel(number).is_none() {
            // It failed while the method waited.
            return Ok(());
        }
        let id = method.id();
        let result = match method {
            Method::Connection(_) => Err(Failure::new(
                ReplyCode::CommandInvalid,
                "connection methods belong on channel 0",
            )),
            Method::Channel(method) => self.channel_method(cx, number, method),
            Method::Access(access::Method::Request(_)) => {
                cx.send(number, access::RequestOk { ticket: 1 });
                Ok(())
            }
            Method::Access(access::Method::RequestOk(_)) => Err(unimplemented_method()),
            Method::Exchange(method) => self.exchange_method(cx, number, method),
            Method::Queue(method) => self.queue_method(cx, number, method),
            Method::Basic(method) => self.basic_method(cx, number, method),
            Method::Confirm(confirm::Method::Select(select)) => {
                if let Some(channel) = self.channel(number) {
                    channel.confirms.get_or_insert(0);
                }
                if !select.nowait {
                    cx.send(number, confirm::SelectOk {});
                }
                Ok(())
            }
            Method::Confirm(confirm::Method::SelectOk(_)) => Err(unimplemented_method()),
            Method::Tx(_) => Err(not_implemented("transactions")),
        };
        result.or_else(|failure| self.failed(cx, number, id, failure))
    }

    fn channel_method(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        method: channel::Method,
    ) -> Result<(), Failure> {
        match method {
            channel::Method::Open(_) => {
                Err(Failure::new(ReplyCode::ChannelError, "second 'channel.open' seen"))
            }
            channel::Method::Flow(channel::Flow { active: true }) => {
                cx.send(number, channel::FlowOk { active: true });
                Ok(())
            }
            channel::Method::Flow(channel::Flow { active: false }) => {
                Err(not_implemented("active=false"))
            }
            channel::Method::Close(_) => {
                self.release_channel(cx, number);
                cx.send(number, channel::CloseOk {});
                Ok(())
            }
            // An answer to a close that was never sent, or to a flow.
            channel::Method::CloseOk(_) | channel::Method::FlowOk(_) => Ok(()),
            channel::Method::OpenOk(_) => Err(unimplemented_method()),
        }
    }

    fn basic_method(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        method: basic::Method,
    ) -> Result<(), Failure> {
        match method {
            basic::Method::Publish(publish) => self.publish_method(cx, number, publish),
            basic::Method::Ack(ack) => self.ack(cx, number, &ack),
            basic::Method::Nack(nack) => self.nack(cx, number, &nack),
            basic::Method::Reject(reject) => self.reject(cx, number, &reject),
            basic::Method::Recover(recover) => {
                self.recover(cx, number, recover.requeue)?;
                cx.send(number, basic::RecoverOk {});
                Ok(())
            }
            basic::Method::RecoverAsync(recover) => self.recover(cx, number, recover.requeue),
            basic::Method::Qos(qos) => self.qos(cx, number, &qos),
            basic::Method::Consume(consume) => self.consume(cx, number, consume),
            basic::Method::Cancel(cancel) => {
                self.cancel(cx, number, cancel);
                Ok(())
            }
            basic::Method::Get(get) => self.get(cx, number, get),
            // The answer to a cancel that the client was sent.
            basic::Method::CancelOk(_) => Ok(()),
            basic::Method::QosOk(_)
            | basic::Method::ConsumeOk(_)
            | basic::Method::Return(_)
            | basic::Method::Deliver(_)
            | basic::Method::GetOk(_)
            | basic::Method::GetEmpty(_)
            | basic::Method::RecoverOk(_) => Err(unimplemented_method()),
        }
    }

    fn connection_method(&mut self, cx: &mut Cx<'_>, method: Method) -> Result<(), End> {
        self.ordered(cx, 0, method)
    }

    fn connection_now(&mut self, cx: &mut Cx<'_>, method: &Method) -> Result<(), End> {
        if let Method::Connection(connection::Method::Close(_)) = method {
            return self.close(cx);
        }
        if let Method::Connection(connection::Method::UpdateSecret(_)) = method {
            cx.send(0, connection::UpdateSecretOk {});
            return Ok(());
        }
        let text = "unexpected method in connection state running";
        Err(Failure::new(ReplyCode::ChannelError, text).of(method.id()).into())
    }

    /// The client leaves: its exclusive queues are gone before it hears close-ok.
    fn close(&mut self, cx: &mut Cx<'_>) -> Result<(), End> {
        self.release(cx);
        let destroy = |name: amqp_codec::ShortStr| {
            let name = name.into_bytes();
            Request::Destroy(Destroy::Queue { name, if_unused: false, if_empty: false })
        };
        let mut exclusive = std::mem::take(&mut self.exclusive);
        let Some(last) = exclusive.pop() else {
            cx.send(0, connection::CloseOk {});
            return Err(End::Close(Close::Done));
        };
        for name in exclusive {
            cx.out.tell(destroy(name));
        }
        let id = (connection::CLASS_ID, connection::Close::METHOD_ID);
        self.ask(cx, 0, id, Step::Close, destroy(last));
        Ok(())
    }
}

/// A method that only a server sends.
pub(crate) fn unimplemented_method() -> Failure {
    Failure::new(ReplyCode::CommandInvalid, "unimplemented method")
}
