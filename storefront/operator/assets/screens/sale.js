// One sale: live state, terms, inventory and report.

import { get, path } from '../api.js';
import { moment, number, rate, span, t } from '../i18n.js';
import { useOverview } from '../poller.js';
import { Controls, State } from '../parts/controls.js';
import { Legend, StockBar, StockTable } from '../parts/stock.js';
import { Problem, Title, Waiting, html, useFetch, useEffect } from '../ui.js';
import { Inventory } from './inventory.js';
import { Report } from './report.js';
import { Terms } from './terms.js';

const TABS = ['live', 'terms', 'inventory', 'report'];
/// The polling interval during a rebuild.
const REBUILD_POLL_MS = 1000;

/// Fetches the stored definition, which is the only source for drafts.
const definition = async (sale) => (await get(path('sales'))).sales.find((one) => one.sale_id === sale) ?? null;

function Live({ sale, settled }) {
  return html`<section class="panel" aria-labelledby="stock"><div class="section-head"><h2 id="stock">${t('stock')}</h2>
      <${Legend} names=${['sold', 'held', 'settling', 'dead', 'available']} /></div>
    <div class="stocks">${sale.items.map((item) => html`<${StockBar} key=${item.sku} item=${item} />`)}</div>
    <${StockTable} items=${sale.items} caption=${t('stock.table', { sale: sale.title })} />
    <dl class="facts wide">
      <div><dt>${t('fact.settled')}</dt><dd>${number(sale.orders_settled)}</dd></div>
      <div><dt>${t('fact.settled_rate')}</dt><dd>${rate(settled)}</dd></div>
      <div><dt>${t('fact.outbox')}</dt><dd>${number(sale.outbox_entries)}</dd></div>
      <div><dt>${t('fact.lag')}</dt><dd>${number(sale.lag_records)}</dd></div>
      <div><dt>${t('fact.partition')}</dt><dd>${number(sale.partition)}</dd></div>
      <div><dt>${t('fact.epoch')}</dt><dd data-fact="epoch">${number(sale.epoch)}</dd></div>
    </dl>
  </section>`;
}

/// The progress of a rebuild.
function Rebuild({ rebuild, reload }) {
  useEffect(() => {
    const timer = setInterval(reload, REBUILD_POLL_MS);
    return () => clearInterval(timer);
  });
  if (!rebuild) return null;
  const since = (Date.now() - Date.parse(rebuild.since)) / 1000;
  return html`<section class="panel notice" data-tone="warn" role="status"><h2>${t('rebuild')}</h2>
    <dl class="facts wide">
      <div><dt>${t('rebuild.step')}</dt><dd>${rebuild.step}</dd></div>
      <div><dt>${t('rebuild.reason')}</dt><dd>${rebuild.reason}</dd></div>
      <div><dt>${t('rebuild.since')}</dt><dd>${span(Math.max(0, since))}</dd></div>
      <div><dt>${t('fact.epoch')}</dt><dd>${number(rebuild.epoch)}</dd></div>
      ${rebuild.orders_written !== undefined && html`<div><dt>${t('rebuild.written')}</dt><dd>${number(rebuild.orders_written)}</dd></div>`}
    </dl></section>`;
}

/// `sale` as the snapshot has it; `terms` as they are defined.
function Header({ sale, terms, onDone }) {
  const window = [
    terms?.opens_at && t('window.from', { at: moment(terms.opens_at) }),
    terms?.closes_at && t('window.to', { at: moment(terms.closes_at) }),
  ];
  return html`<header class="sale-head">
    <div><${Title}>${sale.title}<//>
      <p class="quiet"><span class="id">${sale.sale_id}</span>${window.filter(Boolean).map((text) => html` · ${text}`)}</p></div>
    <${State} sale=${sale} />
    <${Controls} sale=${sale} onDone=${onDone} />
  </header>`;
}

export function Sale({ sale: name, tab }) {
  const { snapshot, rates } = useOverview();
  const { data: terms, error, loading, reload } = useFetch(() => definition(name), [name]);
  const live = snapshot?.sales.find((one) => one.sale_id === name);
  // A sale that was just created is not in the last snapshot yet; use its definition.
  const sale = live ?? (terms && { ...terms, items: [], epoch: terms.epoch, orders_settled: null });
  if (!sale) {
    if (loading) return html`<${Title}>${name}<//><${Waiting} />`;
    return html`<${Title}>${name}<//>${error ? html`<${Problem} error=${error} />` : html`<p class="empty panel">${t('sale.unknown')}</p>`}`;
  }
  const rebuilding = sale.state !== 'draft' && !sale.ready;
  return html`<p class="crumb"><a href="#/">${t('place.overview')}</a></p>
    <${Header} sale=${sale} terms=${terms} onDone=${reload} />
    <nav class="tabs" aria-label=${t('sale.parts')}><ul>${TABS.map(
      (one) => html`<li key=${one}>
      <a href=${`#/sales/${encodeURIComponent(name)}/${one}`} aria-current=${one === tab ? 'page' : undefined}>${t(`tab.${one}`)}</a></li>`,
    )}
      <li><a href=${`#/orders?${new URLSearchParams({ sale: name })}`}>${t('tab.orders')}</a></li></ul></nav>
    ${rebuilding && html`<${Rebuild} rebuild=${terms?.rebuild} reload=${reload} />`}
    <${Problem} error=${error} />
    ${
      tab === 'terms'
        ? terms
          ? html`<${Terms} key=${name} sale=${terms} onStored=${reload} />`
          : html`<${Waiting} />`
        : tab === 'inventory'
          ? html`<${Inventory} sale=${sale} />`
          : tab === 'report'
            ? html`<${Report} sale=${sale} />`
            : html`<${Live} sale=${sale} settled=${rates.at(-1)?.sales[name]} />`
    }`;
}

export function NewSale() {
  return html`<p class="crumb"><a href="#/">${t('place.overview')}</a></p>
    <${Title}>${t('sale.new')}<//>
    <${Terms} sale=${null} onStored=${(stored) => {
      location.hash = `#/sales/${encodeURIComponent(stored.sale_id)}`;
    }} />`;
}
