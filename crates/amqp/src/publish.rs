//! basic.publish: content in, a request out; its answer becomes a return, a confirm or a failure.
//!
//! ```text
//! persistent         answered when it is stored
//! transient          answered when it is routed
//! neither confirmed, mandatory nor persistent: not answered at all
//! ```

use amqp_codec::{ContentHeader, ReplyCode, ShortStr, basic};
use bytes::Bytes;
use model::record::Address;
use protocol::{Publish, Refusal, Reply, Request, Wait};

use crate::bind;
use crate::channel::{Assembly, Content, Outgoing, Route};
use crate::deliver::put_content;
use crate::exchange::{self, Exchange};
use crate::failure::{Failure, Object, not_implemented, too_large};
use crate::field_map;
use crate::handshake::stripped;
use crate::running::{Flight, Returned, Running, Step};
use crate::session::Cx;

/// Most bytes of unfinished messages on all channels of a connection.
const ASSEMBLING_MAX: usize = 64 << 20;

/// Class and method of what fails here.
const PUBLISH: (u16, u16) = (basic::CLASS_ID, basic::Publish::METHOD_ID);

impl Running {
    /// The method alone; its content follows.
    pub(crate) fn publish_method(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        publish: basic::Publish,
    ) -> Result<(), Failure> {
        if publish.immediate {
            return Err(not_implemented("immediate=true"));
        }
        self.publishes(cx);
        if publish.exchange.is_empty() {
            let address = match self.last_route(number, &publish) {
                Some(address) => address,
                None => exchange::default_address(publish.routing_key.as_bytes()),
            };
            self.expect_content(number, publish, address);
            return Ok(());
        }
        match self.known.get(&publish.exchange, cx.now.instant) {
            Some(exchange) => self.publish_to(number, &exchange, publish),
            None => {
                let name = stripped(&publish.exchange).into_bytes();
                let step = Step::PublishTo(publish);
                self.ask(cx, number, PUBLISH, step, Request::DescribeSpace(name));
                Ok(())
            }
        }
    }

    /// The same once the exchange is known.
    pub(crate) fn publish_to(
        &mut self,
        number: u16,
        exchange: &Exchange,
        publish: basic::Publish,
    ) -> Result<(), Failure> {
        if exchange.internal {
            return Err(internal(&publish.exchange));
        }
        let address = match self.last_route(number, &publish) {
            Some(address) => address,
            None => exchange::address(exchange, publish.routing_key.as_bytes())?,
        };
        self.expect_content(number, publish, address);
        Ok(())
    }

    fn last_route(&mut self, number: u16, publish: &basic::Publish) -> Option<Address> {
        let route = self.channel(number)?.last_route.as_ref()?;
        let same = route.routing_key == publish.routing_key && route.exchange == publish.exchange;
        same.then(|| route.address.clone())
    }

    fn expect_content(&mut self, number: u16, publish: basic::Publish, address: Address) {
        let Some(channel) = self.channel(number) else { return };
        let basic::Publish { exchange, routing_key, mandatory, .. } = publish;
        let known = channel.last_route.as_ref().is_some_and(|route| route.address == address);
        if !known {
            let copy = |text: &ShortStr| {
                ShortStr::new(Bytes::copy_from_slice(text.as_bytes())).unwrap_or_default()
            };
            let (exchange, routing_key) = (copy(&exchange), copy(&routing_key));
            channel.last_route = Some(Route { exchange, routing_key, address: address.clone() });
        }
        channel.assembly = Assembly::Header(Outgoing { exchange, routing_key, address, mandatory });
    }

    pub(crate) fn content_header(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        header: ContentHeader,
    ) -> Result<(), Failure> {
        let limit = self.node.limits.message_bytes;
        let size = header.body_size;
        let user = std::mem::take(&mut self.client.user);
        let checked = field_map::check(&header.properties.view(), &user);
        self.client.user = user;
        let Some(channel) = self.channel(number) else { return Ok(()) };
        let content = channel.assembly.header(header)?;
        checked?;
        if size > limit as u64 {
            return Err(too_large(Some(size), limit));
        }
        match content {
            Some(content) => self.publish(cx, number, content),
            None => Ok(()),
        }
    }

    pub(crate) fn content_body(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        payload: Bytes,
    ) -> Result<(), Failure> {
        let Some(channel) = self.channel(number) else { return Ok(()) };
        let before = channel.assembly.held();
        let content = channel.assembly.body(payload)?;
        let after = channel.assembly.held();
        self.assembling = (self.assembling + after).saturating_sub(before);
        if self.assembling > ASSEMBLING_MAX {
            let text = format!("more than {ASSEMBLING_MAX} bytes of unfinished messages");
            return Err(Failure::new(ReplyCode::ResourceError, text));
        }
        match content {
            Some(content) => self.publish(cx, number, content),
            None => Ok(()),
        }
    }

