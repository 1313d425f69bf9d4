//! The channel to the customer: e-mail by SMTP, to the address that the order was placed with. It goes to a
//! mail server that knows us by our network and relays it into the world; in the clear only where the network
//! can be trusted.

use std::time::Duration;

use contract::event::OrderEvent;
use contract::lifecycle::Language;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::client::Tls;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::message::{MessageKind, OrderDetails, write};
use crate::group::Failure;
use crate::tls::{TlsError, TrustStore};

/// One step of the conversation with the server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that are kept for the next message.
const CONNECTIONS_MAX: u32 = 4;

/// What a connection to the mail server is protected by, as in lettre's URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protection {
    /// `smtp://host`: nothing.
    None,
    /// `smtp://host?tls=required`: the server is asked for TLS (STARTTLS), and told nothing without it.
    StartTls,
    /// `smtps://host`: TLS from the first byte.
    Tls,
}

impl Protection {
    /// Where servers listen for it.
    fn port(self) -> u16 {
        match self {
            Self::None => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

/// Where the mail server is, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    host: String,
    port: u16,
    protection: Protection,
}

/// No place of a mail server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a mail server is written as smtp://host:port, smtp://host:port?tls=required or smtps://host:port")]
pub struct InvalidMailServer;

impl std::str::FromStr for MailServer {
    type Err = InvalidMailServer;

    fn from_str(text: &str) -> Result<Self, InvalidMailServer> {
        let uri: hyper::Uri = text.parse().map_err(|_| InvalidMailServer)?;
        let authority = uri.authority().ok_or(InvalidMailServer)?;
        let protection = match (uri.scheme_str(), uri.query()) {
            (Some("smtp"), None) => Protection::None,
            (Some("smtp"), Some("tls=required")) => Protection::StartTls,
            (Some("smtps"), None) => Protection::Tls,
            _ => return Err(InvalidMailServer),
        };
        let host = authority.host().trim_matches(['[', ']']).to_string();
        if host.is_empty() || authority.as_str().contains('@') || !matches!(uri.path(), "" | "/") {
            return Err(InvalidMailServer);
        }
        Ok(Self { host, port: authority.port_u16().unwrap_or(protection.port()), protection })
    }
}

/// The way to the mail server.
pub struct EmailChannel {
    smtp: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    language: Language,
}

impl EmailChannel {
    /// By this server, from this sender.
    pub fn new(
        server: &MailServer,
        from: Mailbox,
        language: Language,
        trust: &TrustStore,
    ) -> Result<Self, TlsError> {
        let tls = match server.protection {
            Protection::None => Tls::None,
            Protection::StartTls => Tls::Required(trust.smtp(&server.host)?),
            Protection::Tls => Tls::Wrapper(trust.smtp(&server.host)?),
        };
        let pool = PoolConfig::new().max_size(CONNECTIONS_MAX);
        let smtp = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host).port(server.port);
        let smtp = smtp.tls(tls).timeout(Some(TIMEOUT)).pool_config(pool).build();
        Ok(Self { smtp, from, language })
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
        kind: MessageKind,
        event: &OrderEvent,
        about: &OrderDetails,
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
    use super::{MailServer, Protection};

    #[test]
    fn a_mail_server_is_a_host_a_port_and_a_protection_and_no_password() {
        let server = |text: &str| text.parse::<MailServer>().ok();
        let at = |host: &str, port, protection| Some(MailServer { host: host.into(), port, protection });
        assert_eq!(server("smtp://127.0.0.1:8140"), at("127.0.0.1", 8140, Protection::None));
        assert_eq!(server("smtp://mail"), at("mail", 25, Protection::None));
        assert_eq!(server("smtp://[::1]:8140"), at("::1", 8140, Protection::None));
        assert_eq!(server("smtp://mail?tls=required"), at("mail", 587, Protection::StartTls));
        assert_eq!(server("smtp://mail:25/?tls=required"), at("mail", 25, Protection::StartTls));
        assert_eq!(server("smtps://mail"), at("mail", 465, Protection::Tls));
        for wrong in [
            "mail:25",
            "smtp://u:p@mail",
            "smtp://mail/path",
            "smtp://mail?tls=opportunistic", // whoever stands in between decides
            "smtps://mail?tls=none",
            "http://mail",
            "",
        ] {
            assert_eq!(server(wrong), None, "{wrong}");
        }
    }
}
