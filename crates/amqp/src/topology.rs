//! exchange.* and queue.* to requests.

use amqp_codec::{ReplyCode, ShortStr, exchange, queue};
use bytes::Bytes;
use protocol::{
    BindTarget, Binding, Declare, Destroy, QueueDeclaration, Request, SpaceDeclaration,
};

use crate::arguments;
use crate::bind;
use crate::dispatch::unimplemented_method;
use crate::exchange::{Exchange, Kind, bind_target, predeclared};
use crate::failure::{Failure, Object, default_exchange};
use crate::field_map::DIRECT_REPLY_TO;
use crate::handshake::stripped;
use crate::running::{Bind, Running, Step, Target};
use crate::session::Cx;

/// Names that begin so are the server's.
const RESERVED: &[u8] = b"amq.";

fn id(class_id: u16, method_id: u16) -> (u16, u16) {
    (class_id, method_id)
}

impl Running {
    pub(crate) fn exchange_method(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        method: exchange::Method,
    ) -> Result<(), Failure> {
        match method {
            exchange::Method::Declare(declare) => self.declare_exchange(cx, number, &declare),
            exchange::Method::Delete(delete) => self.delete_exchange(cx, number, &delete),
            exchange::Method::Bind(bind) => {
                let bind = Bind {
                    source: stripped(&bind.source),
                    target: Target::Exchange(stripped(&bind.destination)),
                    key: bind.routing_key.into_bytes(),
                    arguments: bind.arguments,
                    undo: false,
                    nowait: bind.nowait,
                };
                self.bind(cx, number, bind)
            }
            exchange::Method::Unbind(unbind) => {
                let bind = Bind {
                    source: stripped(&unbind.source),
                    target: Target::Exchange(stripped(&unbind.destination)),
                    key: unbind.routing_key.into_bytes(),
                    arguments: unbind.arguments,
                    undo: true,
                    nowait: unbind.nowait,
                };
                self.bind(cx, number, bind)
            }
            exchange::Method::DeclareOk(_)
            | exchange::Method::DeleteOk(_)
            | exchange::Method::BindOk(_)
            | exchange::Method::UnbindOk(_) => Err(unimplemented_method()),
        }
    }

    pub(crate) fn queue_method(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        method: queue::Method,
    ) -> Result<(), Failure> {
        match method {
            queue::Method::Declare(declare) => self.declare_queue(cx, number, &declare),
            queue::Method::Bind(bind) => {
                let queue = self.queue_name(number, &bind.queue)?;
                let key = if bind.queue.is_empty() && bind.routing_key.is_empty() {
                    queue.clone()
                } else {
                    bind.routing_key
                };
                let bind = Bind {
                    source: stripped(&bind.exchange),
                    target: Target::Queue(queue),
                    key: key.into_bytes(),
                    arguments: bind.arguments,
                    undo: false,
                    nowait: bind.nowait,
                };
                self.bind(cx, number, bind)
            }
            queue::Method::Unbind(unbind) => {
                let queue = self.queue_name(number, &unbind.queue)?;
                let key = if unbind.queue.is_empty() && unbind.routing_key.is_empty() {
                    queue.clone()
                } else {
                    unbind.routing_key
                };
                let bind = Bind {
                    source: stripped(&unbind.exchange),
                    target: Target::Queue(queue),
                    key: key.into_bytes(),
                    arguments: unbind.arguments,
                    undo: true,
                    nowait: false,
                };
                self.bind(cx, number, bind)
            }
            queue::Method::Purge(purge) => {
                let name = self.queue_name(number, &purge.queue)?;
                let request = Request::Purge(name.clone().into_bytes());
                let step = Step::Purge { name, nowait: purge.nowait };
                let id = id(queue::CLASS_ID, queue::Purge::METHOD_ID);
                self.ask(cx, number, id, step, request);
                Ok(())
            }
            queue::Method::Delete(delete) => {
                let name = self.queue_name(number, &delete.queue)?;
                let request = Request::Destroy(Destroy::Queue {
                    name: name.clone().into_bytes(),
                    if_unused: delete.if_unused,
                    if_empty: delete.if_empty,
                });
                let step = Step::DeleteQueue { name, nowait: delete.nowait };
                let id = id(queue::CLASS_ID, queue::Delete::METHOD_ID);
                self.ask(cx, number, id, step, request);
                Ok(())
            }
            queue::Method::DeclareOk(_)
            | queue::Method::BindOk(_)
            | queue::Method::UnbindOk(_)
            | queue::Method::PurgeOk(_)
            | queue::Method::DeleteOk(_) => Err(unimplemented_method()),
        }
    }

