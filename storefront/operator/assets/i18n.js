// The language of the view, and the formats of numbers, money and times.

import en from './texts/en.js';
import ko from './texts/ko.js';

const STORAGE_KEY = 'operator-language';
const TEXTS = { en, ko };
const initial =
  localStorage.getItem(STORAGE_KEY) ?? (navigator.languages.find((tag) => /^(ko|en)/.test(tag)) ?? 'en').slice(0, 2);
let current = TEXTS[initial] ? initial : 'en';
document.documentElement.lang = current;

export const language = () => current;
export const languages = Object.keys(TEXTS);

export function setLanguage(next) {
  current = next;
  localStorage.setItem(STORAGE_KEY, next);
  document.documentElement.lang = next;
}

/// Returns a text by its key, with `{name}` replaced. A missing text shows its key, and fails a test.
export function t(key, values = {}) {
  const text = TEXTS[current][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/// The text for a value that is unknown at the moment.
export const UNKNOWN = '–';
const known = (value, write) => (value === null || value === undefined ? UNKNOWN : write(value));

const formats = new Map();
function format(Kind, options) {
  const key = `${current} ${Kind.name} ${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new Kind(current, options));
  return formats.get(key);
}

export const number = (value) => known(value, (n) => format(Intl.NumberFormat, {}).format(n));
export const signed = (value) =>
  known(value, (n) => format(Intl.NumberFormat, { signDisplay: 'exceptZero' }).format(n));
export const percent = (value) =>
  known(value, (n) => format(Intl.NumberFormat, { style: 'percent', maximumFractionDigits: 1 }).format(n));
/// Formats a rate per second; a small one with one decimal.
export const rate = (value) =>
  known(value, (n) => format(Intl.NumberFormat, { maximumFractionDigits: n < 10 ? 1 : 0 }).format(n));

/// Formats an amount in the minor unit.
export function money(amount, currency) {
  return known(amount, (minor) => {
    try {
      const written = format(Intl.NumberFormat, { style: 'currency', currency });
      return written.format(minor / 10 ** written.resolvedOptions().maximumFractionDigits);
    } catch {
      return `${number(minor)} ${currency}`;
    }
  });
}

const instant = (options) => (value) => known(value, (at) => format(Intl.DateTimeFormat, options).format(new Date(at)));
export const clock = instant({ timeStyle: 'medium' });
export const moment = instant({ dateStyle: 'medium', timeStyle: 'medium' });
export const hour = instant({ month: 'short', day: 'numeric', hour: '2-digit' });

/// Formats a duration in its largest units.
export function span(seconds) {
  const part = (value, unit) =>
    format(Intl.NumberFormat, { style: 'unit', unit, unitDisplay: 'narrow', maximumFractionDigits: 1 }).format(value);
  return known(seconds, (s) => {
    if (s < 10) return part(s, 'second');
    if (s < 120) return part(Math.round(s), 'second');
    if (s < 7200) return `${part(Math.floor(s / 60), 'minute')} ${part(Math.round(s % 60), 'second')}`;
    return `${part(Math.floor(s / 3600), 'hour')} ${part(Math.round((s % 3600) / 60), 'minute')}`;
  });
}
