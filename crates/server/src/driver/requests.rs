//! The broker as a worker sees it; a trait, so that tests can put their own in its place.

use std::time::Instant;

use broker::{Completion, Desk, Port};
use protocol::{ConnId, Now, Request, Token};

/// Takes requests of one worker's connections. What it has for connections goes to the port, at
/// once or in a later call; it is never called from inside of itself.
pub trait Requests: Send + 'static {
    /// What the engine's thread hands back through the mailbox.
    type Completion: Send + 'static;

    /// Carries a request out.
    fn request(
        &mut self,
        now: Now,
        conn: ConnId,
        token: Option<Token>,
        request: Request,
        port: &mut dyn Port,
    );

    /// Goes on with what the engine finished.
    fn complete(&mut self, now: Now, completion: Self::Completion, port: &mut dyn Port);

    /// Forgets a connection, after its last request.
    fn gone(&mut self, now: Now, conn: ConnId, port: &mut dyn Port);

    /// The connection's unsent bytes crossed the high mark (`stopped`) or the low one.
    fn flow(&mut self, now: Now, conn: ConnId, stopped: bool, port: &mut dyn Port);

    /// Whether sockets had better wait: so much is on its way to the disk that more is refused soon.
    fn is_congested(&self) -> bool {
        false
    }

    /// Whether sessions are to know that publishing is refused for want of room.
    fn is_pressed(&self) -> bool {
        false
    }

    /// When [`Requests::timeout`] is due.
    fn deadline(&self) -> Option<Instant>;

    /// Does what is due.
    fn timeout(&mut self, now: Now, port: &mut dyn Port);
}

impl Requests for Desk {
    type Completion = Completion;

    fn request(
        &mut self,
        now: Now,
        conn: ConnId,
        token: Option<Token>,
        request: Request,
        port: &mut dyn Port,
    ) {
        Self::request(self, now, conn, token, request, port);
    }

    fn complete(&mut self, now: Now, completion: Completion, port: &mut dyn Port) {
        Self::complete(self, now, completion, port);
    }

    fn gone(&mut self, now: Now, conn: ConnId, port: &mut dyn Port) {
        Self::gone(self, now, conn, port);
    }

    fn flow(&mut self, now: Now, conn: ConnId, stopped: bool, port: &mut dyn Port) {
        Self::flow(self, now, conn, stopped, port);
    }

    fn is_congested(&self) -> bool {
        Self::is_congested(self)
    }

    fn is_pressed(&self) -> bool {
        Self::is_pressed(self)
    }

    fn deadline(&self) -> Option<Instant> {
        Self::deadline(self)
    }

    fn timeout(&mut self, now: Now, port: &mut dyn Port) {
        Self::timeout(self, now, port);
    }
}
