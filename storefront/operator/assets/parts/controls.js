// The actions on a sale, with a confirmation of those that affect customers.

import { act } from '../api.js';
import { t } from '../i18n.js';
import { pollNow } from '../poller.js';
import { confirmed } from './confirm.js';
import { Button, Problem, html, useState } from '../ui.js';

/// The actions in each state, the most usual first.
const ACTIONS = {
  draft: ['open'],
  open: ['pause', 'close', 'rebuild'],
  paused: ['resume', 'close', 'rebuild'],
  closed: ['rebuild'],
};
const KINDS = { open: 'primary', resume: 'primary', pause: 'plain', close: 'danger', rebuild: 'quiet' };

async function isConfirmed(sale, action) {
  if (action === 'resume') return true;
  return confirmed({
    title: t(`${action}.title`, { sale: sale.title }),
    text: t(`${action}.text`),
    verb: t(`do.${action}`),
    tone: ['close', 'rebuild'].includes(action) ? 'danger' : 'primary',
    typed: action === 'close' ? sale.sale_id : null,
  });
}

/// The buttons of a sale. `onDone` is called after the server has accepted the action.
export function Controls({ sale, all = true, onDone }) {
  const [error, setError] = useState(null);
  const [message, setMessage] = useState('');
  const press = async (action) => {
    setError(null);
    if (!(await isConfirmed(sale, action))) return;
    try {
      await act(sale.sale_id, action);
      setMessage(t(`did.${action}`, { sale: sale.title }));
      onDone?.(action);
      pollNow();
    } catch (refused) {
      setError(refused);
    }
  };
  const shown = ACTIONS[sale.state].filter((action) => all || ['open', 'pause', 'resume'].includes(action));
  return html`<div class="controls">
    <div class="actions">${shown.map(
      (action) => html`<${Button} key=${action} kind=${KINDS[action]} onPress=${() => press(action)}
      aria-label=${t('do.on', { verb: t(`do.${action}`), sale: sale.title })}>${t(`do.${action}`)}<//>`,
    )}</div>
    <${Problem} error=${error} />
    <p class="visually-hidden" role="status">${message}</p>
  </div>`;
}

const TONES = { draft: 'quiet', open: 'good', paused: 'warn', closed: 'quiet' };

/// The state of a sale, and whether a rebuild keeps it from selling.
export function State({ sale }) {
  const rebuilding = sale.state !== 'draft' && !sale.ready;
  return html`<span class="states">
    <span class="pill" data-tone=${TONES[sale.state]}>${t(`state.${sale.state}`)}</span>
    ${rebuilding && html` <span class="pill" data-tone="warn">${t('state.rebuilding')}</span>`}
  </span>`;
}
