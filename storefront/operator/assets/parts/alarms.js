// What is wrong, above every screen. The list is a live region: a screen reader says what is new in it.

import { t, clock } from '../i18n.js';
import { useLive } from '../live.js';
import { Button, html } from '../ui.js';

/// Dependencies by the name that people know.
const named = (key, values) => (key.startsWith('alarm.down') ? { ...values, name: t(`dependency.${values.name}`) } : values);

export function Alarms({ onRetry }) {
  const { alarms, lost, look, error } = useLive();
  const shown = lost ? [{ tone: 'bad', id: 'lost', key: look ? 'alarm.lost' : 'alarm.never', values: { time: clock(look?.time), why: error?.status ? error.message : '' } }] : alarms;
  return html`<div role="status"><ul class="alarms" aria-label=${t('alarms')}>
    ${shown.map(({ id, tone, key, values, link }) => html`<li key=${id} class="alarm" data-tone=${tone}>
      <span class="sign" aria-hidden="true">${tone === 'bad' ? '✕' : '!'}</span>
      <span class="words"><strong>${t(`tone.${tone}`)}</strong> ${t(key, named(key, values))}</span>
      ${link && html`<a href=${link}>${t('alarm.look')}</a>`}
      ${id === 'lost' && html`<${Button} kind="quiet" onPress=${onRetry}>${t('alarm.retry')}<//>`}
    </li>`)}
  </ul></div>`;
}
