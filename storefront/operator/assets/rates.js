// Rates, from two looks: the server tells totals only. Null where one of the two could not tell.

const seconds = (before, after) => (Date.parse(after.time) - Date.parse(before.time)) / 1000;

/// Units a second between two totals; a total that went back (another gateway, another life) tells nothing.
function per(second, before, after) {
  if (before === null || after === null || before === undefined || after === undefined) return null;
  return after >= before && second > 0 ? (after - before) / second : null;
}

/// Orders of all sales that Postgres has; null while one cannot be told.
export function settledTotal(look) {
  const all = look.sales.map((sale) => sale.orders_settled);
  return all.includes(null) ? null : all.reduce((sum, n) => sum + n, 0);
}

/// The largest of what is known; null where nothing is.
const worst = (values) => values.filter((value) => value !== null).reduce((most, value) => Math.max(most ?? 0, value), null);
const sum = (values) => values.filter((value) => value !== null).reduce((all, value) => (all ?? 0) + value, null);

/// What the strip at the top shows.
export function ratesOf(before, look) {
  const between = before ? seconds(before, look) : 0;
  const gateway = (name) => (before ? per(between, before.gateway[name], look.gateway[name]) : null);
  const sales = Object.fromEntries(look.sales.map((sale) => {
    const earlier = before?.sales.find((other) => other.sale_id === sale.sale_id);
    return [sale.sale_id, earlier ? per(between, earlier.orders_settled, sale.orders_settled) : null];
  }));
  return {
    time: look.time,
    accepted: gateway('accepted_total'),
    refused: gateway('refused_total'),
    failed: gateway('failed_total'),
    settled: before ? per(between, settledTotal(before), settledTotal(look)) : null,
    sales,
    lagRecords: sum(look.log.map((partition) => partition.lag_records)),
    lagSeconds: worst(look.log.map((partition) => partition.lag_seconds)),
    outbox: sum(look.sales.map((sale) => sale.outbox_entries)),
    inFlight: look.gateway.in_flight,
  };
}
