//! Who the client says it is: the PLAIN and AMQPLAIN mechanisms.
//!
//! What is checked here is the form; who is let in decides the broker.

use amqp_codec::{LongStr, Table, Value};
use bytes::Bytes;
use protocol::{Credentials, Secret};

/// The mechanisms, the preferred one first.
pub(crate) const MECHANISMS: &str = "PLAIN AMQPLAIN";

/// A name, and the password that is to prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Vec<u8>,
    password: Secret,
}

impl Login {
    fn new(user: &[u8], password: &[u8]) -> Self {
        Self { user: user.to_vec(), password: Secret(Bytes::copy_from_slice(password)) }
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::Password {
            user: Bytes::copy_from_slice(&self.user),
            password: self.password.clone(),
        }
    }
}

/// Why nobody is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginFault {
    /// Not one of [`MECHANISMS`].
    Mechanism,
    /// The response is not what the mechanism says.
    Response,
}

/// Who the response to connection.start says that the client is: a name and a password.
pub(crate) fn read(mechanism: &[u8], response: &LongStr) -> Result<Login, LoginFault> {
    match mechanism {
        b"PLAIN" => plain(&response.0),
        b"AMQPLAIN" => amqplain(response),
        _ => Err(LoginFault::Mechanism),
    }
}

/// RFC 4616: `[authorization] NUL name NUL password`.
fn plain(response: &[u8]) -> Result<Login, LoginFault> {
    let mut parts = response.split(|&byte| byte == 0);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(name), Some(password), None) => Ok(Login::new(name, password)),
        _ => Err(LoginFault::Response),
    }
}

/// A table without its length: LOGIN and PASSWORD.
fn amqplain(response: &LongStr) -> Result<Login, LoginFault> {
    let table = Table::checked(response.0.clone()).map_err(|_| LoginFault::Response)?;
    match (table.view().get("LOGIN"), table.view().get("PASSWORD")) {
        (Some(Value::LongStr(name)), Some(Value::LongStr(password))) => {
            Ok(Login::new(name, password))
        }
        _ => Err(LoginFault::Response),
    }
}

#[cfg(test)]
mod tests {
    use amqp_codec::TableWriter;

    use super::*;

    #[test]
    fn both_mechanisms_name_the_user() {
        let plain = LongStr::from_static("\0guest\0secret");
        let guest = Login::new(b"guest", b"secret");
        assert_eq!(read(b"PLAIN", &plain), Ok(guest.clone()));
        let table = TableWriter::new()
            .with("LOGIN", Value::LongStr(b"guest"))
            .with("PASSWORD", Value::LongStr(b"secret"))
            .finish();
        let response = LongStr(table.as_bytes().clone());
        assert_eq!(read(b"AMQPLAIN", &response), Ok(guest));
    }

    #[test]
    fn responses_of_another_form_log_nobody_in() {
        let response = LongStr::from_static("guest");
        assert_eq!(read(b"PLAIN", &response), Err(LoginFault::Response));
        assert_eq!(read(b"AMQPLAIN", &response), Err(LoginFault::Response));
        assert_eq!(read(b"EXTERNAL", &response), Err(LoginFault::Mechanism));
    }
}
