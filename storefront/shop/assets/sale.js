// A sale: its phase by the server's clock, and polling for changes as rarely as possible.

import { call, path, retryDelay } from './api.js';
import * as clock from './clock.js';
import { pause } from './dom.js';

/// The polling interval while units are being sold, and the longest interval while nothing changes, in milliseconds.
const POLL_MS = 1_200;
const POLL_MS_MAX = 5_000;
/// Before an opening that is nearer than this, the clock is synchronized more often.
const SOON_MS = 30_000;
/// The longest time between two full responses, which contain the server's time.
const CLOCK_SYNC_MS = 60_000;

/// Returns 'closed', 'paused', 'upcoming', 'rebuilding', 'soldout' or 'open'.
export function phase(sale) {
  const opens = clock.until(sale.opens_at);
  const closes = clock.until(sale.closes_at);
  if (sale.state === 'closed' || (closes !== null && closes <= 0)) return 'closed';
  if (sale.state === 'paused') return 'paused';
  if (opens !== null && opens > 0) return 'upcoming';
  if (!sale.ready) return 'rebuilding';
  return sale.items.every(isSoldOut) ? 'soldout' : 'open';
}

/// Returns whether an item is sold out.
export const isSoldOut = (item) => item.remaining !== null && item.remaining <= 0;

/// Returns the maximum quantity of an item in one order.
export const most = (item) => Math.min(item.max_quantity_per_order, item.remaining ?? Infinity);

/// Fetches one sale.
export async function fetchSale(id, options) {
  const response = await call('GET', path('sales', id), options);
  sampleClock(response, response.body);
  return response;
}

/// Fetches all sales.
export async function fetchSales(options) {
  const response = await call('GET', path('sales'), options);
  if (response.status === 200) sampleClock(response, response.body.sales[0]);
  return response;
}

function sampleClock({ status, sentAt, receivedAt }, sale) {
  if (status === 200 && sale) clock.addSample(sale.server_time, sentAt, receivedAt);
}

/// Polls until the signal. Calls `onUpdate(body)` after a change, `onError(error)` after a failure and `onError(null)` after
/// the recovery. `soon()` returns the milliseconds until the next opening.
export async function poll(fetchUpdate, { onUpdate, onError, soon, signal }) {
  let etag = null;
  let quiet = 0;
  let failures = 0;
  let fullAt = -Infinity;
  for (;;) {
    await whileHidden(signal, () => {
      etag = null;
      quiet = 0;
      clock.invalidate();
    });
    let ms;
    try {
      // A request without an ETag returns the server's time: now and then, and shortly before the opening.
      const due = performance.now() - fullAt > (soon() < SOON_MS ? SOON_MS / 6 : CLOCK_SYNC_MS);
      const response = await fetchUpdate({ etag: due ? null : etag, signal });
      if (failures > 0) onError(null);
      failures = 0;
      if (response.status === 200) {
        if (due) fullAt = performance.now();
        quiet = response.etag === etag ? quiet + 1 : 0;
        etag = response.etag;
        onUpdate(response.body);
      } else {
        quiet += 1;
      }
      ms = Math.min(POLL_MS * 1.25 ** quiet, POLL_MS_MAX) * (0.85 + Math.random() * 0.3);
      // Poll right after the opening, with jitter so that not all pages poll at the same moment.
      const left = soon();
      if (left > 0 && left < ms) ms = left + Math.random() * 150;
    } catch (error) {
      if (signal.aborted) return;
      onError(error);
      if (!error.isTransient) return;
      ms = retryDelay(error, failures);
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
