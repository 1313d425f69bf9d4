// What stands in the way for now, at the top of the page: no connection, too busy. It goes by itself.

import { Lost } from '../api.js';
import { h } from '../dom.js';
import { t } from '../i18n.js';

const place = document.getElementById('notice');

/// For `onTrouble` of a watch: shows an error, and takes it away.
export function notice(signal) {
  signal.addEventListener('abort', () => place.replaceChildren());
  return (error) => {
    if (!error) return place.replaceChildren();
    const text = error instanceof Lost ? t('offline') : error.message;
    if (place.textContent !== text) place.replaceChildren(h('p', { role: 'status' }, text));
    return undefined;
  };
}
