// The customer's orders in all sales, newest first within each sale.

import { call, path, retry } from '../api.js';
import { h, show } from '../dom.js';
import { customer } from '../identity.js';
import { count, money, moment, t } from '../i18n.js';
import { allPending } from '../attempt.js';
import { empty, linkButton } from '../parts.js';
import { fetchSales } from '../sale.js';
import { notice } from './notice.js';
import { signInDialog } from './sign-in.js';

const PAGE = 10;

export default function view(root, { signal, title }) {
  title(t('ordersTitle'));
  root.append(h('h1', {}, t('ordersTitle')));
  if (!customer())
    return root.append(
      empty(
        t('signInFirst'),
        null,
        h('button', { type: 'button', class: 'button strong', on: { click: signInDialog } }, t('signIn')),
      ),
    );
  const loading = h('p', { class: 'loading', role: 'status' }, t('loading'));
  root.append(loading);
  fill(root, signal)
    .catch((error) => {
      if (!signal.aborted) root.append(h('p', { role: 'alert' }, error.message));
    })
    .finally(() => loading.remove());
  return undefined;
}

async function fill(root, signal) {
  const showError = notice(signal);
  const retryOptions = { signal, onWait: showError };
  const unfinished = allPending(customer());
  if (unfinished.length > 0) {
    root.append(
      h(
        'div',
        { class: 'stage-box', 'data-kind': 'wait' },
        h(
          'div',
          {},
          h('p', { class: 'stage-title' }, t('pendingTitle')),
          unfinished.map((sale) => linkButton(`#/sale/${encodeURIComponent(sale)}`, t('pendingGo'))),
        ),
      ),
    );
  }
  const {
    body: { sales },
  } = await retry(() => fetchSales({ signal }), retryOptions);
  const first = await Promise.all(sales.map((sale) => page(sale, null, retryOptions)));
  showError(null);
  let hasOrders = false;
  sales.forEach((sale, index) => {
    if (first[index].orders.length === 0) return;
    hasOrders = true;
    root.append(section(sale, first[index], retryOptions));
  });
  if (!hasOrders && unfinished.length === 0)
    root.append(empty(t('noOrders'), t('noOrdersHint'), linkButton('#/', t('sales'))));
}

async function page(sale, cursor, retryOptions) {
  const query = `?limit=${PAGE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`;
  const response = await retry(
    () => call('GET', path('sales', sale.sale_id, 'orders') + query, { signal: retryOptions.signal }),
    retryOptions,
  );
  return response.body;
}

function section(sale, first, retryOptions) {
  const list = h('ul', { class: 'order-list' });
  const more = h('button', { type: 'button', class: 'button quiet', on: { click: next } }, t('more'));
  let cursor;
  const add = ({ orders, next_cursor: following }) => {
    const begun = list.children.length;
    list.append(...orders.map((order) => row(sale, order)));
    cursor = following;
    show(more, Boolean(following));
    if (begun > 0) list.children[begun]?.querySelector('a').focus();
  };
  async function next() {
    more.disabled = true;
    add(await page(sale, cursor, retryOptions));
    more.disabled = false;
  }
  add(first);
  const id = `orders-${sale.sale_id}`;
  return h('section', { class: 'block', 'aria-labelledby': id }, h('h2', { id }, sale.title), list, more);
}

function row(sale, order) {
  const what = (order.lines ?? [])
    .map((line) => `${sale.items.find((item) => item.sku === line.sku)?.name ?? line.sku} × ${count(line.quantity)}`)
    .join(', ');
  return h(
    'li',
    { 'data-status': order.status },
    h(
      'a',
      { href: `#/sale/${encodeURIComponent(sale.sale_id)}/order/${order.order_id}` },
      t('orderTitle', { sequence: count(order.sequence) }),
    ),
    h('span', { class: 'order-what' }, what || order.status_description),
    h('span', { class: 'order-total' }, money(order.total, order.currency)),
    h('span', { class: 'order-status' }, order.status_description),
    h('time', { datetime: order.last_updated }, moment(order.last_updated)),
  );
}
