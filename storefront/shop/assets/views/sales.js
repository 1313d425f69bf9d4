// All sales: open and upcoming ones first, ended ones last.

import { arrangeChildren, h, setText, show } from '../dom.js';
import { art } from '../art.js';
import { money, moment, t } from '../i18n.js';
import { countdown, empty, everyTick, icon, pill, stock, windowText } from '../parts.js';
import * as clock from '../clock.js';
import { fetchSales, phase, poll } from '../sale.js';
import { notice } from './notice.js';

const ORDER = ['open', 'upcoming', 'rebuilding', 'paused', 'soldout', 'closed'];

export default function sales(root, { signal, title }) {
  title(t('sales'));
  const list = h('div', { class: 'cards' }, h('p', { class: 'loading', role: 'status' }, t('loading')));
  root.append(h('div', { class: 'lead' }, h('h1', {}, t('salesTitle')), h('p', {}, t('salesLead'))), list);
  let cards = new Map();
  let listed = [];

  const arrange = () => {
    const rank = (sale) => ORDER.indexOf(phase(sale));
    const ordered = [...listed].sort(
      (a, b) =>
        rank(a) - rank(b) || (a.opens_at ?? '').localeCompare(b.opens_at ?? '') || a.sale_id.localeCompare(b.sale_id),
    );
    arrangeChildren(
      list,
      ordered.map((sale) => cards.get(sale.sale_id).element),
    );
    for (const sale of ordered) cards.get(sale.sale_id).tick(sale);
  };
  poll(fetchSales, {
    signal,
    soon: () =>
      Math.min(...listed.map((sale) => clock.until(sale.opens_at)).filter((ms) => ms !== null && ms > 0), Infinity),
    onError: notice(signal),
    onUpdate(body) {
      listed = body.sales;
      if (listed.length === 0) {
        cards = new Map();
        list.replaceChildren(empty(t('noSales'), t('noSalesHint')));
        return;
      }
      for (const sale of listed) {
        if (!cards.has(sale.sale_id)) cards.set(sale.sale_id, card(sale));
        cards.get(sale.sale_id).update(sale);
      }
      arrange();
    },
  });
  everyTick(() => {
    if (listed.length > 0) arrange();
  }, signal);
}

function card(sale) {
  const state = pill();
  const left = stock();
  const face = countdown();
  const until = h('span', { class: 'card-until' });
  const prices = sale.items.map((item) => item.price);
  const title = h('a', { href: `#/sale/${encodeURIComponent(sale.sale_id)}`, class: 'card-link' }, sale.title);
  const element = h(
    'article',
    { class: 'card' },
    h(
      'div',
      { class: 'card-art' },
      sale.items.slice(0, 3).map((item) => art(item.sku)),
    ),
    h(
      'div',
      { class: 'card-body' },
      h(
        'div',
        { class: 'row between' },
        state.element,
        h('span', { class: 'card-price' }, t('from', { price: money(Math.min(...prices), sale.currency) })),
      ),
      h('h2', {}, title),
      until,
      face.element,
      left.element,
      h('span', { class: 'card-go', 'aria-hidden': 'true' }, t('enter'), icon('left')),
    ),
  );
  return {
    element,
    update(now) {
      setText(title, now.title);
      const limited = now.items.filter((item) => item.total !== null);
      const sum = (field) => limited.reduce((all, item) => all + item[field], 0);
      left.update(
        limited.length === 0 ? { total: null, remaining: null } : { total: sum('total'), remaining: sum('remaining') },
      );
    },
    tick(now) {
      const is = phase(now);
      state.update(is);
      element.dataset.phase = is;
      show(face.element, is === 'upcoming');
      show(left.element, is === 'open' || is === 'soldout' || is === 'upcoming');
      if (is === 'upcoming') face.tick(now.opens_at);
      setText(until, windowText(now, moment));
    },
  };
}
