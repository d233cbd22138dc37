//! AMQP 0-9-1 as RabbitMQ speaks it: bytes to frames and methods and back, without I/O.
