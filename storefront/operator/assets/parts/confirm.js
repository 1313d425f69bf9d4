// Before something that hurts: what it does, in words, in the browser's own dialog, which keeps the focus inside and
// gives it back. `confirmed(...)` resolves to whether the operator wants it.

import { t } from '../i18n.js';
import { html, useEffect, useRef, useState } from '../ui.js';

let open = null;

/// `typed`: what the operator must type first, for what cannot be undone.
export function confirmed({ title, text, verb, tone = 'danger', typed = null, children = null }) {
  return new Promise((resolve) => open({ title, text, verb, tone, typed, children, resolve }));
}

/// The dialog itself, once in the frame.
export function Confirmation() {
  const [asked, setAsked] = useState(null);
  const [text, setText] = useState('');
  const dialog = useRef(null);
  open = (question) => { setText(''); setAsked(question); };
  useEffect(() => {
    if (asked && !dialog.current.open) dialog.current.showModal();
  }, [asked]);
  const close = (answer) => {
    asked?.resolve(answer);
    dialog.current.close();
    setAsked(null);
  };
  const ready = !asked?.typed || text === asked.typed;
  return html`<dialog class="confirm" ref=${dialog} aria-labelledby="confirm-title" aria-describedby="confirm-text"
      onCancel=${(event) => { event.preventDefault(); close(false); }}>
    ${asked && html`<form onSubmit=${(event) => { event.preventDefault(); if (ready) close(true); }}>
      <h2 id="confirm-title">${asked.title}</h2>
      <p id="confirm-text">${asked.text}</p>
      ${asked.children}
      ${asked.typed && html`<label class="field wide"><span>${t('confirm.type', { text: asked.typed })}</span>
        <input value=${text} onInput=${(event) => setText(event.target.value)} autocomplete="off" spellcheck=${false} /></label>`}
      <div class="actions">
        <button type="button" class="button" onClick=${() => close(false)}>${t('cancel')}</button>
        <button type="submit" class="button" data-kind=${asked.tone} disabled=${!ready}>${asked.verb}</button>
      </div>
    </form>`}
  </dialog>`;
}
