//! The operator's word: open, pause, resume, close; and the request to rebuild. Each is stored once and
//! repeated without effect; settlement publishes it.

use contract::ids::SaleId;
use contract::problem::Code;
use contract::sale::SaleState;
use deadpool_postgres::Pool;
use hyper::StatusCode;

use super::sales;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::sales::lease::Leases;

const SET_STATE: &str = include_str!("../../queries/set_state.sql");
const STATE: &str = "SELECT state FROM sale WHERE sale_id = $1";
const REQUEST_REBUILD: &str = include_str!("../../queries/request_rebuild.sql");

/// What an operator may do to a sale's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Action {
    Open,
    Pause,
    Resume,
    Close,
    Rebuild,
}

/// From which states an action leads where; a rebuild leaves the state as it is.
fn moves(action: Action) -> Option<(&'static [SaleState], SaleState)> {
    match action {
        Action::Open => Some((&[SaleState::Draft], SaleState::Open)),
        Action::Pause => Some((&[SaleState::Open], SaleState::Paused)),
        Action::Resume => Some((&[SaleState::Paused], SaleState::Open)),
        Action::Close => Some((&[SaleState::Open, SaleState::Paused], SaleState::Closed)),
        Action::Rebuild => None,
    }
}

/// Carries out an action.
pub(crate) async fn act(
    pool: &Pool,
    leases: &Leases,
    sale: &str,
    action: Action,
) -> Result<Response, Problem> {
    let sale = &sales::parse_sale_id(sale)?;
    match moves(action) {
        Some((from, to)) => move_to(pool, leases, sale, from, to).await,
        None => request_rebuild(pool, leases, sale).await,
    }
}

async fn request_rebuild(pool: &Pool, leases: &Leases, sale: &SaleId) -> Result<Response, Problem> {
    {
        let client = pool.get().await?;
        let statement = client.prepare_cached(REQUEST_REBUILD).await?;
        if client.execute(&statement, &[&sale.as_str()]).await? == 0 {
            client.query_opt(STATE, &[&sale.as_str()]).await?.ok_or(Code::UnknownSale)?;
            return Err(Problem::because(
                Code::IllegalMove,
                "A draft has nothing to rebuild: open the sale first.",
            ));
        }
    }
    tracing::info!(sale_id = %sale, "rebuild requested");
    sales::show(pool, leases, sale, StatusCode::ACCEPTED).await
}

async fn move_to(
    pool: &Pool,
    leases: &Leases,
    sale: &SaleId,
    from: &[SaleState],
    to: SaleState,
) -> Result<Response, Problem> {
    let from: Vec<&str> = from.iter().map(|state| state.as_str()).collect();
    {
        let client = pool.get().await?;
        let statement = client.prepare_cached(SET_STATE).await?;
        if client.execute(&statement, &[&sale.as_str(), &from, &to.as_str()]).await? == 0 {
            let row = client.query_opt(STATE, &[&sale.as_str()]).await?.ok_or(Code::UnknownSale)?;
            let state: &str = row.get(0);
            if state != to.as_str() {
                let detail = format!("The sale is {state}; this needs {}.", from.join(" or "));
                return Err(Problem::because(Code::IllegalMove, detail).with("state", state));
            }
        } else {
            tracing::info!(sale_id = %sale, state = to.as_str(), "state changed");
        }
    }
    sales::show(pool, leases, sale, StatusCode::OK).await
}
