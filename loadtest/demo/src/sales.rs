//! The two sales of the demonstration.

use std::time::Duration;

use anyhow::Context;
use contract::sale::SaleTerms;
use customers::admin::{self, Admin, SaleView};
use customers::http::Authority;
use customers::sales;

use super::Arguments;

/// The sales of a run.
#[derive(Debug)]
pub(super) struct DemoSales {
    /// The id of the burst sale, which is unique to this run.
    pub(super) burst: String,
    /// The terms of the burst sale.
    pub(super) terms: SaleTerms,
    /// The sample sale with the remaining units of each SKU.
    pub(super) sample: SaleView,
}

/// The time from the end of the burst until the first unpaid orders expire: long enough to pay for the orders
/// of a burst on a small machine, and short enough to wait for.
const HOLD_AFTER_BURST: Duration = Duration::from_secs(16);

impl DemoSales {
    /// The SKUs of the burst sale.
    pub(super) const SKUS: [&'static str; 2] = ["SHIRT", "POSTER"];

    /// Creates both sales, and waits until every gateway sells them.
    pub(super) async fn create(arguments: &Arguments, gateways: &[Authority]) -> anyhow::Result<Self> {
        let admin = Admin::new(&arguments.programs.admin_url)?;
        let burst = sales::unique_id("burst");
        let hold = arguments.within + HOLD_AFTER_BURST;
        let terms = SaleTerms {
            hold_seconds: u32::try_from(hold.as_secs()).context("--within")?,
            ..sales::burst(arguments.units)
        };
        let (sample, _) = tokio::try_join!(
            open_sample(&admin, gateways),
            admin::create_sale(&admin, gateways, &burst, &terms)
        )?;
        Ok(Self { burst, terms, sample })
    }
}

/// Opens the sample sale. The sample sale of an earlier run is kept, because it may have orders.
async fn open_sample(admin: &Admin, gateways: &[Authority]) -> anyhow::Result<SaleView> {
    let mut existing = None;
    for gateway in gateways {
        existing = existing.or(admin::fetch_sale(gateway, sales::SAMPLE).await?);
    }
    match existing {
        None => admin::create_sale(admin, gateways, sales::SAMPLE, &sales::sample()).await,
        Some(view) if view.state == "open" => admin::wait_until_selling(gateways, sales::SAMPLE).await,
        Some(view) => {
            println!("  The sample sale is {} and stays so.", view.state);
            Ok(view)
        }
    }
}
