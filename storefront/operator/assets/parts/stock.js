// The distribution of an item's units, as a bar and in numbers.

import { number, percent, signed, t, UNKNOWN } from '../i18n.js';
import { Fragment, html } from '../ui.js';

/// Returns the parts from sold to available. `settling`: units of accepted orders that are not yet in Postgres.
export function partsOf(item) {
  const settling = item.drift === null ? 0 : Math.max(0, -item.drift);
  const free = item.redis_available ?? item.available;
  return [
    ['sold', item.sold],
    ['held', item.held],
    ['settling', settling],
    ['dead', item.dead_lettered],
    ['available', free],
  ];
}

const visible = (parts) =>
  parts.filter(([name, units]) => units !== null && (units > 0 || !['settling', 'dead'].includes(name)));

/// One item: its name, a bar and the numbers.
export function StockBar({ item }) {
  const parts = partsOf(item);
  const taken = (item.held ?? 0) + (item.sold ?? 0);
  const whole = item.total ?? Math.max(taken, 1);
  const text = visible(parts)
    .map(([name, units]) => `${t(`stock.${name}`)} ${number(units)}`)
    .join(', ');
  const label =
    item.total === null
      ? `${item.sku}: ${text}, ${t('stock.unlimited')}`
      : `${item.sku}: ${text}, ${t('stock.of', { total: number(item.total) })}`;
  const left = item.redis_available ?? item.available;
  return html`<div class="stock">
    <div class="stock-head">
      <span class="sku">${item.sku}</span>
      <span class="stock-name">${item.name !== item.sku && item.name}</span>
      ${
        item.total === null
          ? html`<span class="stock-left">${t('stock.taken', { units: number(taken) })} · ${t('stock.unlimited')}</span>`
          : html`<span class="stock-left" data-empty=${left === 0 ? 'true' : undefined}>
            ${left === 0 ? t('stock.gone') : t('stock.left', { units: number(left) })}
            <span class="quiet"> / ${number(item.total)}</span></span>`
      }
    </div>
    <div class=${item.total === null ? 'bar unlimited' : 'bar'} role="img" aria-label=${label}>
      ${parts.map(
        ([name, units]) =>
          units > 0 &&
          html`<span class="slice" data-part=${name} key=${name}
        style=${{ '--share': Math.min(1, units / whole) }}></span>`,
      )}
    </div>
  </div>`;
}

/// All items as a table, with the values that a bar cannot show.
export function StockTable({ items, caption }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}><table>
    <caption class="visually-hidden">${caption}</caption>
    <thead><tr><th scope="col">${t('item')}</th>
      ${['total', 'available', 'held', 'sold', 'dead'].map((name) => html`<th scope="col" class="n">${t(`stock.${name}`)}</th>`)}
      <th scope="col" class="n">${t('stock.share')}</th><th scope="col" class="n">${t('stock.drift')}</th></tr></thead>
    <tbody>${items.map(
      (item) => html`<tr key=${item.sku}>
      <th scope="row">${item.sku}${item.name !== item.sku && html` <span class="quiet">${item.name}</span>`}</th>
      <td class="n">${item.total === null ? t('stock.unlimited') : number(item.total)}</td>
      <td class="n">${item.total === null ? UNKNOWN : number(item.available)}</td>
      <td class="n">${number(item.held)}</td><td class="n">${number(item.sold)}</td>
      <td class="n" data-tone=${item.dead_lettered > 0 ? 'warn' : undefined}>${number(item.dead_lettered)}</td>
      <td class="n">${item.total > 0 && item.held !== null ? percent((item.held + item.sold) / item.total) : UNKNOWN}</td>
      <td class="n">${signed(item.drift)}</td>
    </tr>`,
    )}</tbody>
  </table></div>`;
}

/// The legend of the colours.
export function Legend({ names = ['sold', 'held', 'settling', 'available'] }) {
  return html`<p class="legend">${names.map(
    (name) => html`<${Fragment} key=${name}><span class="key">
    <span class="swatch" data-part=${name} aria-hidden="true"></span>${t(`stock.${name}`)}</span><//>`,
  )}</p>`;
}
