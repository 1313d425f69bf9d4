// The customer's identity. The rest of the page uses a bearer token and a name and does not depend on how they are
// obtained: here it is the development identity `dev:<customer>`.

import { load, store } from './storage.js';

const NAME = /^[A-Za-z0-9._-]{1,64}$/;
const changed = new EventTarget();

/// Returns the token for `Authorization: Bearer …`; null if no customer is signed in.
export const token = () => load('token');

/// Returns the customer's name; null if no customer is signed in.
export const customer = () => token()?.split(':')[1] ?? null;

/// Returns whether a name is a valid customer name.
export const isName = (name) => NAME.test(name);

export function signIn(name) {
  store('token', `dev:${name}`);
  changed.dispatchEvent(new Event('change'));
}

export function signOut() {
  store('token', null);
  changed.dispatchEvent(new Event('change'));
}

/// Calls the listener when the customer changes, in this tab or in another.
export function onChange(listener) {
  changed.addEventListener('change', listener);
  addEventListener('storage', (event) => {
    if (event.key === 'flashsale:token') listener();
  });
}
