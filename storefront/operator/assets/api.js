// Calls of the admin API. A refusal carries the server's own words (RFC 9457); no answer at all is `Lost`.

import { language } from './i18n.js';

const TOKEN = 'operator-token';
/// No call waits longer: the server's own limit is 20 s.
const ANSWER_MS_MAX = 25_000;

/// The token lives as long as the tab.
export const token = () => sessionStorage.getItem(TOKEN);
export const signIn = (text) => sessionStorage.setItem(TOKEN, text);
export const signOut = () => sessionStorage.removeItem(TOKEN);

/// The server refused.
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

/// No answer came; whether the request was carried out is not known.
export class Lost extends Error {}

/// Where a call goes: each part is one segment.
export const path = (...parts) => `/admin/v1/${parts.map(encodeURIComponent).join('/')}`;

/// With parameters; empty ones are left out.
export function query(url, parameters) {
  const filled = Object.entries(parameters).filter(([, value]) => value !== '' && value !== null && value !== undefined);
  return filled.length ? `${url}?${new URLSearchParams(filled)}` : url;
}

/// One call. Resolves to the answer's body.
export async function call(method, url, { body, key, as = token(), limit = ANSWER_MS_MAX } = {}) {
  const headers = new Headers({ 'Accept-Language': language() });
  if (as) {
    try {
      headers.set('Authorization', `Bearer ${as}`);
    } catch {
      throw new Refusal(401, { code: 'unauthenticated' }); // letters that no header carries: no such token
    }
  }
  if (body !== undefined) headers.set('Content-Type', 'application/json');
  if (key) headers.set('Idempotency-Key', key);
  let answer;
  let text;
  try {
    answer = await fetch(url, {
      method, headers, cache: 'no-store', signal: AbortSignal.timeout(limit),
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    text = await answer.text();
  } catch {
    throw new Lost('no answer');
  }
  const told = parsed(text);
  if (answer.ok && told !== null) return told;
  if (answer.status === 401) window.dispatchEvent(new CustomEvent('refused', { detail: as }));
  throw new Refusal(answer.status, told ?? {});
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // from something between us and the gateway
  }
}

export const get = (url, parameters = {}) => call('GET', query(url, parameters));
export const act = (sale, action) => call('POST', path('sales', sale, action));
