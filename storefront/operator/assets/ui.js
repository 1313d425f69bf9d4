// The basis of all screens: templates without a build step, hooks, and shared components.

import { Fragment, cloneElement, createContext, h, render } from './vendor/preact.js';
import { useCallback, useContext, useEffect, useId, useMemo, useRef, useState } from './vendor/hooks.js';
import htm from './vendor/htm.js';
import { t } from './i18n.js';

export const html = htm.bind(h);
export {
  Fragment,
  cloneElement,
  createContext,
  render,
  useCallback,
  useContext,
  useEffect,
  useId,
  useMemo,
  useRef,
  useState,
};

/// A state as a text and a colour, never as a colour alone.
export function Pill({ tone = 'quiet', children }) {
  return html`<span class="pill" data-tone=${tone}>${children}</span>`;
}

/// A button that cannot be pressed again while its action is running.
export function Button({ onPress, kind = 'plain', busy = false, disabled = false, children, ...rest }) {
  const [pressed, setPressed] = useState(false);
  const mounted = useRef(true);
  useEffect(
    () => () => {
      mounted.current = false;
    },
    [],
  );
  const press = async (event) => {
    if (pressed || busy || disabled) return;
    setPressed(true);
    try {
      await onPress(event);
    } finally {
      if (mounted.current) setPressed(false);
    }
  };
  // `disabled` would take the focus away while the button is busy.
  return html`<button type="button" class="button" data-kind=${kind} disabled=${disabled}
    aria-busy=${pressed || busy ? 'true' : undefined} onClick=${press} ...${rest}>${children}</button>`;
}

/// A refusal, with the text from the server.
export function Problem({ error, id }) {
  if (!error) return null;
  const detail = error.detail && error.detail !== error.message ? error.detail : '';
  return html`<div class="problem" role="alert" id=${id}>
    <strong>${error.message}</strong>${detail && html` <span>${detail}</span>`}
    ${error.code && html` <code>${error.code}</code>`}
  </div>`;
}

/// A labelled control. `children`: the control, which refers to its hint and its error by id.
export function Field({ label, hint, error, children, wide = false }) {
  const id = useId();
  const [hintId, errorId] = [`${id}-hint`, `${id}-error`];
  const described = [hint && hintId, error && errorId].filter(Boolean).join(' ') || undefined;
  const control = cloneElement(children, {
    id,
    'aria-describedby': described,
    'aria-invalid': error ? 'true' : undefined,
  });
  return html`<div class=${wide ? 'field wide' : 'field'}>
    <label for=${id}>${label}</label>
    ${control}
    ${hint && html`<p class="hint" id=${hintId}>${hint}</p>`}
    ${error && html`<p class="error" id=${errorId}>${error}</p>`}
  </div>`;
}

/// A placeholder while data is loading.
export function Waiting() {
  return html`<p class="waiting" role="status">${t('waiting')}</p>`;
}

/// Fetches once, and again when `dependencies` change or `reload()` is called. Outdated responses are ignored.
export function useFetch(fetchData, dependencies) {
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    let current = true;
    setState((before) => ({ ...before, loading: true }));
    fetchData().then(
      (data) => current && setState({ data, error: null, loading: false }),
      (error) => current && setState((before) => ({ ...before, error, loading: false })),
    );
    return () => {
      current = false;
    };
  }, [...dependencies, round]);
  return { ...state, reload: () => setRound((n) => n + 1) };
}

/// The heading of a screen, which receives the focus when the screen appears, so that screen readers announce it.
export function Title({ children }) {
  const ref = useRef(null);
  useEffect(() => {
    document.title = `${ref.current.textContent} · ${t('product')}`;
  });
  return html`<h1 tabindex="-1" id="title" ref=${ref}>${children}</h1>`;
}
