//! An SMTP server of the test's own, which puts what it gets into a Maildir.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tokio::net::TcpStream;

use crate::system::free_address;
use crate::until;

/// A running server; ended with the value.
pub struct MailServer {
    address: SocketAddr,
    maildir: PathBuf,
    child: Child,
}

impl MailServer {
    /// Starts it, without mails.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further arguments of its program: TLS.
    pub async fn start_with(args: &[&str]) -> Self {
        let (address, maildir) = (free_address(), std::env::temp_dir().join(crate::fresh("mail")));
        let child = Command::new("aiosmtpd")
            .args(args)
            .args(["-n", "-l", &address.to_string(), "-c", "aiosmtpd.handlers.Mailbox"])
            .arg(&maildir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("aiosmtpd is installed");
        let server = Self { address, maildir, child };
        until("the mail server answers", async || TcpStream::connect(address).await.is_ok()).await;
        server
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every mail so far, as it is on the wire.
    pub fn mails(&self) -> Vec<String> {
        let Ok(files) = std::fs::read_dir(self.maildir.join("new")) else { return vec![] };
        let mut mails: Vec<String> = files
            .filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok())
            .map(|mail| mail.replace("\r\n", "\n"))
            .collect();
        mails.sort();
        mails
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.maildir); // left-overs in the temporary folder do no harm
    }
}
