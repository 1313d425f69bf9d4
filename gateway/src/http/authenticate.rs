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
    Customer(Customer),
    /// Operates.
    Admin,
}

/// Who buys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The name.
    pub id: CustomerId,
    /// Where messages about orders go, if the identity tells.
    pub email: Option<std::sync::Arc<str>>,
}

/// Longest e-mail address, in bytes (RFC 5321).
const EMAIL_BYTES_MAX: usize = 254;

/// Reads `Authorization: Bearer dev:<customer>[:<email>]` and `Bearer dev-admin`.
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
            let rest = rest.strip_prefix(':').ok_or(Code::Unauthenticated)?;
            let (name, email) =
                rest.split_once(':').map_or((rest, None), |(name, email)| (name, Some(email)));
            let id = CustomerId::parse(name).map_err(|_| Code::Unauthenticated)?;
            if email.is_some_and(|email| !looks_like_an_address(email)) {
                return Err(Code::Unauthenticated);
            }
            Ok(Caller::Customer(Customer { id, email: email.map(Into::into) }))
        }
        None => Err(Code::Unauthenticated),
    }
}

fn looks_like_an_address(text: &str) -> bool {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    let parts = text.rsplit_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    printable && parts && text.len() <= EMAIL_BYTES_MAX
}

/// The name of the customer who calls.
pub fn customer(headers: &HeaderMap) -> Result<CustomerId, Code> {
    buyer(headers).map(|customer| customer.id)
}

/// The customer who calls; an operator's token buys nothing.
pub fn buyer(headers: &HeaderMap) -> Result<Customer, Code> {
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
