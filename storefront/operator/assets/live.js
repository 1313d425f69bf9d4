// The look at everything, once a second while anyone can see it. What is asked for stops while the page is hidden,
// and pauses longer and longer while there is no answer.

import { Lost, call, path, token } from './api.js';
import { alarmsOf } from './alarms.js';
import { ratesOf } from './rates.js';
import { useEffect, useState } from './ui.js';

const EVERY_MS = 1000;
/// A look that takes longer is none.
const ANSWER_MS_MAX = 4000;
const PAUSE_MS_MAX = 15_000;
/// Looks that are kept: enough for the small curves.
const KEPT = 90;

/// `look`: the last one; `looks`: it and those before it, of the same gateway's same life; `lost`: since when there
/// is no answer (null: there is one); `error`: the last refusal.
const initial = () => ({ look: null, looks: [], rates: [], alarms: [], lost: null, error: null });
let state = initial();
let timer = null;
let asking = false;
let wanted = false;
let failures = 0;
const listeners = new Set();

function put(next) {
  state = { ...state, ...next };
  for (const listener of listeners) listener(state);
}

async function ask() {
  clearTimeout(timer);
  if (asking) return;
  const as = token();
  asking = true;
  try {
    const look = await call('GET', path('overview'), { limit: ANSWER_MS_MAX });
    if (as === token()) take(look);
    failures = 0;
  } catch (error) {
    failures += 1;
    const lost = error instanceof Lost || error.status >= 500;
    if (as === token()) put(lost ? { lost: state.lost ?? Date.now(), error } : { error });
  } finally {
    asking = false;
  }
  again();
}

function take(look) {
  const before = state.look;
  const same = before && before.gateway.id === look.gateway.id && before.gateway.started_at === look.gateway.started_at;
  if (same && before.time === look.time) return put({ lost: null, error: null });
  const looks = [...(same ? state.looks : []), look].slice(-KEPT);
  const rates = [...(same ? state.rates : []), ratesOf(same ? before : null, look)].slice(-KEPT);
  put({ look, looks, rates, alarms: alarmsOf(looks), lost: null, error: null });
}

function again() {
  clearTimeout(timer);
  if (!wanted || document.hidden || !token()) return;
  const pause = failures ? Math.min(EVERY_MS * 2 ** Math.min(failures - 1, 6), PAUSE_MS_MAX) : EVERY_MS;
  // Views that lost the gateway at one moment do not come back at one.
  timer = setTimeout(ask, failures ? pause * (0.75 + Math.random() / 2) : pause);
}

document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : wanted && ask()));
window.addEventListener('online', () => wanted && ask());

/// Begins to look.
export function start() {
  wanted = true;
  failures = 0;
  ask();
}

/// Ends, and forgets what was seen.
export function stop() {
  wanted = false;
  clearTimeout(timer);
  put(initial());
}

/// Now rather than in a second: after something was done, or because someone presses "try again".
export const lookNow = () => ask();

/// The state, for a screen.
export function useLive() {
  const [seen, see] = useState(state);
  useEffect(() => {
    listeners.add(see);
    see(state);
    return () => listeners.delete(see);
  }, []);
  return seen;
}
