// A sale as a customer meets it: which state it is in at this moment, by the server's clock, and news of it, asked for
// as seldom as will do.

import { call, path, retryPause } from './api.js';
import * as clock from './clock.js';
import { pause } from './dom.js';

/// Between two looks while something is being sold, and the longest while nothing changes, in milliseconds.
const LOOK_MS = 1_200;
const LOOK_MS_MAX = 5_000;
/// While the opening is further off than this there is nothing to see.
const SOON_MS = 30_000;
/// A full answer, which tells the server's time, at least so often.
const CLOCK_MS = 60_000;

/// 'closed', 'paused', 'upcoming', 'rebuilding', 'soldout' or 'open'.
export function phase(sale) {
  const opens = clock.until(sale.opens_at);
  const closes = clock.until(sale.closes_at);
  if (sale.state === 'closed' || (closes !== null && closes <= 0)) return 'closed';
  if (sale.state === 'paused') return 'paused';
  if (opens !== null && opens > 0) return 'upcoming';
  if (!sale.ready) return 'rebuilding';
  return sale.items.every(isGone) ? 'soldout' : 'open';
}

/// Whether nothing is left of an item.
export const isGone = (item) => item.remaining !== null && item.remaining <= 0;

/// What one order can have of it: by the item's limit, and by what is left.
export const most = (item) => Math.min(item.max_quantity_per_order, item.remaining ?? Infinity);

/// One sale, now.
export async function fetchSale(id, options) {
  const answer = await call('GET', path('sales', id), options);
  learn(answer, answer.body);
  return answer;
}

/// All of them, now.
export async function fetchSales(options) {
  const answer = await call('GET', path('sales'), options);
  if (answer.status === 200) learn(answer, answer.body.sales[0]);
  return answer;
}

function learn({ status, sentAt, receivedAt }, sale) {
  if (status === 200 && sale) clock.learn(sale.server_time, sentAt, receivedAt);
}

/// Looks again and again until the signal: `onNews(body)` when something has changed, `onTrouble(error)` when the
/// answer failed, `onTrouble(null)` when it is well again. `soon()`: milliseconds until something will happen.
export async function watch(fetching, { onNews, onTrouble, soon, signal }) {
  let etag = null;
  let quiet = 0;
  let failures = 0;
  let fullAt = -Infinity;
  for (;;) {
    await whileHidden(signal, () => { etag = null; quiet = 0; clock.doubt(); });
    let ms;
    try {
      // Without the tag the answer tells the time: now and then, and shortly before the opening.
      const due = performance.now() - fullAt > (soon() < SOON_MS ? SOON_MS / 6 : CLOCK_MS);
      const answer = await fetching({ etag: due ? null : etag, signal });
      if (failures > 0) onTrouble(null);
      failures = 0;
      if (answer.status === 200) {
        if (due) fullAt = performance.now();
        quiet = answer.etag === etag ? quiet + 1 : 0;
        etag = answer.etag;
        onNews(answer.body);
      } else {
        quiet += 1;
      }
      ms = Math.min(LOOK_MS * 1.25 ** quiet, LOOK_MS_MAX) * (0.85 + Math.random() * 0.3);
      // Not past the moment at which it opens; nor all in that very moment.
      const left = soon();
      if (left > 0 && left < ms) ms = left + Math.random() * 150;
    } catch (error) {
      if (signal.aborted) return;
      onTrouble(error);
      if (!error.passes) return;
      ms = retryPause(error, failures);
      failures += 1;
    }
    try {
      await pause(ms, signal, window);
    } catch {
      return;
    }
  }
}

function whileHidden(signal, onReturn) {
  if (!document.hidden) return undefined;
  return new Promise((resolve) => {
    const back = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener('visibilitychange', back);
      onReturn();
      resolve();
    };
    document.addEventListener('visibilitychange', back);
    signal.addEventListener('abort', back);
  });
}
