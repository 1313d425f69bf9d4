// The customer's wallet: balance and transactions.

import { call, path, retry } from '../api.js';
import { h } from '../dom.js';
import { customer } from '../identity.js';
import { money, moment, t } from '../i18n.js';
import { empty } from '../parts.js';
import { notice } from './notice.js';
import { signInDialog } from './sign-in.js';

export default function view(root, { signal, title }) {
  title(t('walletTitle'));
  root.append(h('h1', {}, t('walletTitle')));
  if (!customer())
    return root.append(
      empty(
        t('signInFirst'),
        null,
        h('button', { type: 'button', class: 'button strong', on: { click: signInDialog } }, t('signIn')),
      ),
    );
  const loading = h('p', { class: 'loading', role: 'status' }, t('loading'));
  root.append(loading);
  const showError = notice(signal);
  retry(() => call('GET', path('wallet'), { signal }), { signal, onWait: showError })
    .then(({ body }) => {
      showError(null);
      loading.remove();
      root.append(
        h('div', { class: 'balance' }, h('span', {}, t('balance')), h('b', {}, money(body.balance, body.currency))),
      );
      if (body.entries.length === 0) return root.append(empty(t('noWallet'), t('noWalletHint')));
      return root.append(
        h(
          'section',
          { class: 'block', 'aria-labelledby': 'entries' },
          h('h2', { id: 'entries' }, t('entries')),
          h(
            'ul',
            { class: 'entries' },
            body.entries.map((entry) =>
              h(
                'li',
                { 'data-sign': entry.amount < 0 ? 'out' : 'in' },
                h('span', {}, t(`wallet_${entry.reason}`)),
                h('b', {}, `${entry.amount > 0 ? '+' : ''}${money(entry.amount, body.currency)}`),
                h('time', { datetime: entry.at }, moment(entry.at)),
              ),
            ),
          ),
        ),
      );
    })
    .catch((error) => {
      if (signal.aborted) return;
      loading.remove();
      root.append(h('p', { role: 'alert' }, error.message));
    });
  return undefined;
}
