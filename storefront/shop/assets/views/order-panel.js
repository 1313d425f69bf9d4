// Delivery, payment and price of an order. The choices are stored on the device, so that an order needs one tap when the sale
// opens.

import { h, setAttribute, setText, show } from '../dom.js';
import { money, t } from '../i18n.js';
import { bestPolicy, price } from '../pricing.js';
import { load, store } from '../storage.js';

const ADDRESS = [
  ['name', 'name', true],
  ['line1', 'address-line1', true],
  ['line2', 'address-line2', false],
  ['postal_code', 'postal-code', true],
  ['city', 'address-level1', true],
  ['country', 'country', true],
  ['phone', 'tel', false],
];
const LABELS = { postal_code: 'postalCode' };
const CARDS = ['tok_approve', 'tok_decline', 'tok_late', 'tok_timeout'];

/// Returns the panel, with `body(sale, lines)` for the request and `update(sale, lines)` for the price.
export function orderPanel(onChange) {
  const stored = load('preferences') ?? {};
  const choice = {
    fulfilment: stored.fulfilment ?? 'ship',
    method: stored.method ?? 'card',
    token: stored.token ?? CARDS[0],
    address: stored.address ?? {},
    policy: undefined,
  };
  const changed = () => {
    store('preferences', {
      fulfilment: choice.fulfilment,
      method: choice.method,
      token: choice.token,
      address: choice.address,
    });
    onChange();
  };

  const radio = (group, value, label, hint) => {
    const input = h('input', {
      type: 'radio',
      name: group,
      value,
      checked: choice[group] === value,
      on: {
        change: () => {
          choice[group] = value;
          changed();
        },
      },
    });
    return h(
      'label',
      { class: 'choice' },
      input,
      h('span', { class: 'choice-text' }, h('b', {}, label), hint ? h('small', {}, hint) : null),
    );
  };
  const inputs = ADDRESS.map(([field, autocomplete, required]) => {
    const id = `address-${field}`;
    const label = t(LABELS[field] ?? field);
    const input = h('input', {
      id,
      name: field,
      autocomplete,
      required,
      maxlength: 60,
      value: choice.address[field] ?? '',
      on: {
        input: () => {
          choice.address[field] = input.value;
          setAttribute(input, 'aria-invalid', null);
          changed();
        },
      },
    });
    return {
      field,
      required,
      input,
      row: h(
        'div',
        { class: `field field-${field}` },
        h('label', { for: id }, label, required ? null : h('small', {}, ` (${t('optional')})`)),
        input,
      ),
    };
  });
  const needed = h('p', { class: 'field-bad', role: 'alert' });
  const address = h(
    'fieldset',
    { class: 'address' },
    h('legend', {}, t('addressOf')),
    inputs.map(({ row }) => row),
    needed,
    h('p', { class: 'field-hint' }, t('remembered')),
  );
  const token = h(
    'select',
    {
      id: 'card-token',
      on: {
        change: () => {
          choice.token = token.value;
          changed();
        },
      },
    },
    CARDS.map((name) => h('option', { value: name, selected: name === choice.token }, t(name))),
  );
  const cardRow = h('div', { class: 'field' }, h('label', { for: 'card-token' }, t('testCard')), token);
  const policies = h('select', {
    id: 'policy',
    on: {
      change: () => {
        choice.policy = policies.value || null;
        onChange();
      },
    },
  });
  const policyRow = h('div', { class: 'field' }, h('label', { for: 'policy' }, t('discount')), policies);

  const summary = h('span', { class: 'summary-text' });
  const details = h(
    'details',
    { class: 'preferences' },
    h(
      'summary',
      {},
      h('span', { class: 'summary-label' }, t('preferences')),
      summary,
      h('span', { class: 'summary-change' }, t('change')),
    ),
    h(
      'fieldset',
      {},
      h('legend', {}, t('fulfilment')),
      h(
        'div',
        { class: 'choices' },
        radio('fulfilment', 'ship', t('ship')),
        radio('fulfilment', 'store', t('store'), t('storeHint')),
      ),
    ),
    address,
    h(
      'fieldset',
      {},
      h('legend', {}, t('pay')),
      h(
        'div',
        { class: 'choices three' },
        radio('method', 'card', t('card')),
        radio('method', 'wallet', t('walletPay')),
        radio('method', 'later', t('later')),
      ),
      cardRow,
    ),
  );
  const amounts = h('dl', { class: 'amounts' });
  const free = h('p', { class: 'field-hint' });
  let policyKey;

  const policyText = (policy, sale) => {
    const value = policy.kind === 'percent' ? policy.value : money(policy.value, sale.currency);
    const from = policy.min_total > 0 ? t('policyFrom', { min: money(policy.min_total, sale.currency) }) : '';
    return t(policy.kind === 'percent' ? 'policyPercent' : 'policyAmount', { id: policy.id, value }) + from;
  };
  const missing = () =>
    choice.fulfilment === 'ship' ? inputs.filter(({ required, input }) => required && input.value.trim() === '') : [];
  const policyOf = (sale, lines) => (choice.policy === undefined ? bestPolicy(sale, lines) : choice.policy);

  return {
    element: h('div', { class: 'panel-parts' }, policyRow, details, amounts, free),
    /// Returns whether the order is complete; otherwise opens the missing fields.
    check() {
      const open = missing();
      for (const { input } of open) setAttribute(input, 'aria-invalid', 'true');
      setText(needed, open.length > 0 ? t('addressNeeded') : '');
      if (open.length === 0) return true;
      details.open = true;
      open[0].input.focus();
      return false;
    },
    body(sale, lines) {
      const policy = policyOf(sale, lines);
      const filled = inputs.map(({ field, input }) => [field, input.value.trim()]).filter(([, text]) => text !== '');
      const body = { items: lines, expected_total: price(sale, lines, policy).total, fulfilment: choice.fulfilment };
      if (policy) body.discount_policy_id = policy;
      if (choice.fulfilment === 'ship' && filled.length > 0) body.shipping_address = Object.fromEntries(filled);
      if (choice.method === 'wallet') body.payment = { method: 'wallet' };
      if (choice.method === 'card') body.payment = { method: 'card', token: choice.token };
      return body;
    },
    update(sale, lines) {
      const policy = policyOf(sale, lines);
      const key = JSON.stringify([sale.discount_policies, policy]);
      if (key !== policyKey) {
        policyKey = key;
        policies.replaceChildren(
          h('option', { value: '' }, t('noDiscount')),
          ...sale.discount_policies.map((one) => h('option', { value: one.id }, policyText(one, sale))),
        );
        policies.value = policy ?? '';
        show(policyRow, sale.discount_policies.length > 0);
      }
      show(address, choice.fulfilment === 'ship');
      show(cardRow, choice.method === 'card');
      const where =
        choice.fulfilment === 'store'
          ? t('store')
          : choice.address.city
            ? `${choice.address.name ?? ''}, ${choice.address.city}`
            : t('ship');
      setText(
        summary,
        t('summary', {
          delivery: where,
          payment: t({ card: 'card', wallet: 'walletPay', later: 'later' }[choice.method]),
        }),
      );
      const cost = price(sale, lines, policy);
      const rows = [[t('subtotal'), money(cost.subtotal, sale.currency)]];
      if (cost.discount > 0) rows.push([t('discount'), `−${money(cost.discount, sale.currency)}`]);
      if (sale.delivery_fee > 0)
        rows.push([
          t('deliveryFee'),
          cost.deliveryFee > 0 ? money(cost.deliveryFee, sale.currency) : t('freeDelivery'),
        ]);
      rows.push([t('total'), money(cost.total, sale.currency)]);
      const texts = rows.flat();
      if (amounts.dataset.key !== texts.join()) {
        amounts.dataset.key = texts.join();
        amounts.replaceChildren(...rows.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
      }
      const chargesDelivery = sale.free_delivery_from !== null && cost.deliveryFee > 0;
      show(
        setText(free, chargesDelivery ? t('freeFrom', { amount: money(sale.free_delivery_from, sale.currency) }) : ''),
        chargesDelivery,
      );
      return cost;
    },
  };
}