    /// A queue's name; the empty one stands for the queue declared last on this channel.
    pub(crate) fn queue_name(&mut self, number: u16, name: &ShortStr) -> Result<ShortStr, Failure> {
        let name = stripped(name);
        if !name.is_empty() {
            return Ok(name);
        }
        let last = self.channel(number).and_then(|channel| channel.last_queue.clone());
        last.ok_or_else(|| Failure::new(ReplyCode::NotFound, "no previously declared queue"))
    }

    fn declare_exchange(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        declare: &exchange::Declare,
    ) -> Result<(), Failure> {
        let id = id(exchange::CLASS_ID, exchange::Declare::METHOD_ID);
        let name = stripped(&declare.exchange);
        let nowait = declare.nowait;
        if declare.passive {
            if name.is_empty() {
                return Err(default_exchange());
            }
            if predeclared(name.as_bytes()).is_some() {
                return self.declared_exchange(cx, number, nowait);
            }
            let request = Request::DescribeSpace(name.clone().into_bytes());
            self.ask(cx, number, id, Step::CheckExchange { name, nowait }, request);
            return Ok(());
        }
        let Some(kind) = Kind::from_name(declare.kind.as_bytes()) else {
            let text = format!("unknown exchange type '{}'", declare.kind);
            return Err(Failure::new(ReplyCode::PreconditionFailed, text));
        };
        if name.is_empty() {
            return Err(default_exchange());
        }
        let object = Object::Exchange(name.as_bytes());
        let declaration = SpaceDeclaration {
            name: name.clone().into_bytes(),
            kind: Bytes::from_static(kind.name().as_bytes()),
            durable: declare.durable,
            auto_delete: declare.auto_delete,
            internal: declare.internal,
            arguments: arguments::exchange(declare.arguments.view(), name.as_bytes())?,
            builtin: false,
        };
        if let Some(stands) = predeclared(name.as_bytes()) {
            let stands = standing(&declaration, &stands);
            if let Some(failure) = arguments::exchange_difference(&declaration, &stands) {
                return Err(failure);
            }
            return self.declared_exchange(cx, number, nowait);
        }
        if name.as_bytes().starts_with(RESERVED) {
            return Err(object.reserved());
        }
        if std::str::from_utf8(name.as_bytes()).is_err() {
            let text = "the name of an exchange must be UTF-8";
            return Err(Failure::new(ReplyCode::PreconditionFailed, text));
        }
        let request = Request::Declare(Declare::Space(declaration.clone()));
        self.ask(cx, number, id, Step::DeclareExchange { declaration, nowait }, request);
        Ok(())
    }

    pub(crate) fn declared_exchange(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        nowait: bool,
    ) -> Result<(), Failure> {
        if !nowait {
            cx.send(number, exchange::DeclareOk {});
        }
        Ok(())
    }

    fn delete_exchange(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        delete: &exchange::Delete,
    ) -> Result<(), Failure> {
        let name = stripped(&delete.exchange);
        if name.is_empty() {
            return Err(default_exchange());
        }
        if name.as_bytes().starts_with(RESERVED) {
            return Err(Object::Exchange(name.as_bytes()).undeletable());
        }
        let request = Request::Destroy(Destroy::Space {
            name: name.clone().into_bytes(),
            if_unused: delete.if_unused,
        });
        let step = Step::DeleteExchange { name, nowait: delete.nowait };
        let id = id(exchange::CLASS_ID, exchange::Delete::METHOD_ID);
        self.ask(cx, number, id, step, request);
        Ok(())
    }

    /// Ties or unties a queue or an exchange; what that means depends on the source's kind.
    fn bind(&mut self, cx: &mut Cx<'_>, number: u16, bind: Bind) -> Result<(), Failure> {
        let to_default = matches!(&bind.target, Target::Exchange(name) if name.is_empty());
        if bind.source.is_empty() || to_default {
            return Err(default_exchange());
        }
        match self.known.get(&bind.source, cx.now.instant) {
            Some(source) => self.bind_from(cx, number, &source, bind),
            None => {
                let request = Request::DescribeSpace(bind.source.clone().into_bytes());
                let id = bind_id(&bind);
                self.ask(cx, number, id, Step::BindFrom(bind), request);
                Ok(())
            }
        }
    }

