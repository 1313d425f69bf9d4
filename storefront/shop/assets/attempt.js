// Places an order exactly once.
//
// The Idempotency-Key and the body are stored before the request is sent. Until there is a response, every retry (after a
// reload, in another tab, on the next day) sends the same request: the server then repeats its first response, or accepts
// the order for the first time. The attempt is deleted when the order is displayed, or when the server has refused it
// permanently, so that a reload at the moment of the response loses nothing either.

import * as clock from './clock.js';
import { Refusal, call, path, retry } from './api.js';
import { load, names, store } from './storage.js';

/// A request that is sent in the second of the opening may be early by the server's clock: it is retried if the opening is
/// less than this many milliseconds away.
const EARLY_MS_MAX = 5_000;

const slot = (customer, sale) => `attempt:${customer}:${sale}`;

function newKey() {
  // crypto.randomUUID is not available on pages that are served over plain HTTP.
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}

/// Returns the customer's pending attempt in a sale, or null.
export const pending = (customer, sale) => load(slot(customer, sale));

/// Returns the sales in which the customer has a pending attempt.
export function allPending(customer) {
  const prefix = slot(customer, '');
  return names(prefix).map((name) => name.slice(prefix.length));
}

/// Returns the pending attempt, or a new one with this body.
export function begin(customer, sale, body) {
  const existing = pending(customer, sale);
  if (existing) return existing;
  const attempt = { customer, sale, key: newKey(), body, uncertain: false };
  store(slot(customer, sale), attempt);
  return attempt;
}

function forget(attempt) {
  store(slot(attempt.customer, attempt.sale), null);
}

/// Sends the order until there is a definite response. Resolves to the body of the 202; rejects with the refusal.
export async function place(attempt, { signal, onWait } = {}) {
  const url = path('sales', attempt.sale, 'orders');
  const remember = (uncertain) => {
    attempt.uncertain = uncertain;
    store(slot(attempt.customer, attempt.sale), attempt);
  };
  try {
    const response = await retry(
      async () => {
        const before = attempt.uncertain;
        remember(true); // until the response, the outcome is unknown
        try {
          return await call('POST', url, { body: attempt.body, key: attempt.key, signal });
        } catch (error) {
          if (error.didNothing && !before) remember(false);
          if (error.code === 'sale_not_open')
            error.early = (clock.until(error.members.opens_at) ?? Infinity) < EARLY_MS_MAX;
          throw error;
        }
      },
      { signal, onWait },
    );
    attempt.order = response.body.order_id;
    remember(false);
    return response.body;
  } catch (error) {
    if (error instanceof Refusal && error.status !== 401) {
      error.mayHaveOrdered = attempt.uncertain;
      forget(attempt);
    }
    throw error;
  }
}

/// Deletes the attempt of an order that the customer sees.
export function complete(customer, sale, order) {
  const attempt = pending(customer, sale);
  if (attempt?.order === order) forget(attempt);
}

/// Deletes an attempt if it is certain that it placed no order. Returns whether it was deleted.
export function giveUp(attempt) {
  if (attempt.uncertain) return false;
  forget(attempt);
  return true;
}
