// Polls the overview once per second while the page is visible. Polling stops while the page is hidden, and backs off while
// there is no response.

import { NoResponse, call, path, token } from './api.js';
import { alarmsOf } from './alarms.js';
import { ratesBetween } from './rates.js';
import { useEffect, useState } from './ui.js';

const POLL_MS = 1000;
const TIMEOUT_MS = 4000;
const BACKOFF_MS_MAX = 15_000;
/// The number of snapshots that are kept, enough for the sparklines.
const HISTORY_MAX = 90;

/// `snapshot`: the last one; `snapshots`: the recent ones since the gateway started; `disconnectedAt`: when the connection was
/// lost (null: connected); `error`: the last failure.
const initial = () => ({ snapshot: null, snapshots: [], rates: [], alarms: [], disconnectedAt: null, error: null });
let state = initial();
let timer = null;
let isPolling = false;
let isStarted = false;
let failures = 0;
const listeners = new Set();

function put(next) {
  state = { ...state, ...next };
  for (const listener of listeners) listener(state);
}

async function poll() {
  clearTimeout(timer);
  if (isPolling) return;
  const as = token();
  isPolling = true;
  try {
    const snapshot = await call('GET', path('overview'), { timeout: TIMEOUT_MS });
    if (as === token()) add(snapshot);
    failures = 0;
  } catch (error) {
    failures += 1;
    const isOutage = error instanceof NoResponse || error.status >= 500;
    if (as === token()) put(isOutage ? { disconnectedAt: state.disconnectedAt ?? Date.now(), error } : { error });
  } finally {
    isPolling = false;
  }
  schedule();
}

function add(snapshot) {
  const before = state.snapshot;
  const isSameProcess =
    before && before.gateway.id === snapshot.gateway.id && before.gateway.started_at === snapshot.gateway.started_at;
  if (isSameProcess && before.time === snapshot.time) return put({ disconnectedAt: null, error: null });
  const snapshots = [...(isSameProcess ? state.snapshots : []), snapshot].slice(-HISTORY_MAX);
  const rates = [...(isSameProcess ? state.rates : []), ratesBetween(isSameProcess ? before : null, snapshot)].slice(
    -HISTORY_MAX,
  );
  put({ snapshot, snapshots, rates, alarms: alarmsOf(snapshots), disconnectedAt: null, error: null });
}

function schedule() {
  clearTimeout(timer);
  if (!isStarted || document.hidden || !token()) return;
  const delay = failures ? Math.min(POLL_MS * 2 ** Math.min(failures - 1, 6), BACKOFF_MS_MAX) : POLL_MS;
  // Jitter: views that lost the gateway at the same moment do not return at the same moment.
  timer = setTimeout(poll, failures ? delay * (0.75 + Math.random() / 2) : delay);
}

document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : isStarted && poll()));
window.addEventListener('online', () => isStarted && poll());

/// Starts polling.
export function start() {
  isStarted = true;
  failures = 0;
  poll();
}

/// Stops polling and discards the snapshots.
export function stop() {
  isStarted = false;
  clearTimeout(timer);
  put(initial());
}

/// Polls immediately, after an action or when the operator presses "Retry now".
export const pollNow = () => poll();

/// Returns the state, and renders the screen again when it changes.
export function useOverview() {
  const [current, setCurrent] = useState(state);
  useEffect(() => {
    listeners.add(setCurrent);
    setCurrent(state);
    return () => listeners.delete(setCurrent);
  }, []);
  return current;
}
