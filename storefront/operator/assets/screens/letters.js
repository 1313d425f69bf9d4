// Dead letters: records that settlement could not apply. They can be replayed or discarded.

import { call, get, path } from '../api.js';
import { moment, number, t } from '../i18n.js';
import { pollNow } from '../poller.js';
import { confirmed } from '../parts/confirm.js';
import { Button, Problem, Title, Waiting, html, useFetch, useState } from '../ui.js';

const STATES = ['undecided', 'replayed', 'discarded', 'duplicate'];
const TONES = { undecided: 'warn', replayed: 'good' };
const units = (letter) =>
  Object.entries(letter.units)
    .map(([sku, count]) => `${sku} × ${number(count)}`)
    .join(', ');

function Letter({ letter, onDecided }) {
  const [error, setError] = useState(null);
  const [message, setMessage] = useState('');
  const decide = async (decision) => {
    setError(null);
    const question = {
      title: t(`letter.${decision}.title`, { id: letter.id }),
      text: t(`letter.${decision}.text`),
      verb: t(`letter.${decision}`),
      tone: decision === 'discard' ? 'danger' : 'primary',
    };
    const reason = html`<dl class="facts wide"><div><dt>${t('letter.reason')}</dt><dd><code>${letter.reason}</code> ${letter.detail}</dd></div>
      <div><dt>${t('letter.units')}</dt><dd>${units(letter) || t('letter.no_units')}</dd></div></dl>`;
    if (!(await confirmed({ ...question, children: reason }))) return;
    try {
      const now = await call('POST', path('dead-letters', letter.id, decision));
      setMessage(
        now.state === 'undecided' ? t('letter.still', { why: now.resolution ?? '' }) : t(`letter.now.${now.state}`),
      );
      pollNow();
      onDecided(now);
    } catch (refused) {
      setError(refused);
    }
  };
  return html`<article class="panel letter" data-letter=${letter.id} aria-label=${t('letter.name', { id: letter.id })}>
    <header><h2>${t('letter.name', { id: letter.id })}</h2><span class="pill" data-tone=${TONES[letter.state] ?? 'quiet'}>${t(`letter.state.${letter.state}`)}</span></header>
    <p><code>${letter.reason}</code> ${letter.detail}</p>
    <dl class="facts wide">
      <div><dt>${t('order.sale')}</dt><dd>${letter.sale_id ? html`<a href=${`#/sales/${encodeURIComponent(letter.sale_id)}`}>${letter.sale_id}</a>` : t('letter.no_sale')}</dd></div>
      <div><dt>${t('letter.units')}</dt><dd>${units(letter) || t('letter.no_units')}</dd></div>
      <div><dt>${t('letter.place')}</dt><dd>${letter.topic} / ${letter.partition} / ${letter.offset}</dd></div>
      <div><dt>${t('letter.at')}</dt><dd>${moment(letter.at)}</dd></div>
      ${letter.resolution && html`<div><dt>${t('letter.resolution')}</dt><dd>${letter.resolution}</dd></div>`}
    </dl>
    <details><summary>${t('letter.record')}</summary><pre tabindex="0">${JSON.stringify(letter.headers, null, 2)}</pre><pre tabindex="0">${letter.value}</pre></details>
    <p role="status" class="said">${message}</p>
    <${Problem} error=${error} />
    ${
      letter.state === 'undecided' &&
      html`<div class="actions">
      <${Button} kind="primary" onPress=${() => decide('replay')} aria-label=${t('do.on', { verb: t('letter.replay'), sale: letter.id })}>${t('letter.replay')}<//>
      <${Button} kind="danger" onPress=${() => decide('discard')} aria-label=${t('do.on', { verb: t('letter.discard'), sale: letter.id })}>${t('letter.discard')}<//></div>`
    }
  </article>`;
}

export function Letters() {
  const [state, setState] = useState('undecided');
  const [more, setMore] = useState([]);
  const [decided, setDecided] = useState({});
  const { data, error, loading, reload } = useFetch(() => get(path('dead-letters'), { state }), [state]);
  const choose = (next) => {
    setMore([]);
    setDecided({});
    setState(next);
  };
  const pages = data ? [data, ...more] : [];
  const letters = pages.flatMap((page) => page.dead_letters);
  const cursor = pages.at(-1)?.next_cursor;
  const next = async () => setMore([...more, await get(path('dead-letters'), { state, cursor })]);
  return html`<${Title}>${t('place.letters')}<//>
    <p class="quiet lead">${t('letters.text')}</p>
    <div class="section-head"><div class="segments" role="group" aria-label=${t('letters.filter')}>
      ${STATES.map((one) => html`<button type="button" aria-pressed=${String(one === state)} onClick=${() => choose(one)}>${t(`letter.state.${one}`)}</button>`)}</div>
      <${Button} kind="quiet" busy=${loading} onPress=${() => {
        setMore([]);
        reload();
      }}>${t('report.again')}<//></div>
    <${Problem} error=${error} />
    ${!data && loading && html`<${Waiting} />`}
    ${data && letters.length === 0 && html`<p class="empty panel">${t('letters.none')}</p>`}
    <div class="letters">${letters.map(
      (letter) => html`<${Letter} key=${letter.id} letter=${decided[letter.id] ?? letter}
      onDecided=${(now) => setDecided((before) => ({ ...before, [now.id]: now }))} />`,
    )}</div>
    ${cursor && html`<${Button} onPress=${next}>${t('orders.more')}<//>`}`;
}
