// The overview of the system: sales, rates, lag, dependencies, refusals.

import { number, rate, span, t, UNKNOWN } from '../i18n.js';
import { useOverview } from '../poller.js';
import { Spark } from '../parts/chart.js';
import { Controls, State } from '../parts/controls.js';
import { Legend, StockBar } from '../parts/stock.js';
import { Title, Waiting, html } from '../ui.js';

/// The number of items on a card; the sale's own screen shows all.
const ITEMS_SHOWN = 6;

function Gauge({ name, value, unit = '', note = '', curve, tone }) {
  return html`<div class="gauge" data-tone=${tone} data-gauge=${name}>
    <dt>${t(`gauge.${name}`)}</dt>
    <dd><span class="value">${value}</span>${unit && value !== UNKNOWN && html`<span class="unit">${unit}</span>`}</dd>
    <dd class="note">${note}</dd>
    ${curve && html`<dd class="curve"><${Spark} values=${curve} tone=${tone ?? 'accent'} /></dd>`}
  </div>`;
}

/// The gauges at the top.
function Gauges({ snapshot, rates }) {
  const now = rates.at(-1);
  const curve = (name) => rates.slice(-60).map((one) => one[name]);
  const { gateway } = snapshot;
  const since = (total) => t('gauge.in_all', { total: number(total) });
  return html`<dl class="gauges eight">
    <${Gauge} name="accepted" value=${rate(now.accepted)} unit="/s" note=${since(gateway.accepted_total)} curve=${curve('accepted')} />
    <${Gauge} name="refused" value=${rate(now.refused)} unit="/s" note=${since(gateway.refused_total)} curve=${curve('refused')} />
    <${Gauge} name="failed" value=${rate(now.failed)} unit="/s" note=${since(gateway.failed_total)} curve=${curve('failed')}
      tone=${now.failed > 0 ? 'bad' : undefined} />
    <${Gauge} name="settled" value=${rate(now.settled)} unit="/s" note=${t('gauge.all_sales')} curve=${curve('settled')} />
    <${Gauge} name="lag" value=${number(now.lagRecords)} note=${t('gauge.at_most', { span: span(now.lagSeconds) })}
      curve=${curve('lagRecords')} tone=${now.lagSeconds > 10 ? 'warn' : undefined} />
    <${Gauge} name="outbox" value=${number(now.outbox)} note=${t('gauge.outbox_note')} curve=${curve('outbox')} />
    <${Gauge} name="in_flight" value=${number(gateway.in_flight)} note=${t('gauge.streams', { streams: number(gateway.live_update_streams) })}
      curve=${curve('inFlight')} />
    <${Gauge} name="letters" value=${number(snapshot.dead_letters)} note=${t('gauge.letters_note')} tone=${snapshot.dead_letters > 0 ? 'warn' : undefined} />
  </dl>`;
}

function Card({ sale, settled }) {
  const address = `#/sales/${encodeURIComponent(sale.sale_id)}`;
  const more = sale.items.length - ITEMS_SHOWN;
  return html`<article class="panel card" data-sale=${sale.sale_id} data-state=${sale.state}>
    <header>
      <div><h3><a href=${address}>${sale.title}</a></h3><p class="quiet id">${sale.sale_id}</p></div>
      <${State} sale=${sale} />
    </header>
    <div class="stocks">${sale.items.slice(0, ITEMS_SHOWN).map((item) => html`<${StockBar} key=${item.sku} item=${item} />`)}</div>
    ${more > 0 && html`<p class="quiet"><a href=${address}>${t('sale.more_items', { items: number(more) })}</a></p>`}
    <footer>
      <dl class="facts">
        <div><dt>${t('fact.settled')}</dt><dd data-fact="settled">${number(sale.orders_settled)}${settled > 0 && html` <span class="quiet">${rate(settled)}/s</span>`}</dd></div>
        <div><dt>${t('fact.outbox')}</dt><dd>${number(sale.outbox_entries)}</dd></div>
        <div><dt>${t('fact.lag')}</dt><dd>${number(sale.lag_records)}</dd></div>
        <div><dt>${t('fact.epoch')}</dt><dd>${number(sale.epoch)}</dd></div>
      </dl>
      <${Controls} sale=${sale} all=${false} />
    </footer>
  </article>`;
}

