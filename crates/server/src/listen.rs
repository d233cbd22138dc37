//! Listening sockets: bound early, listened on once everything behind them stands.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be taken.
const BACKLOG: i32 = 1024;

/// A bound socket.
#[derive(Debug)]
pub struct Bound {
    socket: Socket,
    what: String,
}

/// An address cannot be had: one line with what to do.
#[derive(Debug, thiserror::Error)]
#[error("{what}: cannot listen on {address}: {why}")]
pub struct Unavailable {
    what: String,
    address: SocketAddr,
    why: String,
    /// What the system said.
    #[source]
    error: io::Error,
}

impl Unavailable {
    fn new(what: &str, address: SocketAddr, error: io::Error) -> Self {
        let port = address.port();
        let kind = error.kind();
        let why = if kind == io::ErrorKind::AddrInUse {
            format!(
                "port {port} is in use by another program; stop that one, or set {what}.listen to \
                 another port"
            )
        } else if kind == io::ErrorKind::PermissionDenied {
            format!("this user may not use port {port}; set {what}.listen to a port above 1023")
        } else if kind == io::ErrorKind::AddrNotAvailable {
            format!("this machine has no such address; correct {what}.listen")
        } else {
            format!("{error}; see {what}.listen")
        };
        Self { what: what.to_owned(), address, why, error }
    }

    /// Whether the machine does not have this address at all.
    pub fn is_no_address(&self) -> bool {
        // A machine without IPv6 says either.
        self.error.kind() == io::ErrorKind::AddrNotAvailable
            || self.error.kind() == io::ErrorKind::Unsupported
            || self.error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
    }
}

/// Binds an address for `what`, a section of the configuration.
///
/// # Errors
///
/// [`Unavailable`].
pub fn bind(what: &str, address: SocketAddr) -> Result<Bound, Unavailable> {
    let bound = || {
        let kind = Type::STREAM.nonblocking();
        let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    match bound() {
        Ok(socket) => Ok(Bound { socket, what: what.to_owned() }),
        Err(error) => Err(Unavailable::new(what, address, error)),
    }
}

impl Bound {
    /// Starts to listen, and says so in the log.
    ///
    /// # Errors
    ///
    /// [`Unavailable`].
    pub fn listen(self) -> Result<TcpListener, Unavailable> {
        let address = self.socket.local_addr().ok().and_then(|address| address.as_socket());
        let address = address.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        match self.socket.listen(BACKLOG) {
            Ok(()) => {
                tracing::info!("listening {} {address}", self.what);
                Ok(self.socket.into())
            }
            Err(error) => Err(Unavailable::new(&self.what, address, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_is_named_with_the_key_that_changes_it() {
        let first = bind("mqtt", "127.0.0.1:0".parse().unwrap()).unwrap().listen().unwrap();
        let address = first.local_addr().unwrap();
        let line = match bind("mqtt", address) {
            Ok(bound) => bound.listen().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        let port = address.port();
        let expected = format!(
            "mqtt: cannot listen on {address}: port {port} is in use by another program; stop that \
             one, or set mqtt.listen to another port"
        );
        assert_eq!(line, expected);
    }
}
