// The progress of an order while it is being placed, and its result.

import { announce, h, setText, show } from '../dom.js';
import { count, money, span, t } from '../i18n.js';
import { giveUp, place } from '../attempt.js';
import { icon, linkButton } from '../parts.js';
import { store } from '../storage.js';

/// Returns `start(attempt, resumed)`, which fills `stage` until the order is accepted or refused.
export function orderPlacement(stage, { sale, signal, onSettled }) {
  return async function start(attempt, resumed) {
    const stopping = new AbortController();
    const stop = () => stopping.abort(signal.reason);
    signal.addEventListener('abort', stop);
    const head = h('p', { class: 'stage-title' }, resumed ? t('resuming') : t('sending'));
    const more = h('p', { class: 'stage-more' }, resumed ? t('uncertainHint') : t('sendingHint'));
    const quit = h(
      'button',
      { type: 'button', class: 'button quiet', hidden: true, on: { click: () => stopping.abort('given up') } },
      t('giveUp'),
    );
    stage.replaceChildren(
      h(
        'div',
        { class: 'stage-box', 'data-kind': 'wait', role: 'status' },
        h('span', { class: 'spinner', 'aria-hidden': 'true' }),
        h('div', {}, head, more),
        quit,
      ),
    );
    stage.scrollIntoView({ block: 'nearest' });
    const onWait = (error, ms, tries) => {
      const busy = error.didNothing && !attempt.uncertain;
      setText(head, t(busy ? 'busy' : 'uncertain', { span: span(ms) }));
      setText(more, busy ? t('busyHint', { tries: count(tries + 1) }) : t('uncertainHint'));
      show(quit, !attempt.uncertain);
    };
    try {
      const order = await place(attempt, { signal: stopping.signal, onWait });
      store(`chosen:${attempt.sale}`, null);
      announce(t('accepted', { sequence: count(order.sequence) }));
      if (!signal.aborted) location.hash = `#/sale/${encodeURIComponent(attempt.sale)}/order/${order.order_id}`;
    } catch (error) {
      if (signal.aborted) return undefined;
      if (stopping.signal.aborted) {
        // If the outcome is unknown at this moment, the order cannot be given up: find out first.
        if (!giveUp(attempt)) return start(attempt, true);
        stage.replaceChildren(box('info', t('gaveUp')));
      } else {
        stage.replaceChildren(refused(error, sale(), attempt));
      }
      onSettled();
    } finally {
      signal.removeEventListener('abort', stop);
    }
    return undefined;
  };
}

function box(kind, title, ...more) {
  return h(
    'div',
    { class: 'stage-box', 'data-kind': kind, role: 'alert' },
    icon(kind === 'info' ? 'check' : 'cross'),
    h('div', {}, h('p', { class: 'stage-title' }, title), more),
  );
}

/// Renders a refusal and what the customer can do now.
function refused(error, sale, attempt) {
  const line = (text) => h('p', { class: 'stage-more' }, text);
  const link = linkButton('#/orders', t('orders'));
  const warning = error.mayHaveOrdered ? [line(t('mayHave')), link] : [];
  const { members, code } = error;
  if (code === 'sold_out') {
    const name = sale.items.find((item) => item.sku === members.sku)?.name ?? members.sku;
    return box(
      'lost',
      t('soldoutTitle'),
      line(t('soldoutLose', { name, remaining: count(members.remaining ?? 0) })),
      line(t('soldoutTip')),
      warning,
    );
  }
  if (code === 'duplicate_order') {
    const url = `#/sale/${encodeURIComponent(attempt.sale)}/order/${members.order_id}`;
    return box(
      'info',
      t('duplicateTitle'),
      line(t('duplicateHint', { count: count(sale.max_orders_per_customer ?? 1) })),
      linkButton(url, t('seeOrder')),
    );
  }
  if (code === 'total_mismatch') {
    return box('lost', error.message, line(t('totalChanged', { total: money(members.total, sale.currency) })), warning);
  }
  const detail = members.detail && members.detail !== error.message ? line(members.detail) : null;
  return box('lost', error.message, detail, warning);
}
