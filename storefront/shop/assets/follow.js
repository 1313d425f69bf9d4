// Live updates of an order: Server-Sent Events, read with fetch because EventSource cannot send an Authorization header. A
// broken stream is resumed after the last event; if no stream can be opened, the status is polled.

import { Refusal, call, headers, path, retryDelay } from './api.js';
import { pause } from './dom.js';

const FINAL = ['delivered', 'refunded', 'cancelled'];
/// After this many failures in a row the status is polled, before a stream is tried again.
const STREAM_FAILURES_MAX = 3;
const POLLS = 10;
const POLL_MS = 1_500;
/// A stream that sends nothing for this time is considered broken; the server sends a heartbeat every 15 s.
const SILENCE_MS_MAX = 40_000;

export const isFinal = (status) => FINAL.includes(status);

/// Follows an order until a final state or until the signal. `onChange(status)` is called for each change,
/// `onMode('live' | 'polling' | 'reconnecting')` when the connection changes.
export async function follow(sale, order, { from = null, onChange, onMode, signal }) {
  const state = { lastId: null, retryMs: 1000, last: from };
  const publish = (status) => {
    state.last = status.status;
    onChange(status);
  };
  let failures = 0;
  while (!signal.aborted) {
    try {
      const isOver = await stream(sale, order, state, { publish, onMode, signal });
      failures = 0;
      if (isOver) return;
    } catch (error) {
      if (signal.aborted || (error instanceof Refusal && !error.isTransient)) return;
      failures += 1;
      onMode('reconnecting');
      if (failures >= STREAM_FAILURES_MAX) {
        if (await poll(sale, order, state, { publish, onMode, signal })) return;
        failures = 0;
        continue;
      }
      await ignoringAbort(pause(retryDelay(error, failures), signal, window));
      continue;
    }
    onMode('reconnecting');
    await ignoringAbort(pause(state.retryMs, signal, window));
  }
}

const ignoringAbort = (promise) => promise.catch(() => {});

/// Reads one stream until it ends. Returns whether the order can no longer change.
async function stream(sale, order, state, { publish, onMode, signal }) {
  const silence = new AbortController();
  const stop = () => silence.abort();
  signal.addEventListener('abort', stop);
  let timer = setTimeout(stop, SILENCE_MS_MAX);
  try {
    const more = { Accept: 'text/event-stream' };
    if (state.lastId) more['Last-Event-ID'] = state.lastId;
    const url = path('sales', sale, 'orders', order, 'events');
    const response = await fetch(url, { headers: headers(more), signal: silence.signal, cache: 'no-store' });
    if (response.status === 204) return true;
    if (!response.ok) {
      const problem = await response.json().catch(() => ({}));
      throw new Refusal(response.status, problem, Number(response.headers.get('Retry-After')) || null);
    }
    onMode('live');
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return isFinal(state.last);
      clearTimeout(timer);
      timer = setTimeout(stop, SILENCE_MS_MAX);
      text += value;
      const blocks = text.split('\n\n');
      text = blocks.pop();
      for (const block of blocks) applyEvent(block, state, publish);
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

/// Parses one event, by the rules of the WHATWG HTML standard that the server uses.
function applyEvent(block, state, publish) {
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
  const message = JSON.parse(data);
  if (name === 'reset')
    state.lastId = message.last_event_id; // the client was too slow; resume from there
  else publish(message);
}

/// Polls the status a few times. Returns whether the order can no longer change.
async function poll(sale, order, state, { publish, onMode, signal }) {
  onMode('polling');
  for (let tries = 0; tries < POLLS && !signal.aborted; tries += 1) {
    let ms = POLL_MS * (0.85 + Math.random() * 0.3);
    try {
      const { body } = await call('GET', path('sales', sale, 'orders', order, 'status'), { signal });
      if (body.status !== state.last) publish(body);
      if (isFinal(body.status)) return true;
    } catch (error) {
      if (signal.aborted) return true;
      ms = retryDelay(error, tries);
    }
    await ignoringAbort(pause(ms, signal, window));
  }
  return signal.aborted;
}
