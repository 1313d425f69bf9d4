// Calls of the admin API. A refusal carries the server's problem document (RFC 9457); `NoResponse` means that there was none.

import { language } from './i18n.js';

const TOKEN = 'operator-token';
/// The timeout of a call; the server's own timeout is 20 s.
const TIMEOUT_MS = 25_000;

/// The token is kept until the tab is closed.
export const token = () => sessionStorage.getItem(TOKEN);
export const signIn = (text) => sessionStorage.setItem(TOKEN, text);
export const signOut = () => sessionStorage.removeItem(TOKEN);

/// The server refused the call.
export class Refusal extends Error {
  constructor(status, body) {
    super(body.title ?? `HTTP ${status}`);
    this.status = status;
    this.code = body.code ?? null;
    this.detail = body.detail ?? null;
    this.field = body.field ?? null;
    this.body = body;
  }
}

/// There was no response; the request may or may not have been carried out.
export class NoResponse extends Error {}

/// Returns the path of a call; each part is one segment.
export const path = (...parts) => `/admin/v1/${parts.map(encodeURIComponent).join('/')}`;

/// Adds the parameters that are not empty.
export function query(url, parameters) {
  const filled = Object.entries(parameters).filter(
    ([, value]) => value !== '' && value !== null && value !== undefined,
  );
  return filled.length ? `${url}?${new URLSearchParams(filled)}` : url;
}

/// Sends a call. Resolves to the body of the response.
export async function call(method, url, { body, key, as = token(), timeout = TIMEOUT_MS } = {}) {
  const headers = new Headers({ 'Accept-Language': language() });
  if (as) {
    try {
      headers.set('Authorization', `Bearer ${as}`);
    } catch {
      throw new Refusal(401, { code: 'unauthenticated' }); // the text is not valid in a header, so that it is no token
    }
  }
  if (body !== undefined) headers.set('Content-Type', 'application/json');
  if (key) headers.set('Idempotency-Key', key);
  let response;
  let text;
  try {
    response = await fetch(url, {
      method,
      headers,
      cache: 'no-store',
      signal: AbortSignal.timeout(timeout),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    text = await response.text();
  } catch {
    throw new NoResponse('no response');
  }
  const parsed = parse(text);
  if (response.ok && parsed !== null) return parsed;
  if (response.status === 401) window.dispatchEvent(new CustomEvent('unauthenticated', { detail: as }));
  throw new Refusal(response.status, parsed ?? {});
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // the response comes from a proxy, not from the gateway
  }
}

export const get = (url, parameters = {}) => call('GET', query(url, parameters));
export const act = (sale, action) => call('POST', path('sales', sale, action));
