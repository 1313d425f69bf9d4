//! Maps a Postgres type and a name to a Rust type.

use tokio_postgres::Column;
use tokio_postgres::types::{Kind, Type};

use crate::Error;
use crate::query::{Query, Returns};

/// A query with the types that Postgres reports.
#[derive(Debug)]
pub struct Described {
    /// The query as its file has it.
    pub query: Query,
    /// The parameters as fields, in the order of their numbers.
    pub parameters: Vec<Field>,
    /// The columns as fields, in the order of the statement.
    pub columns: Vec<Field>,
}

/// A field of a generated struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name in SQL and in Rust.
    pub name: String,
    /// The Rust type.
    pub rust: String,
    /// Whether the field is a vector of a struct of columns.
    pub collected: bool,
}

/// A Rust type: as a parameter, and as it is read.
struct Pair {
    parameter: &'static str,
    column: &'static str,
}

const fn copied(rust: &'static str) -> Pair {
    Pair { parameter: rust, column: rust }
}

/// Types that a name determines: the Postgres type of a value, the names, the Rust type.
const BY_NAME: &[(Type, &[&str], Pair)] = &[
    (Type::UUID, &["order_id", "order_ids"], copied("contract::ids::OrderId")),
    (Type::INT8, &["sequence", "next_sequence"], copied("contract::ids::Sequence")),
    (Type::INT8, &["epoch", "settled_epoch"], copied("contract::ids::Epoch")),
    (Type::TEXT, &["currency"], copied("contract::money::Currency")),
    (Type::TEXT, &["fulfilment"], copied("contract::order::Fulfilment")),
    (
        Type::TEXT,
        &["sale_id"],
        Pair { parameter: "&'a contract::ids::SaleId", column: "contract::ids::SaleId" },
    ),
    (Type::TEXT, &["sku"], Pair { parameter: "&'a contract::ids::Sku", column: "contract::ids::Sku" }),
    (
        Type::TEXT,
        &["customer_id"],
        Pair { parameter: "&'a contract::ids::CustomerId", column: "contract::ids::CustomerId" },
    ),
];

/// Types that only the Postgres type determines.
const BY_TYPE: &[(Type, Pair)] = &[
    (Type::BOOL, copied("bool")),
    (Type::INT4, copied("i32")),
    (Type::INT8, copied("i64")),
    (Type::FLOAT8, copied("f64")),
    (Type::UUID, copied("uuid::Uuid")),
    (Type::TIMESTAMPTZ, copied("time::OffsetDateTime")),
    (Type::TEXT, Pair { parameter: "&'a str", column: "String" }),
    (Type::BYTEA, Pair { parameter: "&'a [u8]", column: "Vec<u8>" }),
    (Type::JSONB, Pair { parameter: "&'a serde_json::Value", column: "serde_json::Value" }),
];

/// Gives each parameter and column of `query` its Rust type.
pub fn describe(query: Query, parameters: &[Type], columns: &[Column]) -> Result<Described, Error> {
    let invalid = |why: String| Error::Invalid(query.name.clone(), why);
    if columns.is_empty() != (query.returns == Returns::Nothing) {
        return Err(invalid(
            "`@returns` is needed where, and only where, a statement returns columns".into(),
        ));
    }
    let parameters = query.parameters.iter().zip(parameters);
    let (open, close) = if query.columns.is_some() { ("Vec<", ">") } else { ("&'a [", "]") };
    let parameters = parameters.map(|(name, ty)| {
        let field = field(&query, name, ty, |pair| pair.parameter, open, close)?;
        Ok(Field { collected: query.columns.is_some() && matches!(ty.kind(), Kind::Array(_)), ..field })
    });
    let parameters = parameters.collect::<Result<Vec<_>, String>>().map_err(invalid)?;
    let columns = columns.iter();
    let columns =
        columns.map(|column| field(&query, column.name(), column.type_(), |pair| pair.column, "Vec<", ">"));
    let columns = columns.collect::<Result<Vec<_>, _>>().map_err(invalid)?;
    let described = Described { query, parameters, columns };
    let unknown = unknown_names(&described);
    if unknown.is_empty() {
        Ok(described)
    } else {
        let why = format!("annotations name what the statement does not have: {}", unknown.join(", "));
        Err(Error::Invalid(described.query.name, why))
    }
}

fn field(
    query: &Query,
    name: &str,
    ty: &Type,
    side: fn(&Pair) -> &'static str,
    open: &str,
    close: &str,
) -> Result<Field, String> {
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(format!("the column {name:?} needs a name (AS …)"));
    }
    let rust = match ty.kind() {
        Kind::Array(element) => {
            let element = value(query, name, element, side)?;
            let nullable = query.nullable_elements.contains(name);
            format!("{open}{}{close}", if nullable { format!("Option<{element}>") } else { element })
        }
        _ => value(query, name, ty, side)?,
    };
    let rust = if query.nullable.contains(name) { format!("Option<{rust}>") } else { rust };
    Ok(Field { name: name.into(), rust, collected: false })
}

fn value(query: &Query, name: &str, ty: &Type, side: fn(&Pair) -> &'static str) -> Result<String, String> {
    if let Some(rust) = query.types.get(name) {
        return Ok(rust.clone());
    }
    let by_name = BY_NAME.iter().find(|(known, names, _)| known == ty && names.contains(&name));
    let by_type = || BY_TYPE.iter().find(|(known, _)| known == ty).map(|(_, pair)| pair);
    let pair = by_name.map(|(_, _, pair)| pair).or_else(by_type);
    pair.map(|pair| side(pair).to_owned())
        .ok_or_else(|| format!("{name} has the type {ty}, which has no Rust type here (`@type`)"))
}

fn unknown_names(described: &Described) -> Vec<String> {
    let query = &described.query;
    let named = query.nullable.iter().chain(&query.nullable_elements).chain(query.types.keys());
    let fields = || described.parameters.iter().chain(&described.columns);
    named.filter(|name| !fields().any(|field| field.name == **name)).cloned().collect()
}
