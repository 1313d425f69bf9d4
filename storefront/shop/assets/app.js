// The page's frame: header, language, who is signed in, and which view the address asks for. Views live in `views/`;
// each is given the element to fill and a signal that ends it.

import { announce, h, say } from './dom.js';
import { customer, onChange as onCustomer } from './identity.js';
import { language, preferred, t, use } from './i18n.js';
import { icon } from './parts.js';

const ROUTES = [
  [/^#?\/?$/, () => import('./views/sales.js'), 'sales'],
  [/^#\/sale\/([^/]+)$/, () => import('./views/sale.js'), 'sales'],
  [/^#\/sale\/([^/]+)\/order\/([^/]+)$/, () => import('./views/order.js'), 'orders'],
  [/^#\/orders$/, () => import('./views/orders.js'), 'orders'],
  [/^#\/wallet$/, () => import('./views/wallet.js'), 'wallet'],
];

const main = document.getElementById('main');
let current = new AbortController();

/// Shows what the address asks for. `focus`: whether the reader is to be taken to its heading.
async function open(focus) {
  current.abort(new DOMException('another view', 'AbortError'));
  const mine = new AbortController();
  current = mine;
  const hash = location.hash || '#/';
  const found = ROUTES.find(([pattern]) => pattern.test(hash)) ?? ROUTES[0];
  const parameters = (found[0].exec(hash) ?? []).slice(1).map(decodeURIComponent);
  frame(found[2]);
  const view = await found[1]();
  if (mine.signal.aborted) return;
  const root = h('div', { class: 'view' });
  main.replaceChildren(root);
  if (focus) {
    scrollTo({ top: 0 });
    main.focus({ preventScroll: true });
  }
  // A view gives its title when its heading is there, or is about to be.
  let arriving = focus;
  const title = (text) => {
    document.title = `${text} · ${t('brand')}`;
    if (arriving) requestAnimationFrame(() => arrive(root));
    arriving = false;
  };
  document.title = t('brand');
  view.default(root, { parameters, signal: mine.signal, title });
}

/// Takes the reader to the heading, unless they have gone somewhere themselves.
function arrive(root) {
  const heading = root.querySelector('h1');
  if (!heading || document.activeElement !== main) return;
  heading.setAttribute('tabindex', '-1');
  heading.focus({ preventScroll: true });
}

/// Header and footer, in the language and for the customer of now.
function frame(where) {
  const link = (href, text, name) => h('a', { href, 'aria-current': where === name ? 'page' : null }, text);
  const name = customer();
  const account = h('button', { type: 'button', class: 'account', id: 'account', 'aria-label': name ? t('signedInAs', { name }) : t('signIn'), on: { click: () => signIn() } },
    name ? h('span', { class: 'avatar', data: { initial: name[0].toUpperCase() } }) : null, h('span', { class: 'account-name' }, name ?? t('signIn')));
  const other = language() === 'ko' ? 'en' : 'ko';
  const switcher = h('button', { type: 'button', class: 'language', id: 'language', lang: other, on: { click: () => change(other) } },
    h('span', { 'aria-hidden': 'true' }, other === 'ko' ? '한국어' : 'EN'), h('span', { class: 'unseen' }, t('language')));
  const focused = document.activeElement?.id;
  document.getElementById('top').replaceChildren(
    h('a', { class: 'brand', href: '#/', 'aria-label': t('brand') }, h('span', { class: 'brand-mark' }, icon('bolt')), h('span', { class: 'brand-name' }, t('brand'))),
    h('nav', { 'aria-label': t('brand') }, link('#/', t('sales'), 'sales'), link('#/orders', t('orders'), 'orders'), link('#/wallet', t('wallet'), 'wallet')),
    h('div', { class: 'tools' }, switcher, account));
  if (['account', 'language'].includes(focused)) document.getElementById(focused).focus();
  say(document.getElementById('skip'), t('skip'));
  say(document.getElementById('foot'), t('footer'));
}

async function change(tag) {
  await use(tag, true);
  await open(false);
  announce(document.title);
}

/// Asks who is buying.
async function signIn() {
  const { signInDialog } = await import('./views/sign-in.js');
  await signInDialog();
}

document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault(); // the address is the router's
  main.focus();
});
addEventListener('hashchange', () => open(true));
onCustomer(() => open(false));
await use(preferred());
await open(false);
