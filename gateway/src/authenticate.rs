//! Who calls. In this version the only identities are those of development mode, an explicit flag;
//! without it the gateway does not start, so that nothing is served to people it cannot tell apart.

use contract::ids::CustomerId;
use contract::problem::Code;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

/// A caller's role and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Buys.
    Customer(CustomerId),
    /// Operates.
    Admin,
}

/// Reads `Authorization: Bearer dev:<customer>` and `Bearer dev-admin`.
pub fn caller(headers: &HeaderMap) -> Result<Caller, Code> {
    let value = headers.get(AUTHORIZATION).ok_or(Code::Unauthenticated)?;
    let text = value.to_str().map_err(|_| Code::Unauthenticated)?;
    let (scheme, token) = text.split_once(' ').ok_or(Code::Unauthenticated)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Code::Unauthenticated);
    }
    match token.trim().strip_prefix("dev") {
        Some("-admin") => Ok(Caller::Admin),
        Some(rest) => {
            let name = rest.strip_prefix(':').ok_or(Code::Unauthenticated)?;
            CustomerId::parse(name).map(Caller::Customer).map_err(|_| Code::Unauthenticated)
        }
        None => Err(Code::Unauthenticated),
    }
}

/// The customer who calls; an operator's token buys nothing.
pub fn customer(headers: &HeaderMap) -> Result<CustomerId, Code> {
    match caller(headers)? {
        Caller::Customer(customer) => Ok(customer),
        Caller::Admin => Err(Code::Forbidden),
    }
}

/// The operator who calls; a customer's token operates nothing.
pub fn admin(headers: &HeaderMap) -> Result<(), Code> {
    match caller(headers)? {
        Caller::Admin => Ok(()),
        Caller::Customer(_) => Err(Code::Forbidden),
    }
}
