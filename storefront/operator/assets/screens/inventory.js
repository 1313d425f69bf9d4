// The comparison of stock in Postgres and in Redis, and the action that synchronizes them.

import { call, get, path } from '../api.js';
import { number, signed, t } from '../i18n.js';
import { pollNow } from '../poller.js';
import { confirmed } from '../parts/confirm.js';
import { Button, Problem, Waiting, html, useFetch, useEffect, useState } from '../ui.js';

const POLL_MS = 2000;
const COLUMNS = ['total', 'database_available', 'redis_available', 'held', 'sold', 'dead_lettered'];

export function Inventory({ sale }) {
  const { data, error, reload } = useFetch(() => get(path('sales', sale.sale_id, 'inventory')), [sale.sale_id]);
  const [refused, setRefused] = useState(null);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || reload(), POLL_MS);
    return () => clearInterval(timer);
  }, [sale.sale_id]);
  const sync = async () => {
    setRefused(null);
    if (
      !(await confirmed({ title: t('sync.title', { sale: sale.title }), text: t('rebuild.text'), verb: t('do.sync') }))
    )
      return;
    try {
      await call('POST', path('sales', sale.sale_id, 'inventory', 'sync'));
      pollNow();
      reload();
    } catch (failure) {
      setRefused(failure);
    }
  };
  return html`<section class="panel" aria-labelledby="inventory">
    <div class="section-head"><h2 id="inventory">${t('tab.inventory')}</h2>
      ${sale.state !== 'draft' && html`<${Button} kind="danger" onPress=${sync}>${t('do.sync')}<//>`}</div>
    <p class="quiet">${t('inventory.text')}</p>
    <${Problem} error=${refused ?? error} />
    ${!data && !error && html`<${Waiting} />`}
    ${
      data &&
      html`<div class="scroll" tabindex="0" role="region" aria-label=${t('tab.inventory')}><table class="inventory">
      <caption class="quiet">${t('inventory.caption', { epoch: number(data.epoch), ready: t(data.ready ? 'inventory.ready' : 'inventory.not_ready') })}</caption>
      <thead><tr><th scope="col">${t('item')}</th>${COLUMNS.map((name) => html`<th scope="col" class="n">${t(`inventory.${name}`)}</th>`)}
        <th scope="col" class="n">${t('stock.drift')}</th></tr></thead>
      <tbody>${data.items.map(
        (item) => html`<tr key=${item.sku}><th scope="row">${item.sku}</th>
        ${COLUMNS.map((name) => html`<td class="n">${item.total === null && ['total', 'database_available', 'redis_available'].includes(name) ? t('stock.unlimited') : number(item[name])}</td>`)}
        <td class="n" data-tone=${item.drift ? 'warn' : undefined}>${signed(item.drift)}</td></tr>`,
      )}</tbody>
    </table></div>`
    }
  </section>`;
}
