// The form with a sale's terms. The form reports the errors that it can detect; the server's errors appear at the fields that
// they name.

import { call, path } from '../api.js';
import { money, t } from '../i18n.js';
import { pollNow } from '../poller.js';
import { confirmed } from '../parts/confirm.js';
import { draftOf, newItem, newPolicy, termsOf } from '../parts/draft.js';
import { Button, Field, Problem, html, useEffect, useRef, useState } from '../ui.js';

const CURRENCIES = ['KRW', 'USD', 'EUR', 'JPY'];

/// Returns whether the server must rebuild an opened sale: items are added or removed, or a limit is introduced or lifted.
function rebuilds(sale, terms) {
  if (!sale || sale.state === 'draft') return false;
  const counted = (items) =>
    items
      .map((item) => `${item.sku} ${item.total === null}`)
      .toSorted()
      .join('\n');
  return (
    counted(sale.items) !== counted(terms.items) ||
    (sale.max_orders_per_customer === null) !== (terms.max_orders_per_customer === null)
  );
}

function Rows({ name, rows, columns, make, errors, onChange, title, add, fixed = false, least = 0 }) {
  const set = (i, column, value) => onChange(rows.map((row, n) => (n === i ? { ...row, [column]: value } : row)));
  return html`<fieldset class="rows"><legend>${title}</legend>
    ${rows.map(
      (row, i) => html`<div class="row" role="group" aria-label=${`${title} ${i + 1}`} key=${i}>
      ${columns.map(
        ({ column, hint, choices, mode }) => html`<${Field} key=${column} label=${t(`term.${column}`)}
          hint=${hint?.(row)} error=${errors[`${name}[${i}].${column}`]}>
        ${
          choices
            ? html`<select name=${`${name}[${i}].${column}`} onChange=${(event) => set(i, column, event.target.value)}>
              ${choices.map((one) => html`<option value=${one} selected=${row[column] === one}>${t(`term.kind.${one}`)}</option>`)}</select>`
            : html`<input name=${`${name}[${i}].${column}`} value=${row[column]} inputmode=${mode} autocomplete="off"
              onInput=${(event) => set(i, column, event.target.value)} />`
        }
      <//>`,
      )}
      ${
        !fixed &&
        rows.length > least &&
        html`<${Button} kind="quiet" onPress=${() => onChange(rows.filter((_, n) => n !== i))}
        aria-label=${t('row.remove', { row: `${title} ${i + 1}` })}>${t('remove')}<//>`
      }
    </div>`,
    )}
    <${Button} kind="quiet" onPress=${() => onChange([...rows, make()])}>${add}<//>
  </fieldset>`;
}

