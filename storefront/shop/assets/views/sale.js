// One sale: the countdown to its opening, what is left, and the order.

import * as clock from '../clock.js';
import { announce, h, mark, say, show } from '../dom.js';
import { art } from '../art.js';
import { customer } from '../identity.js';
import { count, money, moment, second, span, t } from '../i18n.js';
import { begin, pending } from '../ordering.js';
import { clockFace, countdown, everyTick, icon, pill, stepper, stock, windowWords } from '../parts.js';
import { fetchSale, isGone, most, phase, watch } from '../sale.js';
import { load, store } from '../storage.js';
import { notice } from './notice.js';
import { orderPanel } from './order-panel.js';
import { placing } from './placing.js';
import { signInDialog } from './sign-in.js';

/// At these it is said aloud how long it still takes, in seconds.
const SPOKEN = [600, 300, 60, 30, 10];
const HINTS = { paused: 'pausedHint', closed: 'closedHint', rebuilding: 'rebuildingHint', soldout: 'soldoutHint' };

export default function view(root, { parameters: [id], signal, title }) {
  root.append(h('p', { class: 'loading', role: 'status' }, t('loading')));
  let page = null;
  let sale = null;
  const trouble = notice(signal);
  watch((options) => fetchSale(id, options), {
    signal,
    soon: () => (sale && (clock.until(sale.opens_at) ?? 0) > 0 ? clock.until(sale.opens_at) : Infinity),
    onTrouble(error) {
      if (error?.status === 404) return root.replaceChildren(h('h1', {}, t('notFound')), h('a', { href: '#/', class: 'button' }, t('back')));
      return trouble(error);
    },
    onNews(body) {
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
  let is = null;
  let spoken = Infinity;

  const state = pill();
  const face = countdown();
  const words = h('p', { class: 'hero-words' });
  const hint = h('p', { class: 'hero-hint' });
  const heading = h('h1', {}, first.title);
  const faceBlock = h('div', { class: 'hero-face' }, h('p', { class: 'hero-label' }, t('opensIn')), face.element, h('p', { class: 'hero-clock' }, icon('clock'), h('span', {}, second(first.opens_at ?? 0), ' · ', t('serverClock'))));
  const hero = h('section', { class: 'hero' }, h('a', { href: '#/', class: 'back' }, icon('left'), t('back')), h('div', { class: 'row' }, state.element), heading, words, faceBlock, hint);

  const rows = new Map(first.items.map((item) => [item.sku, row(item, first, (value) => choose(item.sku, value))]));
  const list = h('ul', { class: 'items' }, [...rows.values()].map(({ element }) => element));
  const panel = orderPanel(() => refresh());
  const button = h('button', { type: 'button', class: 'button strong order-button', on: { click: () => order() } });
  const stage = h('div', { class: 'stage' });
  const limit = first.max_orders_per_customer ? h('p', { class: 'field-hint' }, t('perCustomer', { count: count(first.max_orders_per_customer) })) : null;
  const ordering = h('section', { class: 'ordering', 'aria-labelledby': 'ordering-title' }, h('h2', { id: 'ordering-title' }, t('yourOrder')), panel.element, h('div', { class: 'buy' }, button), limit);
  root.replaceChildren(hero, stage, h('div', { class: 'columns' }, h('section', { 'aria-labelledby': 'items-title' }, h('h2', { id: 'items-title' }, t('items')), list), ordering));

  const lines = () => now.items
    .map((item) => ({ sku: item.sku, quantity: Math.min(chosen.get(item.sku) ?? 0, most(item)) }))
    .filter(({ quantity }) => quantity > 0);
  const choose = (sku, value) => {
    chosen.set(sku, value);
    store(`chosen:${now.sale_id}`, Object.fromEntries(chosen));
    refresh();
  };
  const place = placing(stage, { sale: () => now, signal, onSettled: () => { show(button, true); refresh(); button.focus(); } });

  async function order() {
    if (button.getAttribute('aria-disabled') === 'true') return;
    if (!customer()) {
      await signInDialog(); // signing in shows the view anew
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
    for (const item of now.items) rows.get(item.sku)?.update(item, chosen.get(item.sku) ?? 0, is);
    const ready = is === 'open' && taken.length > 0;
    mark(button, 'aria-disabled', String(!ready));
    button.dataset.phase = is;
    const left = clock.until(now.opens_at);
    say(button, is === 'upcoming' ? t('waitOpen', { time: clockFace(left) })
      : is !== 'open' ? t(is)
        : taken.length === 0 ? t('nothingChosen')
          : customer() ? t('orderFor', { total: money(cost.total, now.currency) }) : t('signToOrder'));
  }

  // What was under way when the page was left is taken up again at once, with the same key.
  const under = customer() && pending(customer(), first.sale_id);
  if (under) {
    show(button, false);
    place(under, true);
  }

  return {
    update(sale) {
      for (const item of sale.items) {
        const before = now.items.find(({ sku }) => sku === item.sku);
        if (before && before !== item) tell(before, item);
      }
      now = sale;
      say(heading, sale.title);
      refresh();
    },
    tick(sale) {
      const next = phase(sale);
      if (is === 'upcoming' && next === 'open') announce(t('nowOpen'));
      if (next !== is) {
        is = next;
        state.update(is);
        hero.dataset.phase = is;
        show(faceBlock, is === 'upcoming');
        show(say(hint, HINTS[is] ? t(HINTS[is]) : ''), is in HINTS);
        refresh();
      }
      say(words, is === 'upcoming' ? t('opensAt', { time: moment(sale.opens_at) }) : windowWords(sale, moment));
      if (is !== 'upcoming') return;
      face.tick(sale.opens_at);
      refresh();
      const left = clock.until(sale.opens_at) / 1000;
      const due = SPOKEN.find((at) => left <= at && spoken > at && left > at - 2);
      if (due) {
        spoken = due;
        announce(t('opensInSpeech', { span: span(due * 1000) }));
      }
    },
  };
}

/// Where there is one item, one of it is what everybody comes for.
const firstChoice = (sale) => (sale.items.length === 1 ? { [sale.items[0].sku]: 1 } : {});

function tell(before, after) {
  const name = after.name;
  if (!isGone(before) && isGone(after)) return announce(t('itemSoldOut', { name }));
  if (isGone(before) && !isGone(after)) return announce(t('itemBack', { name }));
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
  const element = h('li', { class: 'item' }, h('div', { class: 'item-art' }, art(item.sku)),
    h('div', { class: 'item-text' }, name, price, left.element), h('div', { class: 'item-steps' }, steps.element, atMost));
  return {
    element,
    update(now, value, is) {
      say(name, now.name);
      say(price, money(now.price, sale.currency));
      left.update(now);
      const can = most(now);
      const over = ['closed', 'soldout'].includes(is);
      steps.update({ value: Math.min(value, can), most: can, disabled: over || can <= 0 });
      say(atMost, t('atMost', { count: count(now.max_quantity_per_order) }));
      mark(element, 'data-gone', isGone(now));
    },
  };
}
