//! basic.qos, consume, cancel and get.
//!
//! A consumer with acknowledgements takes places in two windows: one of its own, of the prefetch in
//! force when it began (`global=false`), and one that all consumers of the channel share
//! (`global=true`). The shared one is never without a limit: DEVIATES from RabbitMQ, which pushes
//! until memory is gone.

use amqp_codec::{ReplyCode, ShortStr, basic};
use bytes::Bytes;
use model::filter::Filter;
use model::record::Space;
use protocol::{Consume, Pull, Request, Start, Subscribe};

use crate::arguments;
use crate::failure::{Failure, not_implemented};
use crate::field_map::DIRECT_REPLY_TO;
use crate::running::{Consumer, Running, Step};
use crate::session::Cx;

/// Most unsettled deliveries of a channel whose client set no limit.
const UNSETTLED_MAX: u32 = 100_000;

/// The size of the window that a channel's consumers share.
pub(crate) fn channel_window(prefetch: u32) -> u32 {
    if prefetch == 0 { UNSETTLED_MAX } else { prefetch }
}

impl Running {
    pub(crate) fn qos(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        qos: &basic::Qos,
    ) -> Result<(), Failure> {
        if qos.prefetch_size != 0 {
            let text = format!("prefetch_size!=0 ({})", qos.prefetch_size);
            return Err(not_implemented(text));
        }
        if let Some(channel) = self.channel(number) {
            if qos.global {
                channel.prefetch_shared = qos.prefetch_count;
                if let Some(window) = channel.window {
                    let size = channel_window(qos.prefetch_count.into());
                    cx.out.tell(Request::Window { window, size });
                }
            } else {
                channel.prefetch = qos.prefetch_count;
            }
        }
        cx.send(number, basic::QosOk {});
        Ok(())
    }

    pub(crate) fn consume(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        consume: basic::Consume,
    ) -> Result<(), Failure> {
        let queue = self.queue_name(number, &consume.queue)?;
        let tag = if consume.consumer_tag.is_empty() {
            ShortStr::new(self.names.consumer()).unwrap_or_default()
        } else {
            detached(&consume.consumer_tag)
        };
        let prefetch = match self.channel(number) {
            Some(channel) if channel.consumers.contains_key(&tag) => {
                let text = format!("attempt to reuse consumer tag '{tag}'");
                return Err(Failure::new(ReplyCode::NotAllowed, text));
            }
            Some(channel) => channel.prefetch,
            None => return Ok(()),
        };
        if self.consumers.len() >= self.node.limits.subscriptions {
            let text = format!("more than {} consumers", self.node.limits.subscriptions);
            return Err(Failure::new(ReplyCode::PreconditionFailed, text));
        }
        if queue.as_bytes() == DIRECT_REPLY_TO {
            return self.consume_replies(cx, number, consume.no_ack, tag, consume.nowait);
        }
        let priority = arguments::consumer(consume.arguments.view(), queue.as_bytes())?;
        let window = (prefetch > 0 && !consume.no_ack).then(|| self.window(cx, prefetch.into()));
        let consumer =
            Consumer { channel: number, tag, no_ack: consume.no_ack, window, replies: false };
        let next = self.next_number();
        let request = Consume {
            number: next,
            queue: queue.clone().into_bytes(),
            no_ack: consume.no_ack,
            exclusive: consume.exclusive,
            priority,
            windows: window.into_iter().collect(),
        };
        let request = self.consume_request(cx, number, request);
        let step = Step::Consume { number: next, consumer, queue, nowait: consume.nowait };
        let id = (basic::CLASS_ID, basic::Consume::METHOD_ID);
        self.ask(cx, number, id, step, Request::Consume(request));
        Ok(())
    }

