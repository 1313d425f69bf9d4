//! The operator's actions on a sale: open, pause, resume, close, and the request of a rebuild. Each is stored once;
//! repeating it has no effect. Settlement publishes it.

use contract::ids::SaleId;
use contract::problem::Code;
use contract::sale::SaleState;
use deadpool_postgres::Pool;
use hyper::StatusCode;

use super::sales;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::queries::{RequestRebuild, SelectSaleState, SetState};
use crate::sales::lease::Leases;

/// An operator's action on a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the variants are the last parts of the paths
pub(crate) enum Action {
    Open,
    Pause,
    Resume,
    Close,
    Rebuild,
}

/// Returns the states in which an action is allowed and the state to which it leads; `None` for a rebuild, which does
/// not change the state.
fn transition(action: Action) -> Option<(&'static [SaleState], SaleState)> {
    match action {
        Action::Open => Some((&[SaleState::Draft], SaleState::Open)),
        Action::Pause => Some((&[SaleState::Open], SaleState::Paused)),
        Action::Resume => Some((&[SaleState::Paused], SaleState::Open)),
        Action::Close => Some((&[SaleState::Open, SaleState::Paused], SaleState::Closed)),
        Action::Rebuild => None,
    }
}

/// Performs an action.
pub(crate) async fn act(
    pool: &Pool,
    leases: &Leases,
    sale: &str,
    action: Action,
) -> Result<Response, Problem> {
    let sale = &sales::parse_sale_id(sale)?;
    match transition(action) {
        Some((from, to)) => move_to(pool, leases, sale, from, to).await,
        None => request_rebuild(pool, leases, sale).await,
    }
}

async fn request_rebuild(pool: &Pool, leases: &Leases, sale: &SaleId) -> Result<Response, Problem> {
    {
        let client = pool.get().await?;
        if (RequestRebuild { sale_id: sale }).execute(&client).await? == 0 {
            SelectSaleState { sale_id: sale }.fetch(&client).await?.ok_or(Code::UnknownSale)?;
            return Err(Problem::because(
                Code::IllegalMove,
                "A draft has nothing to rebuild: open the sale first.",
            ));
        }
    }
    tracing::info!(sale_id = %sale, "operator requested a rebuild");
    sales::show(pool, leases, sale, StatusCode::ACCEPTED).await
}

async fn move_to(
    pool: &Pool,
    leases: &Leases,
    sale: &SaleId,
    from: &[SaleState],
    to: SaleState,
) -> Result<Response, Problem> {
    {
        let client = pool.get().await?;
        if (SetState { state: to, sale_id: sale, from_states: from }).execute(&client).await? == 0 {
            let row = SelectSaleState { sale_id: sale }.fetch(&client).await?.ok_or(Code::UnknownSale)?;
            if row.state != to {
                let from: Vec<&str> = from.iter().map(|state| state.as_str()).collect();
                let (state, from) = (row.state.as_str(), from.join(" or "));
                let detail = format!("The sale is {state}; this action requires {from}.");
                return Err(Problem::because(Code::IllegalMove, detail).with("state", state));
            }
        } else {
            tracing::info!(sale_id = %sale, state = to.as_str(), "sale state was changed");
        }
    }
    sales::show(pool, leases, sale, StatusCode::OK).await
}
