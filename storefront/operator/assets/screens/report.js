// The report of a sale, counted by the consumer group `analytics`.

import { get, path } from '../api.js';
import { clock, hour, moment, money, number, percent, rate, span, t, UNKNOWN } from '../i18n.js';
import { Bars, Columns, Numbers, Pairs } from '../parts/chart.js';
import { Button, Problem, Waiting, html, useFetch } from '../ui.js';

const FUNNEL = ['accepted', 'payment_requested', 'paid', 'shipped', 'delivered'];
const ENDED = ['payment_failed', 'expired', 'cancelled', 'refund_requested', 'refunded'];

function Summary({ report }) {
  const { funnel, revenue, currency, sell_out: out, orders_per_second: pace } = report;
  const paid = funnel.accepted > 0 ? percent(funnel.paid / funnel.accepted) : UNKNOWN;
  const fact = (name, value, note) =>
    html`<div class="gauge" data-report=${name}><dt>${t(`report.${name}`)}</dt><dd><span class="value">${value}</span></dd><dd class="note">${note}</dd></div>`;
  return html`<dl class="gauges">
    ${fact('accepted', number(funnel.accepted), t('report.paid_share', { share: paid }))}
    ${fact('net', money(revenue.net, currency), t('report.returned', { amount: money(revenue.returned, currency) }))}
    ${fact('peak', `${number(pace.peak)}/s`, t('report.average', { rate: rate(pace.average) }))}
    ${fact('sold_out', span(out.seconds), out.sold_out_at ? clock(out.sold_out_at) : t('report.not_sold_out'))}
  </dl>`;
}

function OrderRate({ pace }) {
  const points = pace.seconds.map(({ at, accepted }) => [clock(at), accepted]);
  return html`<section class="panel" aria-labelledby="pace"><h3 id="pace">${t('report.pace')}</h3>
    ${
      points.length === 0
        ? html`<p class="quiet">${t('report.nothing')}</p>`
        : html`
      <${Columns} points=${points} label=${t('report.pace_label', { peak: number(pace.peak), seconds: number(points.length) })} write=${number} />
      <${Numbers} title=${t('report.numbers')} head=${[t('report.second'), t('report.accepted')]} rows=${points.map(([at, n]) => [at, number(n)])} />`
    }
  </section>`;
}

function Deliveries({ deliveries }) {
  const points = deliveries.map((one) => [hour(one.hour), one.shipped, one.delivered]);
  return html`<section class="panel" aria-labelledby="deliveries"><h3 id="deliveries">${t('report.deliveries')}</h3>
    ${
      points.length === 0
        ? html`<p class="quiet">${t('report.nothing')}</p>`
        : html`
      <${Pairs} points=${points} label=${t('report.deliveries')} names=${[t('report.shipped'), t('report.delivered')]} />
      <${Numbers} title=${t('report.numbers')} head=${['hour', 'shipped', 'delivered', 'preparation', 'delivery'].map((name) => t(`report.${name}`))}
        rows=${deliveries.map((one) => [hour(one.hour), number(one.shipped), number(one.delivered), span(one.preparation_seconds), span(one.delivery_seconds)])} />`
    }
  </section>`;
}

export function Report({ sale }) {
  const {
    data: report,
    error,
    loading,
    reload,
  } = useFetch(() => get(path('sales', sale.sale_id, 'report')), [sale.sale_id]);
  const rows = (names, tone) => names.map((name) => [t(`report.${name}`), report.funnel[name], tone]);
  return html`<div class="report"><div class="section-head"><h2>${t('tab.report')}</h2>
      ${report?.counted_at && html`<p class="quiet">${t('report.counted', { at: moment(report.counted_at) })}</p>`}
      <${Button} kind="quiet" busy=${loading} onPress=${reload}>${t('report.again')}<//></div>
    <${Problem} error=${error} />
    ${!report && loading && html`<${Waiting} />`}
    ${
      report &&
      html`<${Summary} report=${report} />
    <div class="halves">
      <section class="panel" aria-labelledby="funnel"><h3 id="funnel">${t('report.funnel')}</h3>
        <${Bars} rows=${rows(FUNNEL)} write=${number} label=${t('report.funnel')} /></section>
      <section class="panel" aria-labelledby="ended"><h3 id="ended">${t('report.ended')}</h3>
        <${Bars} rows=${rows(ENDED, 'warn')} write=${number} label=${t('report.ended')} /></section>
    </div>
    <${OrderRate} pace=${report.orders_per_second} />
    <div class="halves">
      <section class="panel" aria-labelledby="out"><h3 id="out">${t('report.sell_out')}</h3>
        <table><thead><tr><th scope="col">${t('item')}</th><th scope="col" class="n">${t('stock.total')}</th><th scope="col" class="n">${t('report.after')}</th></tr></thead>
        <tbody>${report.sell_out.items.map(
          (item) => html`<tr key=${item.sku}><th scope="row">${item.sku}</th><td class="n">${number(item.total)}</td>
          <td class="n">${item.sold_out_at ? span(item.seconds) : t('report.left')}</td></tr>`,
        )}</tbody></table></section>
      <${Deliveries} deliveries=${report.deliveries} />
    </div>`
    }
  </div>`;
}
