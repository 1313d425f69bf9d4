// Confirmation of critical actions, in the browser's own dialog, which traps the focus and restores it. `confirmed(...)`
// resolves to whether the operator confirms.

import { t } from '../i18n.js';
import { html, useEffect, useRef, useState } from '../ui.js';

let open = null;

/// `typed`: a text that the operator must type first, for actions that cannot be undone.
export function confirmed({ title, text, verb, tone = 'danger', typed = null, children = null }) {
  return new Promise((resolve) => open({ title, text, verb, tone, typed, children, resolve }));
}

/// The dialog, which is part of the frame.
export function Confirmation() {
  const [question, setQuestion] = useState(null);
  const [text, setText] = useState('');
  const dialog = useRef(null);
  open = (next) => {
    setText('');
    setQuestion(next);
  };
  useEffect(() => {
    if (question && !dialog.current.open) dialog.current.showModal();
  }, [question]);
  const close = (isConfirmed) => {
    question?.resolve(isConfirmed);
    dialog.current.close();
    setQuestion(null);
  };
  const ready = !question?.typed || text === question.typed;
  return html`<dialog class="confirm" ref=${dialog} aria-labelledby="confirm-title" aria-describedby="confirm-text"
      onCancel=${(event) => {
        event.preventDefault();
        close(false);
      }}>
    ${
      question &&
      html`<form onSubmit=${(event) => {
        event.preventDefault();
        if (ready) close(true);
      }}>
      <h2 id="confirm-title">${question.title}</h2>
      <p id="confirm-text">${question.text}</p>
      ${question.children}
      ${
        question.typed &&
        html`<label class="field wide"><span>${t('confirm.type', { text: question.typed })}</span>
        <input value=${text} onInput=${(event) => setText(event.target.value)} autocomplete="off" spellcheck=${false} /></label>`
      }
      <div class="actions">
        <button type="button" class="button" onClick=${() => close(false)}>${t('cancel')}</button>
        <button type="submit" class="button" data-kind=${question.tone} disabled=${!ready}>${question.verb}</button>
      </div>
    </form>`
    }
  </dialog>`;
}
