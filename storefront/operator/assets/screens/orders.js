// Search for orders by sale, customer and status, or by id.

import { get, path } from '../api.js';
import { moment, money, number, t } from '../i18n.js';
import { useOverview } from '../poller.js';
import { Button, Field, Problem, Title, Waiting, html, useEffect, useState } from '../ui.js';

export const STATUSES = [
  'created',
  'payment_requested',
  'payment_completed',
  'payment_failed',
  'preparing',
  'in_warehouse',
  'shipped',
  'in_transit',
  'delivered',
  'refund_requested',
  'refunded',
  'cancelled',
];
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const PAGE = 50;

export const tone = (status) =>
  ({
    delivered: 'good',
    payment_completed: 'good',
    preparing: 'good',
    in_warehouse: 'good',
    shipped: 'good',
    in_transit: 'good',
    payment_failed: 'bad',
    cancelled: 'quiet',
    refunded: 'quiet',
    refund_requested: 'warn',
  })[status] ?? 'plain';

function Results({ orders, sale }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t('orders.found')}><table class="orders">
    <thead><tr><th scope="col" class="n">${t('order.sequence')}</th><th scope="col">${t('order.customer')}</th><th scope="col">${t('order.status')}</th>
      <th scope="col">${t('order.lines')}</th><th scope="col" class="n">${t('order.total')}</th><th scope="col">${t('order.updated')}</th><th scope="col">${t('order.id')}</th></tr></thead>
    <tbody>${orders.map(
      (order) => html`<tr key=${order.order_id}>
      <td class="n">${number(order.sequence)}</td><td>${order.customer_id}</td>
      <td><span class="pill" data-tone=${tone(order.status)}>${t(`status.${order.status}`)}</span></td>
      <td>${(order.lines ?? []).map((line) => `${line.sku} × ${line.quantity}`).join(', ')}</td>
      <td class="n">${money(order.total, order.currency)}</td><td>${moment(order.last_updated)}</td>
      <th scope="row"><a class="id" href=${`#/orders/${encodeURIComponent(sale)}/${order.order_id}`}>${order.order_id}</a></th></tr>`,
    )}</tbody>
  </table></div>`;
}

export function Orders({ parameters }) {
  const { snapshot } = useOverview();
  const sales = (snapshot?.sales ?? []).filter((sale) => sale.state !== 'draft');
  const filters = Object.fromEntries(
    ['sale', 'customer', 'status', 'order'].map((name) => [name, parameters.get(name) ?? '']),
  );
  const [form, setForm] = useState(filters);
  const [found, setFound] = useState(null);
  const [error, setError] = useState(null);
  const [message, setMessage] = useState('');
  const sale = form.sale || sales[0]?.sale_id || '';

  const search = async (query, cursor) => {
    setError(null);
    try {
      const page = await get(path('sales', query.sale, 'orders'), {
        customer: query.customer,
        status: query.status,
        limit: PAGE,
        cursor,
      });
      setFound((before) => ({ ...page, query, orders: [...(cursor ? before.orders : []), ...page.orders] }));
      setMessage(t('orders.count', { orders: number(page.orders.length) }));
    } catch (refused) {
      setError(refused);
      if (!cursor) setFound(null);
    }
  };
  // The search in the address runs at once, so that it can be bookmarked and shared.
  useEffect(() => {
    if (filters.sale) search(filters);
  }, []);
  const submit = (event) => {
    event.preventDefault();
    const wanted = { ...form, sale, customer: form.customer.trim(), order: form.order.trim() };
    if (wanted.order) {
      if (!UUID.test(wanted.order)) return setError({ message: t('orders.no_id') });
      location.hash = `#/orders/${encodeURIComponent(sale)}/${wanted.order.toLowerCase()}`;
      return;
    }
    const filled = Object.entries(wanted).filter(([, value]) => value);
    const next = `#/orders?${new URLSearchParams(filled)}`;
    if (location.hash === next) search(wanted);
    else location.hash = next;
  };
  const set = (name) => (event) => setForm({ ...form, [name]: event.target.value });
  return html`<${Title}>${t('place.orders')}<//>
    <form class="panel search" role="search" onSubmit=${submit}>
      <${Field} label=${t('order.sale')}><select name="sale" onChange=${set('sale')}>
        ${sales.map((one) => html`<option value=${one.sale_id} selected=${one.sale_id === sale}>${one.title} (${one.sale_id})</option>`)}</select><//>
      <${Field} label=${t('order.customer')}><input name="customer" value=${form.customer} onInput=${set('customer')} autocomplete="off" spellcheck=${false} /><//>
      <${Field} label=${t('order.status')}><select name="status" onChange=${set('status')}>
        <option value="">${t('orders.any')}</option>
        ${STATUSES.map((one) => html`<option value=${one} selected=${one === form.status}>${t(`status.${one}`)}</option>`)}</select><//>
      <${Field} label=${t('order.id')}><input name="order" value=${form.order} onInput=${set('order')} autocomplete="off" spellcheck=${false} /><//>
      <button type="submit" class="button" data-kind="primary" disabled=${!sale}>${t('orders.search')}</button>
    </form>
    ${snapshot && sales.length === 0 && html`<p class="empty panel">${t('orders.no_sales')}</p>`}
    <${Problem} error=${error} />
    <p class="visually-hidden" role="status">${message}</p>
    ${!found && !error && filters.sale && html`<${Waiting} />`}
    ${
      found &&
      (found.orders.length === 0
        ? html`<p class="empty panel">${t('orders.none')}</p>`
        : html`<section class="panel" aria-label=${t('orders.found')}>
      <${Results} orders=${found.orders} sale=${found.query.sale} />
      ${found.next_cursor && html`<${Button} onPress=${() => search(found.query, found.next_cursor)}>${t('orders.more')}<//>`}</section>`)
    }`;
}
