//! People buy: the customer's page in a real browser, on a whole system with card payments. The journeys are in
//! `storefront/browser/shop.js`.

use testkit::system::Shape;
use testkit::{CardPayments, System};

#[tokio::test(flavor = "multi_thread")]
async fn people_buy_in_a_browser_whatever_happens_to_the_sale_or_to_their_connection() {
    let gateway_args = ["--storefront".to_owned()].into_iter().chain(CardPayments::gateway_args()).collect();
    let fast = ["--delivery-ship-after", "1", "--delivery-scan-after", "1", "--delivery-deliver-after", "1"];
    let settlement_args = fast.map(String::from).to_vec();
    let system = System::start(Shape { gateway_args, settlement_args, ..Shape::default() }).await;
    let _paying = CardPayments::start(&system).await;
    testkit::browser::run_journeys("shop.js", &system).await;
}
