// One order: its lines, payment, delivery and history. The delivery status can be set by hand here.

import { call, get, path } from '../api.js';
import { moment, money, number, t, UNKNOWN } from '../i18n.js';
import { confirmed } from '../parts/confirm.js';
import { Field, Problem, Title, Waiting, html, useFetch, useEffect, useState } from '../ui.js';
import { tone } from './orders.js';

/// The delivery states in their order.
const DELIVERY_STATES = ['preparing', 'in_warehouse', 'shipped', 'in_transit', 'delivered'];
/// The order states in which the delivery status can be set.
const DELIVERABLE = ['payment_completed', 'preparing', 'in_warehouse', 'shipped', 'in_transit'];
/// A command is settled within moments: the polling interval, and the maximum number of polls.
const FOLLOW_MS = 400;
const FOLLOWS_MAX = 15;

const Facts = ({ rows }) =>
  html`<dl class="facts wide">${rows
    .filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(
      ([name, value]) => html`<div key=${name}>
  <dt>${t(`order.${name}`)}</dt><dd>${value}</dd></div>`,
    )}</dl>`;

function Lines({ order }) {
  const price = (amount) => money(amount, order.currency);
  return html`<section class="panel" aria-labelledby="lines"><h2 id="lines">${t('order.lines')}</h2>
    <table><thead><tr><th scope="col">${t('item')}</th><th scope="col" class="n">${t('order.quantity')}</th><th scope="col" class="n">${t('order.price')}</th><th scope="col" class="n">${t('order.sum')}</th></tr></thead>
    <tbody>${(order.lines ?? []).map(
      (line) => html`<tr key=${line.sku}><th scope="row">${line.sku}</th><td class="n">${number(line.quantity)}</td>
      <td class="n">${price(line.unit_price)}</td><td class="n">${price(line.unit_price * line.quantity)}</td></tr>`,
    )}</tbody>
    <tfoot>
      ${order.discount > 0 && html`<tr><th scope="row" colspan="3">${t('order.discount')}</th><td class="n">${price(-order.discount)}</td></tr>`}
      ${order.delivery_fee > 0 && html`<tr><th scope="row" colspan="3">${t('order.delivery_fee')}</th><td class="n">${price(order.delivery_fee)}</td></tr>`}
      <tr><th scope="row" colspan="3">${t('order.total')}</th><td class="n"><strong>${price(order.total)}</strong></td></tr>
    </tfoot></table></section>`;
}

function History({ order }) {
  return html`<section class="panel" aria-labelledby="history"><h2 id="history">${t('order.history')}</h2>
    <ol class="history">${order.history.map(
      (entry, i) => html`<li key=${i} data-tone=${tone(entry.status)}>
      <span class="dot" aria-hidden="true"></span><div><strong>${t(`status.${entry.status}`)}</strong> <time datetime=${entry.at}>${moment(entry.at)}</time>
      <p class="quiet">${entry.description}${entry.reason && ` (${entry.reason})`}</p></div></li>`,
    )}</ol>
    ${
      order.notes &&
      html`<h3>${t('order.notes')}</h3><ul class="notes">${order.notes.map(
        (note, i) => html`<li key=${i}>
      <code>${note.command}</code> → <code>${note.result}</code> <time datetime=${note.at}>${moment(note.at)}</time></li>`,
      )}</ul>`
    }
  </section>`;
}

