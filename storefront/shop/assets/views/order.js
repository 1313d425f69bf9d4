// One order: its progress, updated live, and the actions that its customer can take.

import { call, path, retry } from '../api.js';
import * as clock from '../clock.js';
import { announce, h, setAttribute, setText, show } from '../dom.js';
import { customer } from '../identity.js';
import { follow, isFinal } from '../follow.js';
import { count, money, moment, second, t } from '../i18n.js';
import { complete } from '../attempt.js';
import { clockFace, confirmDialog, empty, everyTick, icon } from '../parts.js';
import { fetchSale } from '../sale.js';
import { notice } from './notice.js';
import { payForm } from './pay-form.js';

const STEPS = {
  processing: 'stepProcessing',
  created: 'stepCreated',
  payment_completed: 'stepPaid',
  preparing: 'stepPreparing',
  shipped: 'stepShipped',
  in_transit: 'stepTransit',
  in_warehouse: 'stepWarehouse',
  delivered: 'stepDelivered',
  refund_requested: 'stepRefund',
  refunded: 'stepRefunded',
  cancelled: 'stepCancelled',
  payment_failed: 'stepFailed',
};
const SHIP = ['created', 'payment_completed', 'preparing', 'shipped', 'in_transit', 'delivered'];
const STORE = ['created', 'payment_completed', 'preparing', 'in_warehouse', 'delivered'];
const PLACE = { processing: -1, created: 0, payment_requested: 0 };
const SENT_BACK = ['shipped', 'in_transit', 'delivered'];
const MODES = { live: 'live', polling: 'polling', reconnecting: 'reconnecting', finished: 'finished' };
/// The polling interval until a requested change has happened.
const POLL_MS = 700;

export default function view(root, { parameters: [sale, id], signal, title }) {
  if (!customer()) return root.append(h('h1', {}, t('orders')), empty(t('signInFirst')));
  root.append(h('p', { class: 'loading', role: 'status' }, t('loading')));
  start(root, sale, id, signal, title).catch((error) => {
    if (signal.aborted) return;
    root.replaceChildren(
      h('h1', {}, error.status === 404 ? t('notFound') : t('problem')),
      h('p', {}, error.message),
      h('a', { class: 'button', href: '#/orders' }, t('orders')),
    );
  });
  return undefined;
}

async function start(root, saleId, id, signal, title) {
  const showError = notice(signal);
  const read = async () => {
    const response = await retry(() => call('GET', path('sales', saleId, 'orders', id), { signal }), {
      signal,
      onWait: showError,
    });
    showError(null);
    return response.body;
  };
  const [sale, first] = await Promise.all([
    retry(() => fetchSale(saleId, { signal }), { signal }).then((response) => response.body),
    read(),
  ]);
  title(t('orderTitle', { sequence: count(first.sequence) }));
  const page = build(root, sale, first, signal, { act, reread });
  page.update(first);
  complete(customer(), saleId, id);
  everyTick(page.tick, signal);
  let order = first;
  let reading = null;

  // Changes can arrive faster than an order is read: only the last result is used.
  async function reread() {
    reading = (async () => {
      order = await read();
      page.update(order);
      return order;
    })();
    return reading;
  }
  function followOn() {
    follow(saleId, id, {
      from: order.status,
      signal,
      onMode: (mode) => page.mode(mode),
      onChange(status) {
        page.status(status);
        reread().catch(() => {});
      },
    }).then(() => {
      if (!signal.aborted) page.mode('finished');
    });
  }
  async function act(method, rest, body) {
    const before = order.status;
    const url = path('sales', saleId, 'orders', id, ...rest);
    await retry(() => call(method, url, { body, signal }), { signal, onWait: () => page.acting(t('waitRetry')) });
    page.acting(t('requested'));
    if (!isFinal(before)) return; // the stream reports the change
    while (!signal.aborted && (await reread()).status === before)
      await new Promise((done) => {
        setTimeout(done, POLL_MS);
      });
    followOn();
  }
  if (isFinal(order.status)) page.mode('finished');
  else followOn();
}

