//! The customer's page in a real browser, with a complete system including card payments. The journeys are in
//! `storefront/browser/shop.js`.

use testkit::system::Shape;
use testkit::{CardPayments, System};

#[tokio::test(flavor = "multi_thread")]
async fn customers_buy_in_a_browser_despite_changes_of_the_sale_and_lost_connections() {
    let gateway_args = ["--storefront".to_owned()].into_iter().chain(CardPayments::gateway_args()).collect();
    let fast = ["--delivery-ship-after", "1", "--delivery-scan-after", "1", "--delivery-deliver-after", "1"];
    let settlement_args = fast.map(String::from).to_vec();
    let system = System::start(Shape { gateway_args, settlement_args, ..Shape::default() }).await;
    let _paying = CardPayments::start(&system).await;
    testkit::browser::run_journeys("shop.js", &system).await;
}
