//! Identifies the caller. In this version the only identities are those of development mode, an explicit flag;
//! without it the gateway does not start, because it could not distinguish its clients.

use contract::ids::CustomerId;
use contract::problem::Code;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No authentication is required.
    Anyone,
    /// A customer must call.
    Customer,
    /// A customer must call, whose token may also be a query parameter: browsers cannot set headers for streams.
    Stream,
    /// An operator must call.
    Operator,
}

/// The role and the name of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A customer, who buys.
    Customer(Customer),
    /// An operator, who uses the admin API.
    Admin,
}

/// A customer who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// The customer's name.
    pub id: CustomerId,
    /// The address for messages about orders, if the token has one.
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
            if email.is_some_and(|email| !is_plausible_address(email)) {
                return Err(Code::Unauthenticated);
            }
            Ok(Caller::Customer(Customer { id, email: email.map(Into::into) }))
        }
        None => Err(Code::Unauthenticated),
    }
}

fn is_plausible_address(text: &str) -> bool {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    let parts = text.rsplit_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    printable && parts && text.len() <= EMAIL_BYTES_MAX
}

/// Returns the name of the customer who calls.
pub fn customer(headers: &HeaderMap) -> Result<CustomerId, Code> {
    buyer(headers).map(|customer| customer.id)
}

/// Returns the customer who calls. An operator's token is forbidden to buy.
pub fn buyer(headers: &HeaderMap) -> Result<Customer, Code> {
    match caller(headers)? {
        Caller::Customer(customer) => Ok(customer),
        Caller::Admin => Err(Code::Forbidden),
    }
}

/// Checks that an operator calls. A customer's token is forbidden to operate.
pub fn admin(headers: &HeaderMap) -> Result<(), Code> {
    match caller(headers)? {
        Caller::Admin => Ok(()),
        Caller::Customer(_) => Err(Code::Forbidden),
    }
}