/// The order of the sales: active ones first.
const ORDER = { open: 0, paused: 1, draft: 2, closed: 3 };

function Sales({ snapshot, rates }) {
  const sales = snapshot.sales.toSorted(
    (a, b) => ORDER[a.state] - ORDER[b.state] || a.sale_id.localeCompare(b.sale_id),
  );
  return html`<section aria-labelledby="sales">
    <div class="section-head"><h2 id="sales">${t('sales')}</h2><${Legend} />
      <a class="button" data-kind="primary" href="#/new">${t('sale.new')}</a></div>
    ${sales.length === 0 && html`<p class="empty panel">${t('sales.none')}</p>`}
    <div class="cards">${sales.map((sale) => html`<${Card} key=${sale.sale_id} sale=${sale} settled=${rates.at(-1).sales[sale.sale_id]} />`)}</div>
  </section>`;
}

function Dependencies({ snapshot }) {
  return html`<section class="panel" aria-labelledby="dependencies"><h2 id="dependencies">${t('dependencies')}</h2>
    <ul class="dependencies">${snapshot.dependencies.map(
      ({ name, up, required, why }) => html`<li key=${name} data-tone=${up ? 'good' : required ? 'bad' : 'warn'}>
      <span class="dot" aria-hidden="true"></span><span class="name">${t(`dependency.${name}`)}</span>
      <span class="word">${up ? t('dependency.up') : t('dependency.down')}</span>
      ${why && html`<p class="why">${why}</p>`}</li>`,
    )}
    </ul>
    ${Object.entries(snapshot.why).map(([what, why]) => html`<p class="why" key=${what}>${t('dependency.unknown', { what: t(`dependency.${what}`) })}: ${why}</p>`)}
  </section>`;
}

function Refusals({ snapshot }) {
  const all = Object.entries(snapshot.gateway.refusals).toSorted((a, b) => b[1] - a[1]);
  return html`<section class="panel" aria-labelledby="refusals"><h2 id="refusals">${t('refusals')}</h2>
    ${
      all.length === 0
        ? html`<p class="quiet">${t('refusals.none')}</p>`
        : html`<dl class="refusals">
      ${all.map(([code, count]) => html`<div key=${code}><dt>${t(`code.${code}`) === `code.${code}` ? code : t(`code.${code}`)}</dt><dd>${number(count)}</dd></div>`)}
    </dl>`
    }
  </section>`;
}

function Log({ snapshot }) {
  return html`<section class="panel" aria-labelledby="log"><h2 id="log">${t('log')}</h2>
    ${
      snapshot.log.length === 0
        ? html`<p class="quiet">${t('log.none')}</p>`
        : html`<table>
      <thead><tr><th scope="col">${t('log.partition')}</th><th scope="col" class="n">${t('log.records')}</th><th scope="col" class="n">${t('log.seconds')}</th></tr></thead>
      <tbody>${snapshot.log.map(
        ({ partition, lag_records: records, lag_seconds: seconds }) => html`<tr key=${partition}>
        <th scope="row">${partition}</th><td class="n">${number(records)}</td><td class="n">${span(seconds)}</td></tr>`,
      )}</tbody>
    </table>`
    }
  </section>`;
}

export function Overview() {
  const { snapshot, rates } = useOverview();
  return html`<${Title}>${t('place.overview')}<//>
    ${!snapshot && html`<${Waiting} />`}
    ${
      snapshot &&
      html`<${Gauges} snapshot=${snapshot} rates=${rates} />
    <div class="columns">
      <${Sales} snapshot=${snapshot} rates=${rates} />
      <aside aria-label=${t('beside')}>
        <${Dependencies} snapshot=${snapshot} /><${Log} snapshot=${snapshot} /><${Refusals} snapshot=${snapshot} />
      </aside>
    </div>`
    }`;
}