function build(root, sale, first, signal, { act }) {
  const heading = h('h1', {}, t('orderTitle', { sequence: count(first.sequence) }));
  const sentence = h('p', { class: 'ticket-sentence', 'aria-live': 'polite' });
  const meter = h('span', { class: 'meter-rest' });
  const progress = h(
    'div',
    { class: 'meter', role: 'progressbar', 'aria-label': t('progress'), 'aria-valuemin': 0, 'aria-valuemax': 100 },
    meter,
  );
  const modeWords = h('span', { class: 'mode' });
  const steps = h('ol', { class: 'steps' });
  const until = h('p', { class: 'ticket-until' });
  const message = h('p', { class: 'acting', role: 'status' });
  const actions = h('div', { class: 'row actions' });
  const pay = h('div', { class: 'pay' });
  const lines = h('div', { class: 'block' });
  const facts = h('div', { class: 'block' });
  const history = h('ol', { class: 'history' });
  const ticket = h(
    'section',
    { class: 'ticket' },
    h(
      'div',
      { class: 'ticket-stub' },
      h('span', { class: 'ticket-label' }, t('youWere')),
      h('b', { class: 'ticket-number' }, count(first.sequence)),
      h('span', { class: 'ticket-sale' }, sale.title),
    ),
    h(
      'div',
      { class: 'ticket-body' },
      h('div', { class: 'row between' }, heading, modeWords),
      sentence,
      progress,
      steps,
      until,
      pay,
      actions,
      message,
    ),
  );
  root.replaceChildren(
    h('a', { href: '#/orders', class: 'back' }, icon('left'), t('orders')),
    ticket,
    h('div', { class: 'columns even' }, lines, facts),
    h(
      'section',
      { class: 'block', 'aria-labelledby': 'history-title' },
      h('h2', { id: 'history-title' }, t('history')),
      history,
    ),
  );
  let order = first;
  let payKey = null;

  const run = async (button, work) => {
    setAttribute(button, 'aria-disabled', 'true');
    try {
      await work();
    } catch (error) {
      if (!signal.aborted) setText(message, error.message);
      setAttribute(button, 'aria-disabled', 'false');
    }
  };
  const button = (text, kind, work) => {
    const element = h(
      'button',
      {
        type: 'button',
        class: `button ${kind}`,
        on: {
          click: () => {
            if (element.getAttribute('aria-disabled') !== 'true') run(element, work);
          },
        },
      },
      text,
    );
    return element;
  };
  const cancel = button(t('cancel'), 'quiet', async () => {
    if (await confirmDialog({ title: t('cancelAsk'), text: t('cancelText'), yes: t('cancelYes'), no: t('keep') }))
      await act('DELETE', []);
    setAttribute(cancel, 'aria-disabled', 'false');
  });
  const refund = button(t('refund'), 'quiet', async () => {
    const text = t('refundText', { total: money(order.total, order.currency) });
    if (await confirmDialog({ title: t('refundAsk'), text, yes: t('refundYes'), no: t('keep') }))
      await act('POST', ['refund']);
    setAttribute(refund, 'aria-disabled', 'false');
  });
  actions.append(cancel, refund);

  return {
    mode(mode) {
      modeWords.dataset.mode = mode;
      setText(modeWords, t(MODES[mode]));
    },
    acting: (text) => setText(message, text),
    /// Applies a live update before the order is read again.
    status(status) {
      if (order.status !== status.status) announce(status.status_description);
      order = {
        ...order,
        status: status.status,
        status_description: status.status_description,
        progress_percentage: status.progress_percentage,
        can_cancel: status.can_cancel,
        cancel_reason: status.cancel_reason,
      };
      this.update(order);
    },
    update(now) {
      if (now.status !== order.status) setText(message, '');
      order = now;
      const reason = now.cancel_reason ? ` (${t(`reason_${now.cancel_reason}`)})` : '';
      setText(sentence, now.status_description + reason);
      setAttribute(progress, 'aria-valuenow', now.progress_percentage);
      meter.style.setProperty('--share', (now.progress_percentage / 100).toFixed(2));
      ticket.dataset.status = now.status;
      drawSteps(steps, now);
      show(cancel, now.can_cancel);
      show(refund, SENT_BACK.includes(now.status));
      const key = now.status === 'created' && !now.payment ? 'pay' : '';
      if (key !== payKey) {
        payKey = key;
        pay.replaceChildren(key ? payForm(now, (body) => act('POST', ['payment'], body)) : '');
      }
      drawLines(lines, now, sale);
      drawFacts(facts, now);
      history.replaceChildren(
        ...now.history.map((entry) =>
          h(
            'li',
            {},
            h('time', { datetime: entry.at }, second(entry.at)),
            h(
              'span',
              {},
              entry.description,
              entry.reason && t(`reason_${entry.reason}`) !== `reason_${entry.reason}`
                ? ` (${t(`reason_${entry.reason}`)})`
                : '',
            ),
          ),
        ),
      );
      this.tick();
    },
    tick() {
      const left = clock.until(order.hold_expires_at);
      const held = ['created', 'processing'].includes(order.status) && left !== null;
      const expected = !held && !isFinal(order.status) && order.expected_completion_at;
      setText(
        until,
        held
          ? left > 0
            ? t('holdEnds', { time: clockFace(left) })
            : t('holdOver')
          : expected
            ? t('expected', { time: moment(order.expected_completion_at) })
            : '',
      );
    },
  };
}

