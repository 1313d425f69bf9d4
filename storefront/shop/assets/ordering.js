// Placing an order, so that it is placed once, whatever happens on the way.
//
// The Idempotency-Key and the very body are stored before the request leaves. As long as no answer settles it, whoever
// comes back (a reload, another tab, tomorrow) sends the same again: the server then gives the first answer again, or
// takes it for the first time. It is forgotten when the order is seen, or when the server has refused it for good: a
// reload in the very moment of the answer loses nothing either.

import * as clock from './clock.js';
import { Refusal, call, path, persistently } from './api.js';
import { load, names, store } from './storage.js';

/// Whoever taps in the second of the opening may be early by the stock's own clock: tried again when it is less than this
/// away, in milliseconds.
const EARLY_MS_MAX = 5_000;

const slot = (customer, sale) => `attempt:${customer}:${sale}`;

function newKey() {
  // Not crypto.randomUUID: pages that came over plain HTTP do not have it.
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_');
}

/// What this customer has under way in a sale; null: nothing.
export const pending = (customer, sale) => load(slot(customer, sale));

/// The sales in which this customer has something under way.
export function allPending(customer) {
  const prefix = slot(customer, '');
  return names(prefix).map((name) => name.slice(prefix.length));
}

/// The attempt that is under way, else a new one with this body.
export function begin(customer, sale, body) {
  const there = pending(customer, sale);
  if (there) return there;
  const attempt = { customer, sale, key: newKey(), body, uncertain: false };
  store(slot(customer, sale), attempt);
  return attempt;
}

function forget(attempt) {
  store(slot(attempt.customer, attempt.sale), null);
}

/// Sends it until it is settled. Resolves to the 202's body; rejects with the refusal.
export async function place(attempt, { signal, onWait } = {}) {
  const url = path('sales', attempt.sale, 'orders');
  const remember = (uncertain) => {
    attempt.uncertain = uncertain;
    store(slot(attempt.customer, attempt.sale), attempt);
  };
  try {
    const answer = await persistently(async () => {
      const before = attempt.uncertain;
      remember(true); // from here to the answer nobody knows
      try {
        return await call('POST', url, { body: attempt.body, key: attempt.key, signal });
      } catch (error) {
        if (error.didNothing && !before) remember(false);
        if (error.code === 'sale_not_open') error.early = (clock.until(error.members.opens_at) ?? Infinity) < EARLY_MS_MAX;
        throw error;
      }
    }, { signal, onWait });
    attempt.order = answer.body.order_id;
    remember(false);
    return answer.body;
  } catch (error) {
    if (error instanceof Refusal && error.status !== 401) {
      error.mayHaveOrdered = attempt.uncertain;
      forget(attempt);
    }
    throw error;
  }
}

/// The customer has the order before their eyes.
export function seen(customer, sale, order) {
  const attempt = pending(customer, sale);
  if (attempt?.order === order) forget(attempt);
}

/// Gives up an attempt of which it is certain that nothing came. Whether it was.
export function giveUp(attempt) {
  if (attempt.uncertain) return false;
  forget(attempt);
  return true;
}
