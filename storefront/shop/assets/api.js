// Calls of the public API. A refusal is a problem document with a stable code (RFC 9457). `NoResponse` means that there was
// no response; the request may or may not have been carried out.

import { token } from './identity.js';
import { language } from './i18n.js';
import { pause } from './dom.js';

/// The timeout of a request in milliseconds, which is longer than the server's own timeouts.
const TIMEOUT_MS = 12_000;
/// The first and the longest backoff after a failure.
const BACKOFF_MS_MIN = 400;
const BACKOFF_MS_MAX = 8_000;

/// The server refused the request.
export class Refusal extends Error {
  constructor(status, body, retryAfter) {
    super(body.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? `http_${status}`;
    this.members = body;
    this.retryAfter = retryAfter;
    /// The request was sent a moment before the opening and can be repeated soon.
    this.early = false;
  }
  /// Whether the same request may succeed a little later.
  get isTransient() {
    return this.early || this.status === 429 || this.status >= 500 || this.status === 408;
  }
  /// Whether it is certain that the request did nothing.
  get didNothing() {
    return this.status < 500 || ['overloaded', 'starting', 'stock_unavailable', 'sale_rebuilding'].includes(this.code);
  }
}

/// There was no response.
export class NoResponse extends Error {
  get isTransient() {
    return true;
  }
  get didNothing() {
    return false;
  }
}

export const path = (...parts) => `/v1/${parts.map(encodeURIComponent).join('/')}`;

/// Returns the headers of every request, and the given ones.
export function headers(more = {}) {
  const all = new Headers({ 'Accept-Language': language(), ...more });
  if (token()) all.set('Authorization', `Bearer ${token()}`);
  return all;
}

/// Sends one request. Resolves to {status, body, etag, sentAt, receivedAt}; 304 has no body.
export async function call(method, url, { body, key, etag, signal } = {}) {
  const more = {};
  if (body !== undefined) more['Content-Type'] = 'application/json';
  if (key) more['Idempotency-Key'] = key;
  if (etag) more['If-None-Match'] = etag;
  const timeout = new AbortController();
  const stop = () => timeout.abort(signal.reason);
  if (signal?.aborted) throw signal.reason;
  signal?.addEventListener('abort', stop);
  const timer = setTimeout(() => timeout.abort(), TIMEOUT_MS);
  const sentAt = performance.now();
  try {
    const response = await fetch(url, {
      method,
      headers: headers(more),
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: timeout.signal,
      cache: 'no-store', // caching is done here, by ETag
    });
    const receivedAt = performance.now();
    const text = await response.text();
    const parsed = text ? parse(text) : {};
    if (!response.ok && response.status !== 304) {
      throw new Refusal(response.status, parsed, Number(response.headers.get('Retry-After')) || null);
    }
    return { status: response.status, body: parsed, etag: response.headers.get('ETag'), sentAt, receivedAt };
  } catch (error) {
    if (error instanceof Refusal || signal?.aborted) throw signal?.aborted ? signal.reason : error;
    throw new NoResponse('no response');
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {}; // the response comes from a proxy, not from the gateway
  }
}

/// Returns the wait before the next attempt: Retry-After plus exponential backoff with jitter, so that customers who were
/// refused at the same time do not retry at the same time.
export function retryDelay(error, tries) {
  const backoff = Math.min(BACKOFF_MS_MIN * 2 ** Math.min(tries, 10), BACKOFF_MS_MAX);
  const requested = (error.retryAfter ?? 0) * 1000;
  return requested + backoff / 2 + (Math.random() * backoff) / 2;
}

/// Retries as long as the error is transient. `onWait(error, ms, tries)` is called before each wait.
export async function retry(attempt, { signal, onWait } = {}) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await attempt(tries);
    } catch (error) {
      if (!error.isTransient) throw error;
      const ms = retryDelay(error, tries);
      onWait?.(error, ms, tries + 1);
      await pause(ms, signal, window);
    }
  }
}