/// Draws the steps of the order and marks the completed ones.
function drawSteps(list, order) {
  const { status } = order;
  let way = order.fulfilment === 'store' ? STORE : SHIP;
  const passed = order.history.map((entry) => entry.status);
  const side = ['cancelled', 'payment_failed', 'refund_requested', 'refunded'].includes(status);
  if (side)
    way = [
      ...way.filter((step) => passed.includes(step)),
      ...['payment_failed', 'refund_requested', 'cancelled', 'refunded'].filter(
        (step) => passed.includes(step) || step === status,
      ),
    ];
  const at = side ? way.indexOf(status) : (PLACE[status] ?? way.indexOf(status));
  const working = status === 'payment_requested' ? 1 : at;
  const key = `${way.join()}:${at}:${working}`;
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(
    ...way.map((step, index) => {
      const name = step === 'delivered' && order.fulfilment === 'store' ? 'stepHandedOver' : STEPS[step];
      const done = index <= at;
      const bad = ['cancelled', 'payment_failed'].includes(step);
      return h(
        'li',
        {
          'data-done': String(done),
          'data-bad': String(bad),
          'data-now': String(!done && index === working),
          'aria-current': index === at ? 'step' : null,
        },
        h('span', { class: 'dot', 'aria-hidden': 'true' }, done ? icon(bad ? 'cross' : 'check') : null),
        h('span', {}, t(name)),
      );
    }),
  );
}

function pairs(rows) {
  return h(
    'dl',
    { class: 'amounts' },
    rows
      .filter(([, value]) => value !== null && value !== undefined && value !== '')
      .flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]),
  );
}

function drawLines(element, order, sale) {
  const named = (sku) => sale.items.find((item) => item.sku === sku)?.name ?? sku;
  const amount = (value) => money(value, order.currency);
  const rows = (order.lines ?? []).map((line) => [
    `${named(line.sku)} × ${count(line.quantity)}`,
    amount(line.unit_price * line.quantity),
  ]);
  if (order.discount > 0) rows.push([t('discount'), `−${amount(order.discount)}`]);
  if (order.delivery_fee > 0) rows.push([t('deliveryFee'), amount(order.delivery_fee)]);
  rows.push([t('total'), amount(order.total)]);
  element.replaceChildren(h('h2', {}, t('yourOrder')), pairs(rows));
}

function drawFacts(element, order) {
  const { payment, delivery } = order;
  const time = (at) => at && moment(at);
  element.replaceChildren(
    h('h2', {}, t('details')),
    pairs([
      [t('orderId'), h('code', {}, order.order_id)],
      [t('payment'), payment && t(`paidBy_${payment.method}`)],
      [t('courier'), delivery?.kind === 'ship' ? delivery.courier : null],
      [t('tracking'), delivery?.tracking_number && h('code', {}, delivery.tracking_number)],
      [t('shippedOn'), time(delivery?.shipped_at)],
      [t('arrival'), delivery?.completed_at ? null : time(delivery?.estimated_arrival)],
      [t('arrived'), time(delivery?.completed_at)],
    ]),
  );
}