    /// Answers without a queue: a subject of this channel's own, live only.
    fn consume_replies(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        no_ack: bool,
        tag: ShortStr,
        nowait: bool,
    ) -> Result<(), Failure> {
        let refuse = |text: &str| Err(Failure::new(ReplyCode::PreconditionFailed, text));
        if !no_ack {
            return refuse("reply consumer cannot acknowledge");
        }
        let subject = self.names.reply();
        let Some(channel) = self.channel(number) else { return Ok(()) };
        if channel.reply_address.is_some() {
            return refuse("reply consumer already set");
        }
        channel.reply_address = Some(subject.clone());
        let consumer = Consumer { channel: number, tag, no_ack: true, window: None, replies: true };
        let next = self.next_number();
        let request = Request::Subscribe(Subscribe {
            number: next,
            space: Space::SHARED,
            filter: Filter::literal(&subject),
            group: None,
            durable: false,
            skip_own: false,
            start: Start::Now,
            memo: Bytes::new(),
        });
        let queue = ShortStr::default();
        let step = Step::Consume { number: next, consumer, queue, nowait };
        let id = (basic::CLASS_ID, basic::Consume::METHOD_ID);
        self.ask(cx, number, id, step, request);
        Ok(())
    }

    /// The consumer runs.
    pub(crate) fn consuming(
        &mut self,
        cx: &mut Cx<'_>,
        number: u32,
        consumer: Consumer,
        nowait: bool,
    ) {
        let Some(channel) = self.channel(consumer.channel) else {
            // The channel failed meanwhile.
            cx.out.tell(if consumer.replies {
                Request::Unsubscribe(number)
            } else {
                Request::Cancel(number)
            });
            return;
        };
        channel.consumers.insert(consumer.tag.clone(), number);
        if !nowait {
            cx.send(consumer.channel, basic::ConsumeOk { consumer_tag: consumer.tag.clone() });
        }
        self.consumers.insert(number, consumer);
    }

    /// An unknown tag is as good as cancelled.
    pub(crate) fn cancel(&mut self, cx: &mut Cx<'_>, number: u16, cancel: basic::Cancel) {
        let Some(channel) = self.channel(number) else { return };
        let Some(consumer) = channel.consumers.get(&cancel.consumer_tag).copied() else {
            if !cancel.nowait {
                cx.send(number, basic::CancelOk { consumer_tag: cancel.consumer_tag });
            }
            return;
        };
        let replies = self.consumers.get(&consumer).is_some_and(|consumer| consumer.replies);
        let request =
            if replies { Request::Unsubscribe(consumer) } else { Request::Cancel(consumer) };
        let step = Step::Cancel { number: consumer, nowait: cancel.nowait };
        let id = (basic::CLASS_ID, basic::Cancel::METHOD_ID);
        self.ask(cx, number, id, step, request);
    }

    /// The consumer has ended; what it has unsettled stays with its channel.
    pub(crate) fn cancelled(&mut self, cx: &mut Cx<'_>, number: u32, nowait: bool) {
        let Some(consumer) = self.consumers.remove(&number) else { return };
        if let Some(channel) = self.channel(consumer.channel) {
            channel.consumers.remove(&consumer.tag);
            if consumer.replies {
                channel.reply_address = None;
            }
        }
        if let Some(window) = consumer.window {
            self.retire_window(consumer.channel, window);
        }
        if !nowait {
            cx.send(consumer.channel, basic::CancelOk { consumer_tag: consumer.tag });
        }
    }

    pub(crate) fn get(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        get: basic::Get,
    ) -> Result<(), Failure> {
        let queue = self.queue_name(number, &get.queue)?;
        let request = Request::Pull(Pull { queue: queue.clone().into_bytes(), no_ack: get.no_ack });
        let step = Step::Get { queue, no_ack: get.no_ack };
        let id = (basic::CLASS_ID, basic::Get::METHOD_ID);
        self.ask(cx, number, id, step, request);
        Ok(())
    }
}

/// A copy that holds no part of a read buffer.
fn detached(text: &ShortStr) -> ShortStr {
    ShortStr::new(Bytes::copy_from_slice(text.as_bytes())).unwrap_or_default()
}
