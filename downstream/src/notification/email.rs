//! The channel to the customer: e-mail by SMTP, to the address that the order was placed with. The mail server accepts
//! the messages because of the network that they come from, and relays them to the internet. The connection is
//! unencrypted only where the network can be trusted.

use std::time::Duration;

use contract::lifecycle::Language;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::client::Tls;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::channel::Channel;
use super::message::Notification;
use crate::group::Failure;
use crate::tls::{TlsError, TrustStore};

/// The time limit of one SMTP command.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The greatest number of connections that are kept open for further messages.
const CONNECTIONS_MAX: u32 = 4;

/// The protection of the connection to the mail server, written as in lettre's URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protection {
    /// `smtp://host`: the connection is not encrypted.
    None,
    /// `smtp://host?tls=required`: STARTTLS is required, and nothing is sent without it.
    StartTls,
    /// `smtps://host`: the connection uses TLS from the first byte.
    Tls,
}

impl Protection {
    /// Returns the port on which mail servers listen by default.
    fn port(self) -> u16 {
        match self {
            Self::None => 25,
            Self::StartTls => 587,
            Self::Tls => 465,
        }
    }
}

/// The address of the mail server and the protection of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    host: String,
    port: u16,
    protection: Protection,
}

/// The text is not the URL of a mail server.
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

/// Sends e-mails by SMTP.
pub struct EmailChannel {
    smtp: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    language: Language,
}

impl EmailChannel {
    /// Creates a channel that uses this server, sender and language.
    pub fn new(
        server: &MailServer,
        from: Mailbox,
        language: Language,
        trust: &TrustStore,
    ) -> Result<Self, TlsError> {
        let tls = match server.protection {
            Protection::None => Tls::None,
            Protection::StartTls => Tls::Required(trust.smtp_parameters(&server.host)?),
            Protection::Tls => Tls::Wrapper(trust.smtp_parameters(&server.host)?),
        };
        let pool = PoolConfig::new().max_size(CONNECTIONS_MAX);
        let smtp = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host).port(server.port);
        let smtp = smtp.tls(tls).timeout(Some(TIMEOUT)).pool_config(pool).build();
        Ok(Self { smtp, from, language })
    }
}

impl Channel for EmailChannel {
    const NAME: &'static str = "email";

    fn has_recipient(&self, notification: Notification<'_>) -> bool {
        notification.details.email.is_some()
    }

    fn message_id(&self, event_id: &str) -> String {
        format!("<{event_id}.order@{}>", self.from.email.domain())
    }

    async fn send(&self, message_id: &str, notification: Notification<'_>) -> Result<(), Failure> {
        let to = notification.details.email.as_deref().unwrap_or_default();
        let to: Mailbox =
            to.parse().map_err(|error| Failure::Poison(format!("e-mail: invalid address: {error}")))?;
        let text = notification.render(self.language);
        let message = Message::builder()
            .message_id(Some(message_id.into()))
            .from(self.from.clone())
            .to(to)
            .subject(text.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(text.body)
            .map_err(|error| Failure::Poison(format!("e-mail: {error}")))?;
        match self.smtp.send(message).await {
            Ok(_) => Ok(()),
            // A 5xx reply is permanent: the server will never accept the message.
            Err(error) if error.is_permanent() => Err(Failure::Poison(format!("e-mail: {error}"))),
            Err(error) => Err(Failure::Retriable(format!("e-mail: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MailServer, Protection};

    #[test]
    fn a_mail_server_has_a_host_a_port_and_a_protection_and_no_password() {
        let parse = |text: &str| text.parse::<MailServer>().ok();
        let server = |host: &str, port, protection| Some(MailServer { host: host.into(), port, protection });
        assert_eq!(parse("smtp://127.0.0.1:8140"), server("127.0.0.1", 8140, Protection::None));
        assert_eq!(parse("smtp://mail"), server("mail", 25, Protection::None));
        assert_eq!(parse("smtp://[::1]:8140"), server("::1", 8140, Protection::None));
        assert_eq!(parse("smtp://mail?tls=required"), server("mail", 587, Protection::StartTls));
        assert_eq!(parse("smtp://mail:25/?tls=required"), server("mail", 25, Protection::StartTls));
        assert_eq!(parse("smtps://mail"), server("mail", 465, Protection::Tls));
        for invalid in [
            "mail:25",
            "smtp://u:p@mail",
            "smtp://mail/path",
            "smtp://mail?tls=opportunistic", // an attacker in the middle could disable TLS
            "smtps://mail?tls=none",
            "http://mail",
            "",
        ] {
            assert_eq!(parse(invalid), None, "{invalid}");
        }
    }
}
