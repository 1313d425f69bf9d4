//! The channel to the customer: e-mail by SMTP, to the address that the order was placed with. It goes to a
//! mail server on a trusted network, in the clear and without a password, which relays it into the world.

use std::time::Duration;

use contract::event::OrderEvent;
use contract::lifecycle::Language;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::message::{About, Kind, write};
use crate::group::Failure;

/// One step of the conversation with the server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that are kept for the next message.
const CONNECTIONS_MAX: u32 = 4;
/// The port of SMTP.
const PORT: u16 = 25;

/// Where the mail server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    host: String,
    port: u16,
}

/// No place of a mail server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a mail server is written as smtp://host:port")]
pub struct InvalidMailServer;

impl std::str::FromStr for MailServer {
    type Err = InvalidMailServer;

    fn from_str(text: &str) -> Result<Self, InvalidMailServer> {
        let uri: hyper::Uri = text.parse().map_err(|_| InvalidMailServer)?;
        let authority = uri.authority().ok_or(InvalidMailServer)?;
        let plain = uri.scheme_str() == Some("smtp") && !authority.as_str().contains('@');
        let host = authority.host().trim_matches(['[', ']']).to_string();
        if plain && !host.is_empty() && matches!(uri.path(), "" | "/") {
            Ok(Self { host, port: authority.port_u16().unwrap_or(PORT) })
        } else {
            Err(InvalidMailServer)
        }
    }
}

/// The way to the mail server.
pub struct Email {
    smtp: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    language: Language,
}

impl Email {
    /// By this server, from this sender.
    pub fn new(server: &MailServer, from: Mailbox, language: Language) -> Self {
        let pool = PoolConfig::new().max_size(CONNECTIONS_MAX);
        let smtp = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host).port(server.port);
        Self { smtp: smtp.timeout(Some(TIMEOUT)).pool_config(pool).build(), from, language }
    }

    /// A message's id: the same at every try, so that a mailbox can tell that it has it.
    pub fn message_id(&self, event_id: &str) -> String {
        format!("<{event_id}.order@{}>", self.from.email.domain())
    }

    /// Tells.
    pub async fn send(
        &self,
        message_id: &str,
        to: &str,
        kind: Kind,
        event: &OrderEvent,
        about: &About,
    ) -> Result<(), Failure> {
        let to: Mailbox =
            to.parse().map_err(|error| Failure::Poison(format!("e-mail: no address: {error}")))?;
        let words = write(kind, self.language, event, about);
        let message = Message::builder()
            .message_id(Some(message_id.into()))
            .from(self.from.clone())
            .to(to)
            .subject(words.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(words.text)
            .map_err(|error| Failure::Poison(format!("e-mail: {error}")))?;
        match self.smtp.send(message).await {
            Ok(_) => Ok(()),
            // 5xx: the server will never take it.
            Err(error) if error.is_permanent() => Err(Failure::Poison(format!("e-mail: {error}"))),
            Err(error) => Err(Failure::Retriable(format!("e-mail: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MailServer;

    #[test]
    fn a_mail_server_is_a_host_and_a_port_and_no_password() {
        let server = |text: &str| text.parse::<MailServer>().ok().map(|server| (server.host, server.port));
        assert_eq!(server("smtp://127.0.0.1:8140"), Some(("127.0.0.1".into(), 8140)));
        assert_eq!(server("smtp://mail"), Some(("mail".into(), 25)));
        assert_eq!(server("smtp://[::1]:8140"), Some(("::1".into(), 8140)));
        for wrong in ["mail:25", "smtps://mail", "smtp://u:p@mail", "smtp://mail/path", "http://mail", ""] {
            assert_eq!(server(wrong), None, "{wrong}");
        }
    }
}