function Delivery({ order, sale, onStatusSet }) {
  const delivery = order.delivery;
  const open = DELIVERY_STATES.slice(DELIVERY_STATES.indexOf(order.status) + 1);
  const [status, setStatus] = useState('');
  const [error, setError] = useState(null);
  const next = open.includes(status) ? status : open[0];
  const move = async (event) => {
    event.preventDefault();
    setError(null);
    if (
      !(await confirmed({
        title: t('deliver.title'),
        text: t('deliver.text', { status: t(`status.${next}`) }),
        verb: t('deliver.do'),
        tone: 'primary',
      }))
    )
      return;
    try {
      await call('PATCH', path('sales', sale, 'orders', order.order_id, 'delivery'), { body: { status: next } });
      onStatusSet(next);
    } catch (refused) {
      setError(refused);
    }
  };
  return html`<section class="panel" aria-labelledby="delivery"><h2 id="delivery">${t('order.delivery')}</h2>
    ${
      delivery
        ? html`<${Facts} rows=${[
            ['delivery_status', t(`status.${delivery.status}`)],
            ['kind', t(`order.kind.${delivery.kind}`)],
            ['courier', delivery.courier],
            ['tracking', delivery.tracking_number && html`<span class="id">${delivery.tracking_number}</span>`],
            ['started', moment(delivery.started_at)],
            ['shipped', delivery.shipped_at && moment(delivery.shipped_at)],
            ['completed', delivery.completed_at && moment(delivery.completed_at)],
            ['arrival', delivery.estimated_arrival && moment(delivery.estimated_arrival)],
            ['message', delivery.last_status_message],
          ]} />`
        : html`<p class="quiet">${t('order.no_delivery')}</p>`
    }
    ${
      DELIVERABLE.includes(order.status) &&
      open.length > 0 &&
      html`<form class="inline" onSubmit=${move}>
      <${Field} label=${t('deliver.status')}><select name="delivery" onChange=${(event) => setStatus(event.target.value)}>
        ${open.map((one) => html`<option value=${one} selected=${one === next}>${t(`status.${one}`)}</option>`)}</select><//>
      <button type="submit" class="button" data-kind="primary">${t('deliver.do')}</button></form>`
    }
    <${Problem} error=${error} />
  </section>`;
}

export function Order({ sale, order: id }) {
  const { data: order, error, reload } = useFetch(() => get(path('sales', sale, 'orders', id)), [sale, id]);
  // After a command: poll until the order has the new status, or until the maximum number of polls.
  const [follow, setFollow] = useState(null);
  useEffect(() => {
    if (!follow) return undefined;
    const timer = setTimeout(() => {
      reload();
      setFollow(order?.status === follow.status || follow.left === 0 ? null : { ...follow, left: follow.left - 1 });
    }, FOLLOW_MS);
    return () => clearTimeout(timer);
  }, [follow]);
  const payment = order?.payment;
  return html`<p class="crumb"><a href=${`#/orders?${new URLSearchParams({ sale })}`}>${t('place.orders')}</a></p>
    <header class="sale-head"><div><${Title}>${t('order.title', { sequence: number(order?.sequence) })}<//><p class="quiet id">${id}</p></div>
      ${order && html`<span class="states" role="status"><span class="pill" data-tone=${tone(order.status)} data-status=${order.status}>${t(`status.${order.status}`)}</span></span>`}</header>
    <${Problem} error=${error} />
    ${!order && !error && html`<${Waiting} />`}
    ${
      order &&
      html`<div class="halves">
      <div>
        <section class="panel" aria-labelledby="about"><h2 id="about">${t('order.about')}</h2><${Facts} rows=${[
          [
            'customer',
            html`<a href=${`#/orders?${new URLSearchParams({ sale, customer: order.customer_id })}`}>${order.customer_id}</a>`,
          ],
          ['email', order.customer_email],
          ['sale', html`<a href=${`#/sales/${encodeURIComponent(sale)}`}>${sale}</a>`],
          ['says', order.status_description],
          ['cancel_reason', order.cancel_reason],
          ['hold', order.status === 'created' ? moment(order.hold_expires_at) : null],
          ['updated', moment(order.last_updated)],
        ]} /></section>
        <${Lines} order=${order} />
        <section class="panel" aria-labelledby="payment"><h2 id="payment">${t('order.payment')}</h2>
          ${
            payment
              ? html`<${Facts} rows=${[
                  ['payment_status', t(`payment.${payment.status}`)],
                  ['method', t(`method.${payment.method}`)],
                  ['amount', money(payment.amount, payment.currency)],
                  ['payment_reason', payment.reason],
                  ['requested', payment.requested_at && moment(payment.requested_at)],
                  ['captured', payment.captured_at && moment(payment.captured_at)],
                  ['refunded', payment.refunded_at && moment(payment.refunded_at)],
                  ['payment_id', html`<span class="id">${payment.payment_id}</span>`],
                ]} />`
              : html`<p class="quiet">${t('order.no_payment', { none: UNKNOWN })}</p>`
          }</section>
      </div>
      <div><${Delivery} order=${order} sale=${sale} onStatusSet=${(status) => setFollow({ status, left: FOLLOWS_MAX })} /><${History} order=${order} /></div>
    </div>`
    }`;
}
