// Rates between two snapshots: the server reports totals only. A rate is null if one of the totals is unknown.

const seconds = (before, after) => (Date.parse(after.time) - Date.parse(before.time)) / 1000;

/// Returns the rate between two totals; null if the total decreased (another gateway, or a restart).
function perSecond(elapsed, before, after) {
  if (before === null || after === null || before === undefined || after === undefined) return null;
  return after >= before && elapsed > 0 ? (after - before) / elapsed : null;
}

/// Returns the number of settled orders of all sales; null if one is unknown.
export function settledTotal(snapshot) {
  const all = snapshot.sales.map((sale) => sale.orders_settled);
  return all.includes(null) ? null : all.reduce((sum, n) => sum + n, 0);
}

/// Returns the maximum of the known values; null if all are unknown.
const maximum = (values) =>
  values.filter((value) => value !== null).reduce((most, value) => Math.max(most ?? 0, value), null);
const sum = (values) => values.filter((value) => value !== null).reduce((all, value) => (all ?? 0) + value, null);

/// Returns the values of the gauges.
export function ratesBetween(before, snapshot) {
  const elapsed = before ? seconds(before, snapshot) : 0;
  const gateway = (name) => (before ? perSecond(elapsed, before.gateway[name], snapshot.gateway[name]) : null);
  const sales = Object.fromEntries(
    snapshot.sales.map((sale) => {
      const earlier = before?.sales.find((other) => other.sale_id === sale.sale_id);
      return [sale.sale_id, earlier ? perSecond(elapsed, earlier.orders_settled, sale.orders_settled) : null];
    }),
  );
  return {
    time: snapshot.time,
    accepted: gateway('accepted_total'),
    refused: gateway('refused_total'),
    failed: gateway('failed_total'),
    settled: before ? perSecond(elapsed, settledTotal(before), settledTotal(snapshot)) : null,
    sales,
    lagRecords: sum(snapshot.log.map((partition) => partition.lag_records)),
    lagSeconds: maximum(snapshot.log.map((partition) => partition.lag_seconds)),
    outbox: sum(snapshot.sales.map((sale) => sale.outbox_entries)),
    inFlight: snapshot.gateway.in_flight,
  };
}
