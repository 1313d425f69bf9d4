// Who buys. The rest of the page knows a bearer token and a name for it, nothing of how one is come by: here it is
// the development identity `dev:<customer>`.

import { load, store } from './storage.js';

const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const changed = new EventTarget();

/// What goes into `Authorization: Bearer …`; null: nobody.
export const token = () => load('token');

/// What the customer is called; null: nobody.
export const customer = () => token()?.split(':')[1] ?? null;

/// Whether a name can be a customer's.
export const isName = (name) => NAME.test(name);

export function signIn(name) {
  store('token', `dev:${name}`);
  changed.dispatchEvent(new Event('change'));
}

export function signOut() {
  store('token', null);
  changed.dispatchEvent(new Event('change'));
}

/// Calls back when somebody else has signed in, here or in another tab.
export function onChange(listener) {
  changed.addEventListener('change', listener);
  addEventListener('storage', (event) => {
    if (event.key === 'flashsale:token') listener();
  });
}
