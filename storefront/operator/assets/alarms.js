// What is wrong, from the looks alone. Each alarm: `key` of its text with `values`, `tone` (bad: customers or money are
// concerned; warn: it will be, if it lasts), `id` to tell it from others.

/// From here on settlement counts as behind, as readiness has it.
const LAG_SECONDS = 10;
/// A difference between Redis and Postgres with nothing on its way, seen for so long, is drift.
const REST_MS = 4000;

const alarm = (tone, key, values = {}, link = null) => ({ tone, key, values, link, id: `${key} ${values.sale ?? ''} ${values.sku ?? ''} ${values.name ?? ''}` });

const atRest = (sale) => sale.lag_records === 0 && sale.outbox_entries === 0;

/// Drift that nothing on its way explains: the same in every look of the last seconds.
function driftAtRest(looks, sale, item) {
  if (!item.drift || !atRest(sale)) return false;
  const end = Date.parse(looks.at(-1).time);
  for (const look of looks.toReversed()) {
    const then = look.sales.find((other) => other.sale_id === sale.sale_id);
    const same = then && atRest(then) && then.items.some((other) => other.sku === item.sku && other.drift === item.drift);
    if (!same) return false;
    if (end - Date.parse(look.time) >= REST_MS) return true;
  }
  return false;
}

function ofItem(looks, sale, item) {
  const names = { sale: sale.title, sku: item.sku };
  const link = `#/sales/${encodeURIComponent(sale.sale_id)}`;
  const over = item.total === null || item.held === null ? 0 : item.held + item.sold - item.total;
  if (over > 0) return [alarm('bad', 'alarm.oversold', { ...names, units: over }, link)];
  return driftAtRest(looks, sale, item) ? [alarm('warn', 'alarm.drift', { ...names, units: item.drift }, link)] : [];
}

function ofLog(look) {
  const behind = look.log.filter((partition) => partition.lag_seconds > LAG_SECONDS);
  return behind.map(({ partition, lag_seconds: seconds }) => {
    const stops = seconds > look.gateway.admission_lag_seconds_max;
    return alarm(stops ? 'bad' : 'warn', stops ? 'alarm.lag_stops' : 'alarm.lag', { name: partition, seconds: Math.round(seconds) });
  });
}

/// Orders that could not be decided, within the last looks.
function ofFailures(looks) {
  const [before, now] = [looks.at(-4) ?? looks[0], looks.at(-1)];
  const failed = now.gateway.failed_total - before.gateway.failed_total;
  return failed > 0 ? [alarm('warn', 'alarm.failing', { orders: failed })] : [];
}

/// All alarms of the last look, the worst first.
export function alarmsOf(looks) {
  const look = looks.at(-1);
  const down = look.dependencies.filter((dependency) => !dependency.up).map(({ name, required, why }) =>
    alarm(required ? 'bad' : 'warn', required ? 'alarm.down_required' : 'alarm.down', { name, why: why ?? '' }));
  const all = [
    ...(look.guard_trips > 0 ? [alarm('bad', 'alarm.guard', { orders: look.guard_trips }, '#/letters')] : []),
    ...look.sales.flatMap((sale) => sale.items.flatMap((item) => ofItem(looks, sale, item))),
    ...down,
    ...ofLog(look),
    ...ofFailures(looks),
    ...(look.dead_letters > 0 ? [alarm('warn', 'alarm.letters', { letters: look.dead_letters }, '#/letters')] : []),
    ...look.sales.filter((sale) => sale.state !== 'draft' && !sale.ready).map((sale) =>
      alarm('warn', 'alarm.rebuilding', { sale: sale.title }, `#/sales/${encodeURIComponent(sale.sale_id)}`)),
  ];
  return all.sort((a, b) => (a.tone === 'bad' ? 0 : 1) - (b.tone === 'bad' ? 0 : 1));
}
