//! The pages that a run leaves open, each of them asked once before it is named: an address that does not answer
//! is not one to send anybody to.

use std::time::Duration;

use anyhow::Context;

use customers::http::{Authority, Connection};
use customers::request;
use customers::settings::Programs;
use terminal::{Style, Table, heading, styled};

/// Longest wait for a page.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A page for a browser.
struct Address {
    name: &'static str,
    server: String,
    path: &'static str,
    /// What one does there.
    hint: &'static str,
}

impl Address {
    fn url(&self) -> String {
        format!("{}{}", self.server, self.path)
    }

    async fn answers(&self) -> anyhow::Result<()> {
        let asked = async {
            let server = Authority::resolve(&self.server)?;
            let mut connection = Connection::open(server.address).await?;
            std::io::Result::Ok(connection.call(&request::get(&server.host, self.path)).await?.status)
        };
        let status = tokio::time::timeout(ANSWER_LIMIT, asked).await.context("no answer in time")??;
        // A server of pages may lead on to the first of them.
        anyhow::ensure!(matches!(status, 200 | 301 | 302 | 307 | 308), "status {status}");
        Ok(())
    }
}

/// All that this system has.
fn all(programs: &Programs) -> Vec<Address> {
    let base = |url: &str| url.trim_end_matches('/').to_owned();
    let (gateway, admin) = (base(&programs.gateway_url), base(&programs.admin_url));
    let page = |name, server: &str, path, hint| Address { name, server: server.to_owned(), path, hint };
    let mut pages = vec![
        page("storefront", &gateway, "/", "buy from the sale 'sample', under any name"),
        page("operator's view", &admin, "/", "the token is dev-admin"),
        page("Swagger UI", &admin, "/docs", "every call of both listeners, to be tried out"),
    ];
    if let Some(prometheus) = &programs.prometheus_url {
        pages.push(page("Prometheus", &base(prometheus), "/", "metrics, objectives and alerts"));
    }
    pages
}

/// What is open, and whether all of it answers.
pub(super) struct Open {
    /// As a reader sees it.
    pub(super) text: String,
    /// Pages that do not answer.
    pub(super) silent: usize,
}

/// Asks each.
pub(super) async fn open(programs: &Programs) -> Open {
    let mut table = Table::default();
    let mut silent = 0;
    for page in all(programs) {
        let what = match page.answers().await {
            Ok(()) => page.hint.to_owned(),
            Err(error) => {
                silent += 1;
                styled(Style::Bad, &format!("does not answer: {error:#}"))
            }
        };
        table.row([page.name.to_owned(), page.url(), what]);
    }
    table.row(["in a terminal", "./dev flashsale watch", "stock, rates and lag, live"]);
    Open { text: format!("{}\n{table}", heading("Open now")), silent }
}
