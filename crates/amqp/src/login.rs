//! Who the client says it is: the PLAIN and AMQPLAIN mechanisms.
//!
//! Until users exist every name and password is taken; what is checked is the form.

use amqp_codec::{LongStr, Table, Value};

/// The mechanisms, the preferred one first.
pub(crate) const MECHANISMS: &str = "PLAIN AMQPLAIN";

/// Why nobody is logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginFault {
    /// Not one of [`MECHANISMS`].
    Mechanism,
    /// The response is not what the mechanism says.
    Response,
}

/// The name in the response to connection.start.
pub(crate) fn user(mechanism: &[u8], response: &LongStr) -> Result<Vec<u8>, LoginFault> {
    match mechanism {
        b"PLAIN" => plain(&response.0),
        b"AMQPLAIN" => amqplain(response),
        _ => Err(LoginFault::Mechanism),
    }
}

/// RFC 4616: `[authorization] NUL name NUL password`.
fn plain(response: &[u8]) -> Result<Vec<u8>, LoginFault> {
    let mut parts = response.split(|&byte| byte == 0);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(name), Some(_), None) => Ok(name.to_vec()),
        _ => Err(LoginFault::Response),
    }
}

/// A table without its length: LOGIN and PASSWORD.
fn amqplain(response: &LongStr) -> Result<Vec<u8>, LoginFault> {
    let table = Table::checked(response.0.clone()).map_err(|_| LoginFault::Response)?;
    match (table.view().get("LOGIN"), table.view().get("PASSWORD")) {
        (Some(Value::LongStr(name)), Some(Value::LongStr(_))) => Ok(name.to_vec()),
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
        assert_eq!(user(b"PLAIN", &plain), Ok(b"guest".to_vec()));
        let table = TableWriter::new()
            .with("LOGIN", Value::LongStr(b"guest"))
            .with("PASSWORD", Value::LongStr(b"secret"))
            .finish();
        let response = LongStr(table.as_bytes().clone());
        assert_eq!(user(b"AMQPLAIN", &response), Ok(b"guest".to_vec()));
    }

    #[test]
    fn responses_of_another_form_log_nobody_in() {
        let response = LongStr::from_static("guest");
        assert_eq!(user(b"PLAIN", &response), Err(LoginFault::Response));
        assert_eq!(user(b"AMQPLAIN", &response), Err(LoginFault::Response));
        assert_eq!(user(b"EXTERNAL", &response), Err(LoginFault::Mechanism));
    }
}
