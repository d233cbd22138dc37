//! The methods of AMQP 0-9-1 with RabbitMQ's extensions, one module per class.
//!
//! ```text
//! method frame payload: [class: u16][method: u16][arguments]
//! ```
//!
//! The table below is the specification's: what stands in it decodes and encodes, in both
//! directions. Fields that it reserves keep their bytes and their place.

use bytes::{BufMut, Bytes, BytesMut};

use crate::malformed::Fault;
use crate::table::Table;
use crate::text::{LongStr, ShortStr};
use crate::wire::{Field, Reader, Writer};

/// Why the payload of a method frame is no method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MethodFault {
    /// Not even its identifiers are there.
    Short,
    /// No such class or method.
    Unknown(u16, u16),
    /// An argument is wrong.
    Argument(u16, u16, Fault),
}

macro_rules! methods {
    ($(
        $(#[$class_doc:meta])*
        $module:ident $class:ident = $class_id:literal {
            $(
                $(#[$doc:meta])*
                $name:ident = $method_id:literal { $($field:ident : $ty:ty),* $(,)? }
            )*
        }
    )*) => {
        /// Any method, by class.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Method {
            $(
                $(#[$class_doc])*
                $class($module::Method),
            )*
        }

        impl Method {
            /// The class and the method on the wire.
            pub const fn id(&self) -> (u16, u16) {
                match self {
                    $(Self::$class(method) => ($class_id, method.id()),)*
                }
            }

            fn put_arguments(&self, writer: &mut Writer<'_>) {
                match self {
                    $($(Self::$class($module::Method::$name(method)) => method.put(writer),)*)*
                }
            }

            pub(crate) fn take(payload: &Bytes) -> Result<Self, MethodFault> {
                let Some(&[c0, c1, m0, m1]) = payload.first_chunk::<4>() else {
                    return Err(MethodFault::Short);
                };
                let class_id = u16::from_be_bytes([c0, c1]);
                let method_id = u16::from_be_bytes([m0, m1]);
                let mut reader = Reader::new(payload, 4);
                let taken = match (class_id, method_id) {
                    $($(
                        ($class_id, $method_id) => $module::$name::take(&mut reader)
                            .map(|method| Self::$class($module::Method::$name(method))),
                    )*)*
                    _ => return Err(MethodFault::Unknown(class_id, method_id)),
                };
                taken
                    .and_then(|method| reader.finish().map(|()| method))
                    .map_err(|fault| MethodFault::Argument(class_id, method_id, fault))
            }
        }

        $(
            $(#[$class_doc])*
            pub mod $module {
                #[allow(unused_imports, reason = "not every class has fields of every type")]
                use super::{Fault, Field, LongStr, Reader, ShortStr, Table, Writer};

                /// The number of the class.
                pub const CLASS_ID: u16 = $class_id;

                /// Any method of the class.
                #[derive(Clone, Debug, PartialEq, Eq)]
                pub enum Method {
                    $(
                        $(#[$doc])*
                        $name($name),
                    )*
                }

                impl Method {
                    /// The number of the method within its class.
                    pub const fn id(&self) -> u16 {
                        match self {
                            $(Self::$name(_) => $method_id,)*
                        }
                    }
                }

                $(
                    $(#[$doc])*
                    #[derive(Clone, Debug, Default, PartialEq, Eq)]
                    pub struct $name {
                        $(
                            #[doc = concat!("`", stringify!($field), "` of the specification.")]
                            pub $field: $ty,
                        )*
                    }

                    impl $name {
                        /// The number of the method within its class.
                        pub const METHOD_ID: u16 = $method_id;

                        #[allow(unused_variables, reason = "a method may have no fields")]
                        pub(super) fn take(reader: &mut Reader<'_>) -> Result<Self, Fault> {
                            Ok(Self { $($field: <$ty as Field>::take(reader)?,)* })
                        }

                        #[allow(unused_variables, reason = "a method may have no fields")]
                        pub(super) fn put(&self, writer: &mut Writer<'_>) {
                            $(self.$field.put(writer);)*
                        }
                    }

                    impl From<$name> for super::Method {
                        fn from(method: $name) -> Self {
                            Self::$class(Method::$name(method))
                        }
                    }
                )*
            }
        )*
    };
}

impl Method {
    /// Writes the payload of a method frame.
    pub(crate) fn put(&self, out: &mut BytesMut) {
        let (class_id, method_id) = self.id();
        out.put_u16(class_id);
        out.put_u16(method_id);
        self.put_arguments(&mut Writer::new(out));
    }
}

methods! {
    /// Class 10: the connection, from the first frame to the last.
    connection Connection = 10 {
        /// The server's first method: what it is and how to log in.
        Start = 10 {
            version_major: u8, version_minor: u8,
            server_properties: Table, mechanisms: LongStr, locales: LongStr,
        }
        /// The client's answer: what it is and who.
        StartOk = 11 {
            client_properties: Table, mechanism: ShortStr, response: LongStr, locale: ShortStr,
        }
        /// A challenge of a mechanism that has more than one step.
        Secure = 20 { challenge: LongStr }
        /// The answer to a challenge.
        SecureOk = 21 { response: LongStr }
        /// The limits that the server proposes.
        Tune = 30 { channel_max: u16, frame_max: u32, heartbeat: u16 }
        /// The limits that hold; there is no reply.
        TuneOk = 31 { channel_max: u16, frame_max: u32, heartbeat: u16 }
        /// Chooses the virtual host.
        Open = 40 { virtual_host: ShortStr, reserved_1: ShortStr, reserved_2: bool }
        /// The connection is open.
        OpenOk = 41 { reserved_1: ShortStr }
        /// Either side closes the connection, and names the guilty method.
        Close = 50 { reply_code: u16, reply_text: ShortStr, class_id: u16, method_id: u16 }
        /// The last method on a connection.
        CloseOk = 51 {}
        /// Publishing is being held up (RabbitMQ).
        Blocked = 60 { reason: ShortStr }
        /// Publishing goes on (RabbitMQ).
        Unblocked = 61 {}
        /// New credentials for a connection that is open (RabbitMQ).
        UpdateSecret = 70 { new_secret: LongStr, reason: ShortStr }
        /// The new credentials hold (RabbitMQ).
        UpdateSecretOk = 71 {}
    }
    /// Class 20: channels within a connection.
    channel Channel = 20 {
        /// Opens the channel that it is sent on.
        Open = 10 { reserved_1: ShortStr }
        /// The channel is open.
        OpenOk = 11 { reserved_1: LongStr }
        /// Asks the peer to stop or to go on sending content.
        Flow = 20 { active: bool }
        /// The answer to flow.
        FlowOk = 21 { active: bool }
        /// Either side closes the channel, and names the guilty method.
        Close = 40 { reply_code: u16, reply_text: ShortStr, class_id: u16, method_id: u16 }
        /// The channel number is free.
        CloseOk = 41 {}
    }
    /// Class 30: access tickets, dead since 0-8, still sent by old clients.
    access Access = 30 {
        /// Asks for a ticket.
        Request = 10 {
            realm: ShortStr, exclusive: bool, passive: bool, active: bool, write: bool, read: bool,
        }
        /// A ticket that nobody looks at.
        RequestOk = 11 { ticket: u16 }
    }
    /// Class 40: exchanges.
    exchange Exchange = 40 {
        /// Makes an exchange, or checks it.
        Declare = 10 {
            reserved_1: u16, exchange: ShortStr, kind: ShortStr, passive: bool, durable: bool,
            auto_delete: bool, internal: bool, nowait: bool, arguments: Table,
        }
        /// The exchange is there.
        DeclareOk = 11 {}
        /// Deletes an exchange.
        Delete = 20 { reserved_1: u16, exchange: ShortStr, if_unused: bool, nowait: bool }
        /// The exchange is gone.
        DeleteOk = 21 {}
        /// Binds an exchange to another (RabbitMQ).
        Bind = 30 {
            reserved_1: u16, destination: ShortStr, source: ShortStr, routing_key: ShortStr,
            nowait: bool, arguments: Table,
        }
        /// The exchanges are bound (RabbitMQ).
        BindOk = 31 {}
        /// Takes the binding of two exchanges away (RabbitMQ).
        Unbind = 40 {
            reserved_1: u16, destination: ShortStr, source: ShortStr, routing_key: ShortStr,
            nowait: bool, arguments: Table,
        }
        /// The exchanges are unbound; the number is no slip (RabbitMQ).
        UnbindOk = 51 {}
    }
    /// Class 50: queues.
    queue Queue = 50 {
        /// Makes a queue, or checks it.
        Declare = 10 {
            reserved_1: u16, queue: ShortStr, passive: bool, durable: bool, exclusive: bool,
            auto_delete: bool, nowait: bool, arguments: Table,
        }
        /// The queue is there, with so many messages ready.
        DeclareOk = 11 { queue: ShortStr, message_count: u32, consumer_count: u32 }
        /// Binds a queue to an exchange.
        Bind = 20 {
            reserved_1: u16, queue: ShortStr, exchange: ShortStr, routing_key: ShortStr,
            nowait: bool, arguments: Table,
        }
        /// The queue is bound.
        BindOk = 21 {}
        /// Throws away what is ready.
        Purge = 30 { reserved_1: u16, queue: ShortStr, nowait: bool }
        /// So many were thrown away.
        PurgeOk = 31 { message_count: u32 }
        /// Deletes a queue.
        Delete = 40 {
            reserved_1: u16, queue: ShortStr, if_unused: bool, if_empty: bool, nowait: bool,
        }
        /// The queue is gone, with so many messages.
        DeleteOk = 41 { message_count: u32 }
        /// Takes a binding away.
        Unbind = 50 {
            reserved_1: u16, queue: ShortStr, exchange: ShortStr, routing_key: ShortStr,
            arguments: Table,
        }
        /// The queue is unbound.
        UnbindOk = 51 {}
    }
    /// Class 60: messages, the only class with content.
    basic Basic = 60 {
        /// How much may be delivered without an acknowledgement.
        Qos = 10 { prefetch_size: u32, prefetch_count: u16, global: bool }
        /// The limit holds.
        QosOk = 11 {}
        /// Starts a consumer.
        Consume = 20 {
            reserved_1: u16, queue: ShortStr, consumer_tag: ShortStr, no_local: bool, no_ack: bool,
            exclusive: bool, nowait: bool, arguments: Table,
        }
        /// The consumer runs.
        ConsumeOk = 21 { consumer_tag: ShortStr }
        /// Ends a consumer; from the server: it has ended.
        Cancel = 30 { consumer_tag: ShortStr, nowait: bool }
        /// The consumer has ended.
        CancelOk = 31 { consumer_tag: ShortStr }
        /// A message for an exchange; content follows.
        Publish = 40 {
            reserved_1: u16, exchange: ShortStr, routing_key: ShortStr, mandatory: bool,
            immediate: bool,
        }
        /// A message that nobody takes; content follows.
        Return = 50 {
            reply_code: u16, reply_text: ShortStr, exchange: ShortStr, routing_key: ShortStr,
        }
        /// A message for a consumer; content follows.
        Deliver = 60 {
            consumer_tag: ShortStr, delivery_tag: u64, redelivered: bool, exchange: ShortStr,
            routing_key: ShortStr,
        }
        /// Asks for one message.
        Get = 70 { reserved_1: u16, queue: ShortStr, no_ack: bool }
        /// One message, and so many are left; content follows.
        GetOk = 71 {
            delivery_tag: u64, redelivered: bool, exchange: ShortStr, routing_key: ShortStr,
            message_count: u32,
        }
        /// No message is ready.
        GetEmpty = 72 { reserved_1: ShortStr }
        /// Settles deliveries; from the server: confirms publishes.
        Ack = 80 { delivery_tag: u64, multiple: bool }
        /// Gives one delivery back, or up.
        Reject = 90 { delivery_tag: u64, requeue: bool }
        /// Gives back all that is unsettled, without a reply.
        RecoverAsync = 100 { requeue: bool }
        /// Gives back all that is unsettled.
        Recover = 110 { requeue: bool }
        /// All was given back.
        RecoverOk = 111 {}
        /// Gives deliveries back, or up; from the server: a publish failed (RabbitMQ).
        Nack = 120 { delivery_tag: u64, multiple: bool, requeue: bool }
    }
    /// Class 85: publisher confirms (RabbitMQ).
    confirm Confirm = 85 {
        /// From here on publishes are confirmed.
        Select = 10 { nowait: bool }
        /// They are.
        SelectOk = 11 {}
    }
    /// Class 90: transactions.
    transaction Tx = 90 {
        /// Makes the channel transactional.
        Select = 10 {}
        /// It is.
        SelectOk = 11 {}
        /// Commits.
        Commit = 20 {}
        /// Committed.
        CommitOk = 21 {}
        /// Rolls back.
        Rollback = 30 {}
        /// Rolled back.
        RollbackOk = 31 {}
    }
}