export function Terms({ sale, onStored }) {
  const [draft, setDraft] = useState(() => draftOf(sale));
  const [errors, setErrors] = useState({});
  const [refused, setRefused] = useState(null);
  const [message, setMessage] = useState('');
  const [storing, setStoring] = useState(false);
  const [tries, setTries] = useState(0);
  const form = useRef(null);
  useEffect(() => {
    form.current.querySelector('[aria-invalid=true]')?.focus();
  }, [tries]);
  const set = (field, value) => {
    setDraft({ ...draft, [field]: value });
    setMessage('');
  };
  const failed = (next, problem) => {
    setErrors(next);
    setRefused(problem);
    setTries((n) => n + 1);
  };

  const store = async (event) => {
    event.preventDefault();
    if (storing) return;
    const { terms, errors: detected } = termsOf(draft);
    if (Object.keys(detected).length)
      return failed(Object.fromEntries(Object.entries(detected).map(([field, key]) => [field, t(key)])), null);
    if (
      rebuilds(sale, terms) &&
      !(await confirmed({ title: t('terms.rebuild.title'), text: t('terms.rebuild.text'), verb: t('terms.store') }))
    )
      return;
    setStoring(true);
    try {
      const stored = await call('PUT', path('sales', draft.sale_id.trim()), { body: terms });
      setErrors({});
      setRefused(null);
      setDraft(draftOf(stored));
      setMessage(t('terms.stored'));
      pollNow();
      onStored(stored);
    } catch (error) {
      // The server uses the form's field names; `stock_in_use` refers to the total of a SKU.
      const sku = terms.items.findIndex((item) => item.sku === error.body?.sku);
      const field = error.field ?? (sku >= 0 ? `items[${sku}].total` : null);
      const exists = field && form.current.elements.namedItem(field);
      const text = (error.detail ?? error.message).replace(`${field}: `, '');
      failed(exists ? { [field]: text } : {}, error);
    } finally {
      setStoring(false);
    }
  };

  const amount = (value) => (/^\d+$/.test(value.trim()) ? money(Number(value), draft.currency) : t('form.minor'));
  const input = (
    field,
    more = {},
  ) => html`<${Field} label=${t(`term.${field}`)} hint=${more.hint} error=${errors[field]} wide=${more.wide}>
    <input name=${field} value=${draft[field]} type=${more.type ?? 'text'} step=${more.step} inputmode=${more.mode} autocomplete="off"
      readonly=${more.fixed} onInput=${(event) => set(field, event.target.value)} /><//>`;
  return html`<form class="panel terms" ref=${form} onSubmit=${store} novalidate>
    <${Problem} error=${refused} />
    <div class="fields">
      ${input('sale_id', { fixed: Boolean(sale), hint: t('form.name') })}
      ${input('title', { wide: true })}
      <${Field} label=${t('term.currency')} error=${errors.currency} hint=${sale && sale.state !== 'draft' ? t('term.currency.fixed') : ''}>
        <input name="currency" list="currencies" maxlength="3" value=${draft.currency} readonly=${Boolean(sale && sale.state !== 'draft')}
          onInput=${(event) => set('currency', event.target.value.toUpperCase())} /><//>
      <datalist id="currencies">${CURRENCIES.map((one) => html`<option value=${one}></option>`)}</datalist>
      ${input('opens_at', { type: 'datetime-local', step: 1, hint: t('term.opens_at.hint') })}
      ${input('closes_at', { type: 'datetime-local', step: 1, hint: t('term.closes_at.hint') })}
      ${input('max_orders_per_customer', { mode: 'numeric', hint: t('form.unlimited') })}
      ${input('hold_seconds', { mode: 'numeric', hint: t('term.hold_seconds.hint') })}
      ${input('delivery_fee', { mode: 'numeric', hint: amount(draft.delivery_fee) })}
      ${input('free_delivery_from', { mode: 'numeric', hint: draft.free_delivery_from ? amount(draft.free_delivery_from) : t('term.free_delivery_from.hint') })}
    </div>
    <${Rows} name="items" title=${t('items')} rows=${draft.items} make=${newItem} least=${1} errors=${errors} add=${t('items.add')}
      onChange=${(items) => set('items', items)} columns=${[
        { column: 'sku' },
        { column: 'name' },
        { column: 'price', mode: 'numeric', hint: (row) => amount(row.price) },
        { column: 'total', mode: 'numeric', hint: () => t('form.unlimited') },
        { column: 'max_quantity_per_order', mode: 'numeric' },
      ]} />
    <${Rows} name="discount_policies" title=${t('policies')} rows=${draft.discount_policies} make=${newPolicy} errors=${errors} add=${t('policies.add')}
      onChange=${(policies) => set('discount_policies', policies)} columns=${[
        { column: 'id' },
        { column: 'kind', choices: ['percent', 'amount'] },
        { column: 'value', mode: 'numeric' },
        { column: 'min_total', mode: 'numeric' },
        { column: 'max_discount', mode: 'numeric', hint: () => t('form.unlimited') },
      ]} />
    <div class="actions end">
      <p role="status" class="said">${message}</p>
      <button type="submit" class="button" data-kind="primary" aria-busy=${storing ? 'true' : undefined}>${sale ? t('terms.store') : t('terms.create')}</button>
    </div>
  </form>`;
}