    fn publish(&mut self, cx: &mut Cx<'_>, number: u16, content: Content) -> Result<(), Failure> {
        let Content { outgoing, mut properties, body } = content;
        let Some(channel) = self.channel(number) else { return Ok(()) };
        if properties.view().reply_to == Some(field_map::DIRECT_REPLY_TO) {
            let Some(address) = channel.reply_address.as_ref().and_then(exchange::reply_text)
            else {
                let text = "fast reply consumer does not exist";
                return Err(Failure::new(ReplyCode::PreconditionFailed, text));
            };
            properties = field_map::with_reply_to(&properties, &address);
        }
        let view = properties.view();
        let persistent = field_map::is_persistent(&view);
        let attributes = match view.headers {
            Some(headers) if !outgoing.exchange.is_empty() => bind::attributes(headers),
            Some(_) | None => Vec::new(),
        };
        let record = field_map::to_record(&properties, body.clone(), cx.now.unix_ms);
        let wait = if persistent { Wait::Stored } else { Wait::Routed };
        // Without confirms nobody would hear of a refusal.
        let parks = persistent && channel.confirms.is_none();
        let request = Request::Publish(Publish {
            attributes,
            wait,
            parks,
            ..Publish::new(outgoing.address, record)
        });
        let confirm = channel.confirms.as_mut().map(|last| {
            *last += 1;
            *last
        });
        if confirm.is_none() && !outgoing.mandatory && !persistent {
            cx.out.tell(request);
            return Ok(());
        }
        let generation = channel.generation;
        let returned = outgoing
            .mandatory
            .then(|| Box::new(Returned { routing_key: outgoing.routing_key, properties, body }));
        let exchange = outgoing.exchange;
        let flight = Flight { channel: number, generation, confirm, exchange, returned };
        let token = self.flights.push(flight);
        cx.out.ask(token, request);
        Ok(())
    }

    /// The broker's answer to a publish.
    pub(crate) fn published(
        &mut self,
        cx: &mut Cx<'_>,
        flight: Flight,
        reply: &Reply,
    ) -> Result<(), (u16, Failure)> {
        let number = flight.channel;
        let frame_max = self.tuned.frame_max;
        match self.channel(number) {
            Some(channel) if channel.generation == flight.generation => {}
            _ => return Ok(()),
        }
        match outcome(reply, flight.exchange.is_empty()) {
            Ok(taken) => {
                if let Some(returned) = flight.returned
                    && !taken
                {
                    give_back(cx, number, flight.exchange, *returned, frame_max);
                }
                if let Some(delivery_tag) = flight.confirm {
                    cx.send(number, basic::Ack { delivery_tag, multiple: false });
                }
                Ok(())
            }
            Err(refusal @ (Refusal::NotFound | Refusal::TooLarge(_))) => {
                self.known.forget(&flight.exchange);
                let object = Object::Exchange(flight.exchange.as_bytes());
                Err((number, object.refused(refusal)))
            }
            Err(Refusal::NotAllowed) => Err((number, internal(&flight.exchange))),
            Err(_) => {
                if let Some(delivery_tag) = flight.confirm {
                    let nack = basic::Nack { delivery_tag, ..basic::Nack::default() };
                    cx.send(number, nack);
                }
                Ok(())
            }
        }
    }

    /// Class and method that a failed publish names.
    pub(crate) const fn publish_id() -> (u16, u16) {
        PUBLISH
    }
}

/// Whether somebody took the message. A queue that is not there takes nothing.
fn outcome(reply: &Reply, to_queue: bool) -> Result<bool, &Refusal> {
    if let Reply::Published(published) = reply {
        return Ok(published.matched > 0 || published.queues > 0);
    }
    let Reply::Refused(refusal) = reply else { return Err(&Refusal::StorageUnavailable) };
    let nobody = *refusal == Refusal::Unmatched || (to_queue && *refusal == Refusal::NotFound);
    if nobody { Ok(false) } else { Err(refusal) }
}

fn internal(exchange: &ShortStr) -> Failure {
    let text = format!("cannot publish to internal exchange '{exchange}' in vhost '/'");
    Failure::new(ReplyCode::AccessRefused, text)
}

/// basic.return, before the confirm of the same message.
fn give_back(cx: &mut Cx<'_>, number: u16, exchange: ShortStr, returned: Returned, frame_max: u32) {
    let Returned { routing_key, properties, body } = returned;
    let reply_code = ReplyCode::NoRoute.number();
    let reply_text = ShortStr::from_static("NO_ROUTE");
    cx.send(number, basic::Return { reply_code, reply_text, exchange, routing_key });
    put_content(cx.out, number, &properties, &body, frame_max);
}
