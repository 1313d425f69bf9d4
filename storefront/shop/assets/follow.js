// An order's changes as they are settled: Server-Sent Events, read from a fetch because an EventSource cannot say who
// asks. A broken stream is taken up again behind the last event; where none can be had, the status is asked for.

import { Refusal, call, headers, path, retryPause } from './api.js';
import { pause } from './dom.js';

const FINAL = ['delivered', 'refunded', 'cancelled'];
/// After so many streams that failed in a row the status is asked for instead, and a stream tried again after a while.
const STREAM_TRIES = 3;
const POLLS = 10;
const POLL_MS = 1_500;
/// A stream that is silent longer than this (its heartbeat comes every 15 s) is dead.
const SILENCE_MS_MAX = 40_000;

export const isFinal = (status) => FINAL.includes(status);

/// Follows until a final state or the signal. `onChange(status)`: each change; `onMode('live' | 'polling' |
/// 'reconnecting')`: how it is followed now.
export async function follow(sale, order, { from = null, onChange, onMode, signal }) {
  const state = { lastId: null, retryMs: 1000, last: from };
  const seen = (status) => {
    state.last = status.status;
    onChange(status);
  };
  let failures = 0;
  while (!signal.aborted) {
    try {
      const over = await stream(sale, order, state, { seen, onMode, signal });
      failures = 0;
      if (over) return;
    } catch (error) {
      if (signal.aborted || (error instanceof Refusal && !error.passes)) return;
      failures += 1;
      onMode('reconnecting');
      if (failures >= STREAM_TRIES) {
        if (await poll(sale, order, state, { seen, onMode, signal })) return;
        failures = 0;
        continue;
      }
      await quietly(pause(retryPause(error, failures), signal, window));
      continue;
    }
    onMode('reconnecting');
    await quietly(pause(state.retryMs, signal, window));
  }
}

const quietly = (promise) => promise.catch(() => {});

/// One stream, to its end. Whether nothing can follow.
async function stream(sale, order, state, { seen, onMode, signal }) {
  const silence = new AbortController();
  const stop = () => silence.abort();
  signal.addEventListener('abort', stop);
  let timer = setTimeout(stop, SILENCE_MS_MAX);
  try {
    const more = { Accept: 'text/event-stream' };
    if (state.lastId) more['Last-Event-ID'] = state.lastId;
    const url = path('sales', sale, 'orders', order, 'events');
    const answer = await fetch(url, { headers: headers(more), signal: silence.signal, cache: 'no-store' });
    if (answer.status === 204) return true;
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      throw new Refusal(answer.status, problem, Number(answer.headers.get('Retry-After')) || null);
    }
    onMode('live');
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return isFinal(state.last);
      clearTimeout(timer);
      timer = setTimeout(stop, SILENCE_MS_MAX);
      text += value;
      const blocks = text.split('\n\n');
      text = blocks.pop();
      for (const block of blocks) take(block, state, seen);
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

/// One event, by the rules of WHATWG HTML that the server makes use of.
function take(block, state, seen) {
  let data = '';
  let name = '';
  for (const line of block.split('\n')) {
    const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
    if (field === 'id') state.lastId = value;
    else if (field === 'retry') state.retryMs = Number(value) || state.retryMs;
    else if (field === 'event') name = value;
    else if (field === 'data') data += value;
  }
  if (!data) return;
  const told = JSON.parse(data);
  if (name === 'reset') state.lastId = told.last_event_id; // we were too slow, and go on from there
  else seen(told);
}

/// Asks for the status some times. Whether nothing can follow.
async function poll(sale, order, state, { seen, onMode, signal }) {
  onMode('polling');
  for (let tries = 0; tries < POLLS && !signal.aborted; tries += 1) {
    let ms = POLL_MS * (0.85 + Math.random() * 0.3);
    try {
      const { body } = await call('GET', path('sales', sale, 'orders', order, 'status'), { signal });
      if (body.status !== state.last) seen(body);
      if (isFinal(body.status)) return true;
    } catch (error) {
      if (signal.aborted) return true;
      ms = retryPause(error, tries);
    }
    await quietly(pause(ms, signal, window));
  }
  return signal.aborted;
}
