// Alarms, computed from the overview snapshots. Each alarm has the `key` of its text with `values`, a `tone` (bad: customers
// or money are affected; warn: they will be if the state lasts) and an `id`.

/// The lag at which settlement counts as behind, as in the readiness check.
const LAG_SECONDS = 10;
/// A difference between Redis and Postgres without unsettled orders is drift if it lasts for this time.
const DRIFT_MS_MIN = 4000;

const alarm = (tone, key, values = {}, link = null) => ({
  tone,
  key,
  values,
  link,
  id: `${key} ${values.sale ?? ''} ${values.sku ?? ''} ${values.name ?? ''}`,
});

const isSettled = (sale) => sale.lag_records === 0 && sale.outbox_entries === 0;

/// Returns whether an item drifts although no order is unsettled: the same in every snapshot of the last seconds.
function isDrifting(snapshots, sale, item) {
  if (!item.drift || !isSettled(sale)) return false;
  const end = Date.parse(snapshots.at(-1).time);
  for (const snapshot of snapshots.toReversed()) {
    const then = snapshot.sales.find((other) => other.sale_id === sale.sale_id);
    const same =
      then && isSettled(then) && then.items.some((other) => other.sku === item.sku && other.drift === item.drift);
    if (!same) return false;
    if (end - Date.parse(snapshot.time) >= DRIFT_MS_MIN) return true;
  }
  return false;
}

function itemAlarms(snapshots, sale, item) {
  const names = { sale: sale.title, sku: item.sku };
  const link = `#/sales/${encodeURIComponent(sale.sale_id)}`;
  const over = item.total === null || item.held === null ? 0 : item.held + item.sold - item.total;
  if (over > 0) return [alarm('bad', 'alarm.oversold', { ...names, units: over }, link)];
  return isDrifting(snapshots, sale, item) ? [alarm('warn', 'alarm.drift', { ...names, units: item.drift }, link)] : [];
}

function lagAlarms(snapshot) {
  const behind = snapshot.log.filter((partition) => partition.lag_seconds > LAG_SECONDS);
  return behind.map(({ partition, lag_seconds: seconds }) => {
    const stops = seconds > snapshot.gateway.admission_lag_seconds_max;
    return alarm(stops ? 'bad' : 'warn', stops ? 'alarm.lag_stops' : 'alarm.lag', {
      name: partition,
      seconds: Math.round(seconds),
    });
  });
}

/// Orders that failed with 5xx, within the last snapshots.
function failureAlarms(snapshots) {
  const [before, now] = [snapshots.at(-4) ?? snapshots[0], snapshots.at(-1)];
  const failed = now.gateway.failed_total - before.gateway.failed_total;
  return failed > 0 ? [alarm('warn', 'alarm.failing', { orders: failed })] : [];
}

/// Returns all alarms of the last snapshot, the most severe first.
export function alarmsOf(snapshots) {
  const snapshot = snapshots.at(-1);
  const down = snapshot.dependencies
    .filter((dependency) => !dependency.up)
    .map(({ name, required, why }) =>
      alarm(required ? 'bad' : 'warn', required ? 'alarm.down_required' : 'alarm.down', { name, why: why ?? '' }),
    );
  const all = [
    ...(snapshot.guard_trips > 0 ? [alarm('bad', 'alarm.guard', { orders: snapshot.guard_trips }, '#/letters')] : []),
    ...snapshot.sales.flatMap((sale) => sale.items.flatMap((item) => itemAlarms(snapshots, sale, item))),
    ...down,
    ...lagAlarms(snapshot),
    ...failureAlarms(snapshots),
    ...(snapshot.dead_letters > 0
      ? [alarm('warn', 'alarm.letters', { letters: snapshot.dead_letters }, '#/letters')]
      : []),
    ...snapshot.sales
      .filter((sale) => sale.state !== 'draft' && !sale.ready)
      .map((sale) =>
        alarm('warn', 'alarm.rebuilding', { sale: sale.title }, `#/sales/${encodeURIComponent(sale.sale_id)}`),
      ),
  ];
  return all.sort((a, b) => (a.tone === 'bad' ? 0 : 1) - (b.tone === 'bad' ? 0 : 1));
}
