// The development sign-in.

import { h, setAttribute, setText, show } from '../dom.js';
import { customer, isName, signIn, signOut } from '../identity.js';
import { t } from '../i18n.js';

/// Opens the dialog. Resolves to whether a customer is signed in when it closes.
export function signInDialog() {
  return new Promise((resolve) => {
    const name = h('input', {
      id: 'sign-in-name',
      name: 'username',
      autocomplete: 'username',
      autocapitalize: 'none',
      spellcheck: 'false',
      maxlength: 64,
      required: true,
      value: customer() ?? '',
      'aria-describedby': 'sign-in-hint sign-in-bad',
    });
    const bad = h('p', { id: 'sign-in-bad', class: 'field-bad', role: 'alert', hidden: true });
    const submit = (event) => {
      event.preventDefault();
      const wanted = name.value.trim();
      if (!isName(wanted)) {
        setAttribute(name, 'aria-invalid', 'true');
        show(setText(bad, t('signInBad')), true);
        name.focus();
        return;
      }
      dialog.close();
      if (wanted !== customer()) signIn(wanted);
    };
    const leave = customer()
      ? h(
          'button',
          {
            type: 'button',
            class: 'button quiet',
            on: {
              click: () => {
                dialog.close();
                signOut();
              },
            },
          },
          t('signOut'),
        )
      : h('button', { type: 'button', class: 'button quiet', on: { click: () => dialog.close() } }, t('close'));
    const dialog = h(
      'dialog',
      { class: 'dialog', 'aria-labelledby': 'sign-in-title' },
      h(
        'form',
        { class: 'stack', novalidate: true, on: { submit } },
        h('h2', { id: 'sign-in-title' }, t('signInTitle')),
        h('p', { class: 'quiet-text' }, t('signInLead')),
        h(
          'div',
          { class: 'field' },
          h('label', { for: 'sign-in-name' }, t('signInName')),
          name,
          h('p', { id: 'sign-in-hint', class: 'field-hint' }, t('signInHint')),
          bad,
        ),
        h('div', { class: 'row end' }, leave, h('button', { type: 'submit', class: 'button strong' }, t('signInGo'))),
      ),
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(customer() !== null);
    });
    document.body.append(dialog);
    dialog.showModal();
    name.select();
  });
}
