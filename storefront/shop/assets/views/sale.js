// One sale: the countdown, the remaining units, and the order.

import * as clock from '../clock.js';
import { announce, h, setAttribute, setText, show } from '../dom.js';
import { art } from '../art.js';
import { customer } from '../identity.js';
import { count, money, moment, second, span, t } from '../i18n.js';
import { begin, pending } from '../attempt.js';
import { clockFace, countdown, everyTick, icon, pill, stepper, stock, windowText } from '../parts.js';
import { fetchSale, isSoldOut, most, phase, poll } from '../sale.js';
import { load, store } from '../storage.js';
import { notice } from './notice.js';
import { orderPanel } from './order-panel.js';
import { orderPlacement } from './place-order.js';
import { signInDialog } from './sign-in.js';

/// The remaining seconds at which screen readers announce the time.
const ANNOUNCED = [600, 300, 60, 30, 10];
const HINTS = { paused: 'pausedHint', closed: 'closedHint', rebuilding: 'rebuildingHint', soldout: 'soldoutHint' };

export default function view(root, { parameters: [id], signal, title }) {
  root.append(h('p', { class: 'loading', role: 'status' }, t('loading')));
  let page = null;
  let sale = null;
  const showError = notice(signal);
  poll((options) => fetchSale(id, options), {
    signal,
    soon: () => (sale && (clock.until(sale.opens_at) ?? 0) > 0 ? clock.until(sale.opens_at) : Infinity),
    onError(error) {
      if (error?.status === 404)
        return root.replaceChildren(h('h1', {}, t('notFound')), h('a', { href: '#/', class: 'button' }, t('back')));
      return showError(error);
    },
    onUpdate(body) {
      sale = body;
      title(sale.title);
      if (!page) {
        page = build(root, sale, signal);
        everyTick(() => page.tick(sale), signal);
      }
      page.update(sale);
      page.tick(sale);
    },
  });
}

