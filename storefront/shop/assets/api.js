// Calls of the public API. A refusal is a problem document with a stable code (RFC 9457); no answer at all is `Lost`,
// which says nothing about whether the request was carried out.

import { token } from './identity.js';
import { language } from './i18n.js';
import { pause } from './dom.js';

/// A request may take so long, in milliseconds: longer than the server's own limits.
const ANSWER_MS_MAX = 12_000;
/// The first pause after no answer, and the longest.
const PAUSE_MS_MIN = 400;
const PAUSE_MS_MAX = 8_000;

/// The server refused.
export class Refusal extends Error {
  constructor(status, body, retryAfter) {
    super(body.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? `http_${status}`;
    this.members = body;
    this.retryAfter = retryAfter;
    /// Asked a moment too early: the same request is welcome soon.
    this.early = false;
  }
  /// Whether the same request may be answered otherwise a little later.
  get passes() {
    return this.early || this.status === 429 || this.status >= 500 || this.status === 408;
  }
  /// Whether it is certain that the request did nothing.
  get didNothing() {
    return this.status < 500 || ['overloaded', 'stock_unavailable', 'sale_rebuilding'].includes(this.code);
  }
}

/// No answer came.
export class Lost extends Error {
  get passes() { return true; }
  get didNothing() { return false; }
}

export const path = (...parts) => `/v1/${parts.map(encodeURIComponent).join('/')}`;

/// The headers that every request has.
export function headers(more = {}) {
  const all = new Headers({ 'Accept-Language': language(), ...more });
  if (token()) all.set('Authorization', `Bearer ${token()}`);
  return all;
}

/// One request. Resolves to {status, body, etag, sentAt, receivedAt}; 304 has no body.
export async function call(method, url, { body, key, etag, signal } = {}) {
  const more = {};
  if (body !== undefined) more['Content-Type'] = 'application/json';
  if (key) more['Idempotency-Key'] = key;
  if (etag) more['If-None-Match'] = etag;
  const limit = new AbortController();
  const stop = () => limit.abort(signal.reason);
  if (signal?.aborted) throw signal.reason;
  signal?.addEventListener('abort', stop);
  const timer = setTimeout(() => limit.abort(), ANSWER_MS_MAX);
  const sentAt = performance.now();
  try {
    const answer = await fetch(url, {
      method,
      headers: headers(more),
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: limit.signal,
      cache: 'no-store', // what may be kept is decided here, by ETag
    });
    const receivedAt = performance.now();
    const text = await answer.text();
    const told = text ? parsed(text) : {};
    if (!answer.ok && answer.status !== 304) {
      throw new Refusal(answer.status, told, Number(answer.headers.get('Retry-After')) || null);
    }
    return { status: answer.status, body: told, etag: answer.headers.get('ETag'), sentAt, receivedAt };
  } catch (error) {
    if (error instanceof Refusal || signal?.aborted) throw signal?.aborted ? signal.reason : error;
    throw new Lost('no answer');
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {}; // from something between us and the gateway
  }
}

/// How long to wait before the next try: what the server asked for, and up to so much more that customers who were
/// refused in one moment do not return in one.
export function retryPause(error, tries) {
  const growing = Math.min(PAUSE_MS_MIN * 2 ** Math.min(tries, 10), PAUSE_MS_MAX);
  const asked = (error.retryAfter ?? 0) * 1000;
  return asked + growing / 2 + Math.random() * growing / 2;
}

/// Tries again for as long as the refusal is one that passes. `onWait(error, ms, tries)` is told of each pause.
export async function persistently(attempt, { signal, onWait } = {}) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await attempt(tries);
    } catch (error) {
      if (!error.passes) throw error;
      const ms = retryPause(error, tries);
      onWait?.(error, ms, tries + 1);
      await pause(ms, signal, window);
    }
  }
}
