// Credits a customer's wallet exactly once: the key stays the same until the server has accepted the credit or the form
// changes.

import { call, NoResponse, path } from '../api.js';
import { money, t } from '../i18n.js';
import { confirmed } from '../parts/confirm.js';
import { Field, Problem, Title, html, useState } from '../ui.js';

export function Wallets() {
  const [form, setForm] = useState({ customer: '', amount: '', currency: 'KRW' });
  const [key, setKey] = useState(() => crypto.randomUUID?.() ?? `credit-${Date.now()}-${Math.random()}`);
  const [error, setError] = useState(null);
  const [wrong, setWrong] = useState({});
  const [done, setDone] = useState([]);
  const renew = () => setKey(crypto.randomUUID?.() ?? `credit-${Date.now()}-${Math.random()}`);
  const set = (name) => (event) => {
    setForm({ ...form, [name]: event.target.value });
    setWrong({});
    renew();
  };
  const credit = async (event) => {
    event.preventDefault();
    const { customer, amount, currency } = Object.fromEntries(
      Object.entries(form).map(([name, value]) => [name, value.trim()]),
    );
    const errors = {};
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(customer)) errors.customer = t('form.name');
    if (!/^[1-9]\d{0,14}$/.test(amount)) errors.amount = t('form.whole');
    if (!/^[A-Z]{3}$/.test(currency)) errors.currency = t('form.currency');
    setWrong(errors);
    setError(null);
    if (Object.keys(errors).length) return event.target.querySelector(`[name=${Object.keys(errors)[0]}]`).focus();
    const written = money(Number(amount), currency);
    if (
      !(await confirmed({
        title: t('credit.title'),
        text: t('credit.text', { amount: written, customer }),
        verb: t('credit.do'),
        tone: 'primary',
      }))
    )
      return;
    try {
      const body = { amount: Number(amount), currency };
      const result = await call('POST', path('wallets', customer, 'credit'), { body, key });
      setDone([{ ...result, key, at: Date.now() }, ...done]);
      setForm({ ...form, amount: '' });
      renew();
    } catch (refused) {
      // Without a response the credit may have been made: the next press sends the same key.
      setError(refused instanceof NoResponse ? { message: t('credit.lost') } : refused);
    }
  };
  const hint = /^\d+$/.test(form.amount.trim()) ? money(Number(form.amount), form.currency) : t('form.minor');
  return html`<${Title}>${t('place.wallets')}<//>
    <form class="panel search" onSubmit=${credit} novalidate>
      <${Field} label=${t('order.customer')} error=${wrong.customer}><input name="customer" value=${form.customer} onInput=${set('customer')} autocomplete="off" spellcheck=${false} /><//>
      <${Field} label=${t('credit.amount')} hint=${hint} error=${wrong.amount}><input name="amount" inputmode="numeric" value=${form.amount} onInput=${set('amount')} autocomplete="off" /><//>
      <${Field} label=${t('term.currency')} error=${wrong.currency}><input name="currency" maxlength="3" value=${form.currency} onInput=${set('currency')} /><//>
      <button type="submit" class="button" data-kind="primary">${t('credit.do')}</button>
    </form>
    <${Problem} error=${error} />
    <section aria-live="polite" aria-label=${t('credit.done')}>${done.map(
      (one) => html`<p class="panel notice" data-tone="good" key=${one.key}>
      ${t('credit.said', { amount: money(one.amount, one.currency), customer: one.customer_id, balance: money(one.balance, one.currency) })}</p>`,
    )}</section>`;
}