function build(root, first, signal) {
  const chosen = new Map(Object.entries(load(`chosen:${first.sale_id}`) ?? firstChoice(first)));
  let now = first;
  let current = null;
  let spoken = Infinity;

  const state = pill();
  const face = countdown();
  const schedule = h('p', { class: 'hero-words' });
  const hint = h('p', { class: 'hero-hint' });
  const heading = h('h1', {}, first.title);
  const faceBlock = h(
    'div',
    { class: 'hero-face' },
    h('p', { class: 'hero-label' }, t('opensIn')),
    face.element,
    h('p', { class: 'hero-clock' }, icon('clock'), h('span', {}, second(first.opens_at ?? 0), ' · ', t('serverClock'))),
  );
  const hero = h(
    'section',
    { class: 'hero' },
    h('a', { href: '#/', class: 'back' }, icon('left'), t('back')),
    h('div', { class: 'row' }, state.element),
    heading,
    schedule,
    faceBlock,
    hint,
  );

  const rows = new Map(first.items.map((item) => [item.sku, row(item, first, (value) => choose(item.sku, value))]));
  const list = h(
    'ul',
    { class: 'items' },
    [...rows.values()].map(({ element }) => element),
  );
  const panel = orderPanel(() => refresh());
  const button = h('button', { type: 'button', class: 'button strong order-button', on: { click: () => order() } });
  const stage = h('div', { class: 'stage' });
  const limit = first.max_orders_per_customer
    ? h('p', { class: 'field-hint' }, t('perCustomer', { count: count(first.max_orders_per_customer) }))
    : null;
  const ordering = h(
    'section',
    { class: 'ordering', 'aria-labelledby': 'ordering-title' },
    h('h2', { id: 'ordering-title' }, t('yourOrder')),
    panel.element,
    h('div', { class: 'buy' }, button),
    limit,
  );
  root.replaceChildren(
    hero,
    stage,
    h(
      'div',
      { class: 'columns' },
      h('section', { 'aria-labelledby': 'items-title' }, h('h2', { id: 'items-title' }, t('items')), list),
      ordering,
    ),
  );

  const lines = () =>
    now.items
      .map((item) => ({ sku: item.sku, quantity: Math.min(chosen.get(item.sku) ?? 0, most(item)) }))
      .filter(({ quantity }) => quantity > 0);
  const choose = (sku, value) => {
    chosen.set(sku, value);
    store(`chosen:${now.sale_id}`, Object.fromEntries(chosen));
    refresh();
  };
  const place = orderPlacement(stage, {
    sale: () => now,
    signal,
    onSettled: () => {
      show(button, true);
      refresh();
      button.focus();
    },
  });

  async function order() {
    if (button.getAttribute('aria-disabled') === 'true') return;
    if (!customer()) {
      await signInDialog(); // signing in renders the view again
      return;
    }
    if (!panel.check()) return;
    const resumed = pending(customer(), now.sale_id) !== null; // in another tab
    const attempt = begin(customer(), now.sale_id, panel.body(now, lines()));
    show(button, false);
    place(attempt, resumed);
  }

  function refresh() {
    const taken = lines();
    const cost = panel.update(now, taken);
    for (const item of now.items) rows.get(item.sku)?.update(item, chosen.get(item.sku) ?? 0, current);
    const ready = current === 'open' && taken.length > 0;
    setAttribute(button, 'aria-disabled', String(!ready));
    button.dataset.phase = current;
    const left = clock.until(now.opens_at);
    setText(
      button,
      current === 'upcoming'
        ? t('waitOpen', { time: clockFace(left) })
        : current !== 'open'
          ? t(current)
          : taken.length === 0
            ? t('nothingChosen')
            : customer()
              ? t('orderFor', { total: money(cost.total, now.currency) })
              : t('signToOrder'),
    );
  }

  // An attempt that was pending when the page was left is resumed at once, with the same key.
  const unfinished = customer() && pending(customer(), first.sale_id);
  if (unfinished) {
    show(button, false);
    place(unfinished, true);
  }

  return {
    update(sale) {
      for (const item of sale.items) {
        const before = now.items.find(({ sku }) => sku === item.sku);
        if (before && before !== item) announceStock(before, item);
      }
      now = sale;
      setText(heading, sale.title);
      refresh();
    },
    tick(sale) {
      const next = phase(sale);
      if (current === 'upcoming' && next === 'open') announce(t('nowOpen'));
      if (next !== current) {
        current = next;
        state.update(current);
        hero.dataset.phase = current;
        show(faceBlock, current === 'upcoming');
        show(setText(hint, HINTS[current] ? t(HINTS[current]) : ''), current in HINTS);
        refresh();
      }
      setText(
        schedule,
        current === 'upcoming' ? t('opensAt', { time: moment(sale.opens_at) }) : windowText(sale, moment),
      );
      if (current !== 'upcoming') return;
      face.tick(sale.opens_at);
      refresh();
      const left = clock.until(sale.opens_at) / 1000;
      const due = ANNOUNCED.find((at) => left <= at && spoken > at && left > at - 2);
      if (due) {
        spoken = due;
        announce(t('opensInSpeech', { span: span(due * 1000) }));
      }
    },
  };
}

/// If the sale has one item, one unit of it is preselected.
const firstChoice = (sale) => (sale.items.length === 1 ? { [sale.items[0].sku]: 1 } : {});

function announceStock(before, after) {
  const name = after.name;
  if (!isSoldOut(before) && isSoldOut(after)) return announce(t('itemSoldOut', { name }));
  if (isSoldOut(before) && !isSoldOut(after)) return announce(t('itemBack', { name }));
  const few = (item) => item.total !== null && item.remaining <= item.total / 10;
  if (!few(before) && few(after)) announce(t('itemFew', { name, count: count(after.remaining) }));
  return undefined;
}

function row(item, sale, onChange) {
  const left = stock();
  const steps = stepper(item.name, onChange);
  const name = h('h3', {}, item.name);
  const price = h('p', { class: 'item-price' });
  const atMost = h('p', { class: 'field-hint' });
  const element = h(
    'li',
    { class: 'item' },
    h('div', { class: 'item-art' }, art(item.sku)),
    h('div', { class: 'item-text' }, name, price, left.element),
    h('div', { class: 'item-steps' }, steps.element, atMost),
  );
  return {
    element,
    update(now, value, current) {
      setText(name, now.name);
      setText(price, money(now.price, sale.currency));
      left.update(now);
      const limit = most(now);
      const isOver = ['closed', 'soldout'].includes(current);
      steps.update({ value: Math.min(value, limit), most: limit, disabled: isOver || limit <= 0 });
      setText(atMost, t('atMost', { count: count(now.max_quantity_per_order) }));
      setAttribute(element, 'data-gone', isSoldOut(now));
    },
  };
}
