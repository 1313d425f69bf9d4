//! The pages that are available after a run. Each page is requested before it is listed, so that no listed
//! address is broken.

use std::time::Duration;

use anyhow::Context;
use customers::http::{Authority, Connection};
use customers::request;
use customers::settings::Programs;
use terminal::{Style, Table, heading, styled};

/// The longest wait for a page.
const RESPONSE_LIMIT: Duration = Duration::from_secs(10);

/// A page for a browser.
struct Page {
    name: &'static str,
    server: String,
    path: &'static str,
    /// What the page is for.
    hint: &'static str,
}

impl Page {
    fn url(&self) -> String {
        format!("{}{}", self.server, self.path)
    }

    /// Requests the page; an error means that it is not available.
    async fn check(&self) -> anyhow::Result<()> {
        let call = async {
            let server = Authority::resolve(&self.server)?;
            let mut connection = Connection::open(server.address).await?;
            std::io::Result::Ok(connection.call(&request::get(&server.host, self.path)).await?.status)
        };
        let status = tokio::time::timeout(RESPONSE_LIMIT, call).await.context("no response in time")??;
        // A server may redirect to its first page.
        anyhow::ensure!(matches!(status, 200 | 301 | 302 | 307 | 308), "status {status}");
        Ok(())
    }
}

fn all(programs: &Programs) -> Vec<Page> {
    let base = |url: &str| url.trim_end_matches('/').to_owned();
    let (gateway, admin) = (base(&programs.gateway_url), base(&programs.admin_url));
    let page = |name, server: &str, path, hint| Page { name, server: server.to_owned(), path, hint };
    let mut pages = vec![
        page("storefront", &gateway, "/", "buy from the sale 'sample' with any name"),
        page("operator's view", &admin, "/", "the token is dev-admin"),
        page("Swagger UI", &admin, "/docs", "try out every call of both listeners"),
    ];
    if let Some(prometheus) = &programs.prometheus_url {
        pages.push(page("Prometheus", &base(prometheus), "/", "metrics, objectives and alerts"));
    }
    pages
}

/// The list of pages with their availability.
pub(super) struct PageList {
    /// The printed list.
    pub(super) text: String,
    /// The number of pages that are not available.
    pub(super) unavailable: usize,
}

/// Requests every page and lists the results.
pub(super) async fn check_all(programs: &Programs) -> PageList {
    let mut table = Table::default();
    let mut unavailable = 0;
    for page in all(programs) {
        let note = match page.check().await {
            Ok(()) => page.hint.to_owned(),
            Err(error) => {
                unavailable += 1;
                styled(Style::Bad, &format!("not available: {error:#}"))
            }
        };
        table.row([page.name.to_owned(), page.url(), note]);
    }
    table.row(["in a terminal", "./dev flashsale watch", "live stock, rates and lag"]);
    PageList { text: format!("{}\n{table}", heading("Open pages")), unavailable }
}
