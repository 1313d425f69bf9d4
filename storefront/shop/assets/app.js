// The page's frame: header, language, sign-in and routing. Views are in `views/`; each receives the element to fill and a
// signal that ends it.

import { announce, h, setText } from './dom.js';
import { customer, onChange as onCustomer } from './identity.js';
import { language, preferred, setLanguage, t } from './i18n.js';
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

/// Shows the view for the address. `focus`: whether to move the focus to its heading.
async function open(focus) {
  current.abort(new DOMException('another view', 'AbortError'));
  const controller = new AbortController();
  current = controller;
  const hash = location.hash || '#/';
  const route = ROUTES.find(([pattern]) => pattern.test(hash)) ?? ROUTES[0];
  const parameters = (route[0].exec(hash) ?? []).slice(1).map(decodeURIComponent);
  frame(route[2]);
  const view = await route[1]();
  if (controller.signal.aborted) return;
  const root = h('div', { class: 'view' });
  main.replaceChildren(root);
  if (focus) {
    scrollTo({ top: 0 });
    main.focus({ preventScroll: true });
  }
  // A view sets its title when its heading exists or is about to.
  let movesFocus = focus;
  const title = (text) => {
    document.title = `${text} · ${t('brand')}`;
    if (movesFocus) requestAnimationFrame(() => focusHeading(root));
    movesFocus = false;
  };
  document.title = t('brand');
  view.default(root, { parameters, signal: controller.signal, title });
}

/// Moves the focus to the heading, unless the user has moved it already.
function focusHeading(root) {
  const heading = root.querySelector('h1');
  if (!heading || document.activeElement !== main) return;
  heading.setAttribute('tabindex', '-1');
  heading.focus({ preventScroll: true });
}

/// Draws the header and the footer for the current language and customer.
function frame(section) {
  const link = (href, text, name) => h('a', { href, 'aria-current': section === name ? 'page' : null }, text);
  const name = customer();
  const account = h(
    'button',
    {
      type: 'button',
      class: 'account',
      id: 'account',
      'aria-label': name ? t('signedInAs', { name }) : t('signIn'),
      on: { click: () => signIn() },
    },
    name ? h('span', { class: 'avatar', data: { initial: name[0].toUpperCase() } }) : null,
    h('span', { class: 'account-name' }, name ?? t('signIn')),
  );
  const other = language() === 'ko' ? 'en' : 'ko';
  const switcher = h(
    'button',
    { type: 'button', class: 'language', id: 'language', lang: other, on: { click: () => change(other) } },
    h('span', { 'aria-hidden': 'true' }, other === 'ko' ? '한국어' : 'EN'),
    h('span', { class: 'unseen' }, t('language')),
  );
  const focused = document.activeElement?.id;
  document
    .getElementById('top')
    .replaceChildren(
      h(
        'a',
        { class: 'brand', href: '#/', 'aria-label': t('brand') },
        h('span', { class: 'brand-mark' }, icon('bolt')),
        h('span', { class: 'brand-name' }, t('brand')),
      ),
      h(
        'nav',
        { 'aria-label': t('brand') },
        link('#/', t('sales'), 'sales'),
        link('#/orders', t('orders'), 'orders'),
        link('#/wallet', t('wallet'), 'wallet'),
      ),
      h('div', { class: 'tools' }, switcher, account),
    );
  if (['account', 'language'].includes(focused)) document.getElementById(focused).focus();
  setText(document.getElementById('skip'), t('skip'));
  setText(document.getElementById('foot'), t('footer'));
}

async function change(tag) {
  await setLanguage(tag, true);
  await open(false);
  announce(document.title);
}

/// Opens the sign-in dialog.
async function signIn() {
  const { signInDialog } = await import('./views/sign-in.js');
  await signInDialog();
}

document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault(); // the address belongs to the router
  main.focus();
});
addEventListener('hashchange', () => open(true));
onCustomer(() => open(false));
await setLanguage(preferred());
await open(false);
