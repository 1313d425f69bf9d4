//! An SMTP server for one test, which stores received mails in a Maildir.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use stack::Protocol;

use crate::program::{Program, start_server};

/// A running server, which ends when it is dropped.
pub struct MailServer {
    address: SocketAddr,
    maildir: PathBuf,
    program: Program,
}

impl MailServer {
    /// Starts a server without mails.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts a server with further arguments of its program, for example for TLS.
    pub async fn start_with(args: &[&str]) -> Self {
        let maildir = std::env::temp_dir().join(crate::fresh("mail"));
        let (program, address) = start_server(Protocol::Tcp, |address| {
            let mut command = Command::new("aiosmtpd");
            command
                .args(args)
                .args(["-n", "-l", &address.to_string(), "-c", "aiosmtpd.handlers.Mailbox"])
                .arg(&maildir)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        })
        .await;
        Self { address, maildir, program }
    }

    /// Returns the server's URL.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Returns the address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns all mails so far, in their wire format.
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
        self.program.kill();
        let _ = std::fs::remove_dir_all(&self.maildir); // a leftover in the temporary folder is harmless
    }
}