    /// The same once the source is known.
    pub(crate) fn bind_from(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        source: &Exchange,
        bind: Bind,
    ) -> Result<(), Failure> {
        let target = match &bind.target {
            Target::Queue(name) => BindTarget::Queue(name.clone().into_bytes()),
            Target::Exchange(name) => bind_target(name),
        };
        let binding: Binding = bind::binding(source, target, &bind.key, bind.arguments.view())?;
        let request = if bind.undo { Request::Unbind(binding) } else { Request::Bind(binding) };
        let id = bind_id(&bind);
        self.ask(cx, number, id, Step::Bind(bind), request);
        Ok(())
    }

    /// The answer that a binding owes.
    pub(crate) fn bound(&mut self, cx: &mut Cx<'_>, number: u16, bind: &Bind) {
        if bind.nowait {
            return;
        }
        match (&bind.target, bind.undo) {
            (Target::Queue(_), false) => cx.send(number, queue::BindOk {}),
            (Target::Queue(_), true) => cx.send(number, queue::UnbindOk {}),
            (Target::Exchange(_), false) => cx.send(number, exchange::BindOk {}),
            (Target::Exchange(_), true) => cx.send(number, exchange::UnbindOk {}),
        }
    }

    fn declare_queue(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        declare: &queue::Declare,
    ) -> Result<(), Failure> {
        let id = id(queue::CLASS_ID, queue::Declare::METHOD_ID);
        let nowait = declare.nowait;
        let mut name = stripped(&declare.queue);
        if declare.passive {
            let name = self.queue_name(number, &name)?;
            if name.as_bytes() == DIRECT_REPLY_TO {
                self.declared_queue(cx, number, &name, nowait, (0, 1));
                return Ok(());
            }
            let request = Request::DescribeQueue(name.clone().into_bytes());
            self.ask(cx, number, id, Step::CheckQueue { name, nowait }, request);
            return Ok(());
        }
        let reserved = name.as_bytes().starts_with(RESERVED);
        if name.is_empty() {
            name = ShortStr::new(self.names.queue()).unwrap_or_default();
        }
        let durable = declare.durable && !declare.exclusive;
        let arguments = arguments::queue(
            declare.arguments.view(),
            name.as_bytes(),
            declare.durable,
            declare.exclusive,
        )?;
        let declaration = QueueDeclaration {
            name: name.clone().into_bytes(),
            durable,
            exclusive: declare.exclusive,
            auto_delete: declare.auto_delete,
            arguments: arguments.compared,
            options: arguments.options,
        };
        if reserved {
            let request = Request::DescribeQueue(name.into_bytes());
            self.ask(cx, number, id, Step::DeclareReserved { declaration, nowait }, request);
        } else {
            let request = Request::Declare(Declare::Queue(declaration.clone()));
            self.ask(cx, number, id, Step::DeclareQueue { declaration, nowait }, request);
        }
        Ok(())
    }

    /// The queue stands, with so many ready messages and consumers.
    pub(crate) fn declared_queue(
        &mut self,
        cx: &mut Cx<'_>,
        number: u16,
        name: &ShortStr,
        nowait: bool,
        (ready, consumer_count): (u64, u32),
    ) {
        if let Some(channel) = self.channel(number) {
            channel.last_queue = Some(name.clone());
        }
        if !nowait {
            let message_count = u32::try_from(ready).unwrap_or(u32::MAX);
            cx.send(
                number,
                queue::DeclareOk { queue: name.clone(), message_count, consumer_count },
            );
        }
    }
}

fn bind_id(bind: &Bind) -> (u16, u16) {
    match (&bind.target, bind.undo) {
        (Target::Queue(_), false) => id(queue::CLASS_ID, queue::Bind::METHOD_ID),
        (Target::Queue(_), true) => id(queue::CLASS_ID, queue::Unbind::METHOD_ID),
        (Target::Exchange(_), false) => id(exchange::CLASS_ID, exchange::Bind::METHOD_ID),
        (Target::Exchange(_), true) => id(exchange::CLASS_ID, exchange::Unbind::METHOD_ID),
    }
}

/// A predeclared exchange as its declaration.
fn standing(wanted: &SpaceDeclaration, exchange: &Exchange) -> SpaceDeclaration {
    SpaceDeclaration {
        kind: Bytes::from_static(exchange.kind.name().as_bytes()),
        durable: true,
        auto_delete: false,
        internal: exchange.internal,
        builtin: true,
        ..wanted.clone()
    }
}
