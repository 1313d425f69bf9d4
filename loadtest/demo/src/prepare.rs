//! The two sales of the demonstration.

use std::time::Duration;

use anyhow::Context;
use contract::sale::SaleTerms;

use customers::admin::{self, Admin};
use customers::http::Authority;
use customers::sales;

use super::Arguments;

/// Their names.
#[derive(Debug)]
pub(super) struct Sales {
    /// Of this run alone.
    pub(super) burst: String,
    /// Its terms.
    pub(super) terms: SaleTerms,
    /// What the sample sale has left, per SKU.
    pub(super) sample: admin::SaleView,
}

impl Sales {
    /// What the burst sale offers.
    pub(super) const SKUS: [&'static str; 2] = ["SHIRT", "POSTER"];
}

/// From the end of the burst until the first unpaid orders expire: long enough to pay as many orders as a burst
/// makes on a small machine, short enough to be waited for.
const HOLD_AFTER_BURST: Duration = Duration::from_secs(16);

/// Makes both, and waits until every gateway sells them.
pub(super) async fn sales(arguments: &Arguments, gateways: &[Authority]) -> anyhow::Result<Sales> {
    let admin = Admin::at(&arguments.programs.admin_url)?;
    let burst = sales::fresh_id("burst");
    let hold = arguments.within + HOLD_AFTER_BURST;
    let terms = SaleTerms {
        hold_seconds: u32::try_from(hold.as_secs()).context("--within")?,
        ..sales::burst(arguments.units)
    };
    let (sample, _) =
        tokio::try_join!(sample(&admin, gateways), admin::make(&admin, gateways, &burst, &terms))?;
    Ok(Sales { burst, terms, sample })
}

/// The sample sale of an earlier run goes on: people may have bought from it.
async fn sample(admin: &Admin, gateways: &[Authority]) -> anyhow::Result<admin::SaleView> {
    let mut known = None;
    for gateway in gateways {
        known = known.or(admin::view(gateway, sales::SAMPLE).await?);
    }
    match known.as_ref().map(|view| view.state.as_str()) {
        None => admin::make(admin, gateways, sales::SAMPLE, &sales::sample()).await,
        Some("open") => admin::until_selling(gateways, sales::SAMPLE).await,
        Some(state) => {
            println!("  The sample sale is {state}; it is left as it is.");
            Ok(known.unwrap_or(admin::SaleView { state: String::new(), ready: false, items: Vec::new() }))
        }
    }
}
