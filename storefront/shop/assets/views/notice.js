// A temporary notice at the top of the page: no connection, or overload. It disappears by itself.

import { NoResponse } from '../api.js';
import { h } from '../dom.js';
import { t } from '../i18n.js';

const place = document.getElementById('notice');

/// Returns a handler for `onError` of `poll`, which shows an error or removes it.
export function notice(signal) {
  signal.addEventListener('abort', () => place.replaceChildren());
  return (error) => {
    if (!error) return place.replaceChildren();
    const text = error instanceof NoResponse ? t('offline') : error.message;
    if (place.textContent !== text) place.replaceChildren(h('p', { role: 'status' }, text));
    return undefined;
  };
}
