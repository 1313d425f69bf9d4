// The form that pays for an order that was placed without a payment.

import { h, setText } from '../dom.js';
import { money, t } from '../i18n.js';

const CARDS = ['tok_approve', 'tok_decline', 'tok_late', 'tok_timeout'];

export function payForm(order, pay) {
  const message = h('p', { class: 'field-bad', role: 'alert' });
  const method = (value, text, checked) =>
    h(
      'label',
      { class: 'choice' },
      h('input', { type: 'radio', name: 'pay-method', value, checked }),
      h('span', { class: 'choice-text' }, h('b', {}, text)),
    );
  const token = h(
    'select',
    { id: 'pay-token' },
    CARDS.map((name) => h('option', { value: name }, t(name))),
  );
  const button = h(
    'button',
    { type: 'submit', class: 'button strong' },
    t('payNow', { total: money(order.total, order.currency) }),
  );
  const form = h(
    'form',
    { class: 'stack', on: { submit } },
    h('h2', {}, t('payTitle')),
    h('div', { class: 'choices' }, method('card', t('card'), true), method('wallet', t('walletPay'), false)),
    h('div', { class: 'field' }, h('label', { for: 'pay-token' }, t('testCard')), token),
    button,
    message,
  );

  async function submit(event) {
    event.preventDefault();
    const chosen = new FormData(form).get('pay-method');
    button.disabled = true;
    try {
      await pay(chosen === 'wallet' ? { method: 'wallet' } : { method: 'card', token: token.value });
    } catch (error) {
      setText(message, error.message);
      button.disabled = false;
    }
  }
  return form;
}
