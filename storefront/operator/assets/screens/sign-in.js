// Sign-in: the admin token is checked with the server and kept until the tab is closed.

import { NoResponse, call, path, signIn } from '../api.js';
import { language, languages, t } from '../i18n.js';
import { Field, html, useState } from '../ui.js';

export function SignIn({ ended, onSignedIn, onLanguage }) {
  const [text, setText] = useState('');
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState(ended ? t('signin.ended') : null);
  const enter = async (event) => {
    event.preventDefault();
    if (busy) return;
    if (!text.trim()) return setWrong(t('signin.empty'));
    setBusy(true);
    try {
      await call('GET', path('overview'), { as: text.trim() });
      signIn(text.trim());
      onSignedIn();
    } catch (error) {
      setBusy(false);
      const isInvalid = error.status === 401 || error.status === 403;
      setWrong(error instanceof NoResponse ? t('signin.lost') : isInvalid ? t('signin.wrong') : error.message);
    }
  };
  return html`<main class="door">
    <form class="panel" onSubmit=${enter}>
      <p class="brand"><span class="mark" aria-hidden="true"></span>${t('product')}</p>
      <h1 id="title">${t('signin.title')}</h1>
      <p class="hint">${t('signin.text')}</p>
      <${Field} label=${t('signin.token')} wide=${true}>
        <input type="password" name="token" autocomplete="current-password" value=${text}
          onInput=${(event) => setText(event.target.value)} />
      <//>
      ${wrong && html`<p class="error" role="alert">${wrong}</p>`}
      <button type="submit" class="button" data-kind="primary" aria-busy=${busy ? 'true' : undefined}>${t('signin.enter')}</button>
      <p class="tongues">${languages.map(
        (one) => html`<button type="button" class="link" lang=${one}
        aria-pressed=${String(one === language())} onClick=${() => onLanguage(one)}>${t(`language.${one}`)}</button>`,
      )}</p>
    </form>
  </main>`;
}
