// Texts, money and times in the customer's language. The server translates refusals and order states.

import { load, store } from './storage.js';

const LANGUAGES = ['en', 'ko'];
let current = 'en';
let texts = {};

/// Returns the current language.
export const language = () => current;

/// Returns the language that the customer chose, otherwise the browser's.
export function preferred() {
  const chosen = load('language');
  if (LANGUAGES.includes(chosen)) return chosen;
  const wanted = navigator.languages ?? [navigator.language];
  return wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => LANGUAGES.includes(tag)) ?? 'en';
}

/// Loads the texts of a language.
export async function setLanguage(tag, chosen = false) {
  texts = (await import(`./texts/${tag}.js`)).default;
  current = tag;
  document.documentElement.lang = tag;
  if (chosen) store('language', tag);
}

/// Returns a text, with each `{name}` replaced.
export function t(key, values = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

const cache = new Map();
function format(kind, make) {
  const key = `${current}:${kind}`;
  if (!cache.has(key)) cache.set(key, make());
  return cache.get(key);
}

/// Formats an amount in the currency's minor unit.
export function money(amount, currency) {
  const formatter = format(`money:${currency}`, () => new Intl.NumberFormat(current, { style: 'currency', currency }));
  return formatter.format(amount / 10 ** formatter.resolvedOptions().maximumFractionDigits);
}

/// Formats an integer.
export const count = (number) => format('count', () => new Intl.NumberFormat(current)).format(number);

/// Formats a time, to the minute.
export function moment(time) {
  const options = { month: 'short', day: 'numeric', hour: 'numeric', minute: '2-digit' };
  return format('moment', () => new Intl.DateTimeFormat(current, options)).format(new Date(time));
}

/// Formats a time of day, to the second.
export function second(time) {
  const options = { hour: 'numeric', minute: '2-digit', second: '2-digit' };
  return format('second', () => new Intl.DateTimeFormat(current, options)).format(new Date(time));
}

/// Formats a duration for people: "2 minutes", "2분".
export function span(ms) {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  const [value, unit] =
    seconds < 90
      ? [seconds, 'second']
      : seconds < 90 * 60
        ? [Math.round(seconds / 60), 'minute']
        : seconds < 36 * 3600
          ? [Math.round(seconds / 3600), 'hour']
          : [Math.round(seconds / 86400), 'day'];
  const options = { style: 'unit', unit, unitDisplay: 'long' };
  return format(`span:${unit}`, () => new Intl.NumberFormat(current, options)).format(value);
}
