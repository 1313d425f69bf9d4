// Words, money and times in the customer's language. Refusals and states of orders come in it from the server.

import { load, store } from './storage.js';

const LANGUAGES = ['en', 'ko'];
let current = 'en';
let words = {};

/// The language of everything shown.
export const language = () => current;

/// What the customer chose, else what the browser prefers.
export function preferred() {
  const chosen = load('language');
  if (LANGUAGES.includes(chosen)) return chosen;
  const wanted = navigator.languages ?? [navigator.language];
  return wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => LANGUAGES.includes(tag)) ?? 'en';
}

/// Loads a language's words, and nothing of the other's.
export async function use(tag, chosen = false) {
  words = (await import(`./texts/${tag}.js`)).default;
  current = tag;
  document.documentElement.lang = tag;
  if (chosen) store('language', tag);
}

/// A text, with `{name}` replaced.
export function t(key, values = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

const cache = new Map();
function format(kind, make) {
  const key = `${current}:${kind}`;
  if (!cache.has(key)) cache.set(key, make());
  return cache.get(key);
}

/// An amount in the currency's minor unit.
export function money(amount, currency) {
  const formatter = format(`money:${currency}`, () => new Intl.NumberFormat(current, { style: 'currency', currency }));
  return formatter.format(amount / 10 ** formatter.resolvedOptions().maximumFractionDigits);
}

/// A whole number.
export const count = (number) => format('count', () => new Intl.NumberFormat(current)).format(number);

/// A moment, as briefly as it is unmistakable.
export function moment(time) {
  const options = { month: 'short', day: 'numeric', hour: 'numeric', minute: '2-digit' };
  return format('moment', () => new Intl.DateTimeFormat(current, options)).format(new Date(time));
}

/// A moment of which the second matters.
export function second(time) {
  const options = { hour: 'numeric', minute: '2-digit', second: '2-digit' };
  return format('second', () => new Intl.DateTimeFormat(current, options)).format(new Date(time));
}

/// A span for people: "2 minutes", "2분".
export function span(ms) {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  const [value, unit] = seconds < 90 ? [seconds, 'second']
    : seconds < 90 * 60 ? [Math.round(seconds / 60), 'minute']
      : seconds < 36 * 3600 ? [Math.round(seconds / 3600), 'hour'] : [Math.round(seconds / 86400), 'day'];
  const options = { style: 'unit', unit, unitDisplay: 'long' };
  return format(`span:${unit}`, () => new Intl.NumberFormat(current, options)).format(value);
}
