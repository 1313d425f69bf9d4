//! Evidence from Redis: the sale's keys in its epoch, read only.

use std::collections::HashMap;

use anyhow::Context;
use contract::ids::{Epoch, SaleId};
use contract::keys::{SaleKeys, stock_fields};
use fred::prelude::*;

use super::evidence::RedisState;

/// Connects to Redis. Each command is attempted once, without waiting for a Redis that is down.
pub async fn connect(url: &str) -> anyhow::Result<Client> {
    let mut builder = Builder::from_config(Config::from_url(url).context("REDIS_URL")?);
    builder.with_performance_config(|config| {
        config.default_command_timeout = std::time::Duration::from_secs(10)
    });
    builder.with_connection_config(|config| config.max_command_attempts = 1);
    let client = builder.build()?;
    client.init().await.with_context(|| format!("connecting to Redis at {url}"))?;
    Ok(client)
}

/// Reads the sale's state; `None` when this epoch has none, because it was never built or was lost.
pub async fn read(client: &Client, sale: &SaleId, epoch: Epoch) -> anyhow::Result<Option<RedisState>> {
    let keys = SaleKeys::new(sale, epoch);
    let stock: HashMap<String, String> = client.hgetall(&keys.stock).await?;
    if stock.is_empty() {
        return Ok(None);
    }
    let returning: Vec<String> = client.lrange(&keys.returning, 0, -1).await?;
    let outbox: u64 = client.xlen(&keys.outbox).await?;
    let mut state = parse_stock(&stock)?;
    state.outbox = outbox;
    for entry in returning {
        let mut parts = entry.splitn(3, ' ').skip(1);
        let units = parts.next().and_then(|units| units.parse::<u64>().ok());
        let (Some(units), Some(sku)) = (units, parts.next()) else {
            anyhow::bail!("{}: {entry:?} is not `ready units sku`", keys.returning);
        };
        *state.returning.entry(sku.to_owned()).or_default() += units;
    }
    Ok(Some(state))
}

/// Parses the fields of the stock hash.
fn parse_stock(stock: &HashMap<String, String>) -> anyhow::Result<RedisState> {
    let mut state = RedisState::default();
    for (field, value) in stock {
        let number = || value.parse::<u64>().with_context(|| format!("field {field} holds {value:?}"));
        match field.as_str() {
            stock_fields::MARK => {}
            stock_fields::NEXT => state.next = number()?,
            stock_fields::RELEASED => state.released = i64::try_from(number()?)?,
            stock_fields::CHANGE => state.change = Some(value.clone()),
            _ if field.starts_with(stock_fields::TOTAL) => {
                state.totals.insert(field[stock_fields::TOTAL.len()..].to_owned(), number()?);
            }
            _ => {
                let units = if value == "u" { None } else { Some(number()?) };
                state.available.insert(field.clone(), units);
            }
        }
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_the_stock_hash_are_parsed() {
        let pairs =
            [("A", "3"), ("B", "u"), ("=A", "10"), (":next", "8"), (":released", "5"), (":mark", "m")];
        let stock = pairs.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect();
        let state = parse_stock(&stock).unwrap();
        assert_eq!(state.available.get("A"), Some(&Some(3)));
        assert_eq!(state.available.get("B"), Some(&None));
        assert_eq!((state.totals.get("A"), state.next, state.released), (Some(&10), 8, 5));
        assert!(parse_stock(&[("A".to_owned(), "-1".to_owned())].into()).is_err());
    }
}
