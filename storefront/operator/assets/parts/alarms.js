// The alarms above every screen. The list is a live region: screen readers announce new alarms.

import { t, clock } from '../i18n.js';
import { useOverview } from '../poller.js';
import { Button, html } from '../ui.js';

/// Replaces a dependency's id by its display name.
const withDisplayName = (key, values) =>
  key.startsWith('alarm.down') ? { ...values, name: t(`dependency.${values.name}`) } : values;

export function Alarms({ onRetry }) {
  const { alarms, disconnectedAt, snapshot, error } = useOverview();
  const shown = disconnectedAt
    ? [
        {
          tone: 'bad',
          id: 'lost',
          key: snapshot ? 'alarm.lost' : 'alarm.never',
          values: { time: clock(snapshot?.time), why: error?.status ? error.message : '' },
        },
      ]
    : alarms;
  return html`<div role="status"><ul class="alarms" aria-label=${t('alarms')}>
    ${shown.map(
      ({ id, tone, key, values, link }) => html`<li key=${id} class="alarm" data-tone=${tone}>
      <span class="sign" aria-hidden="true">${tone === 'bad' ? '✕' : '!'}</span>
      <span class="words"><strong>${t(`tone.${tone}`)}</strong> ${t(key, withDisplayName(key, values))}</span>
      ${link && html`<a href=${link}>${t('alarm.view')}</a>`}
      ${id === 'lost' && html`<${Button} kind="quiet" onPress=${onRetry}>${t('alarm.retry')}<//>`}
    </li>`,
    )}
  </ul></div>`;
}
