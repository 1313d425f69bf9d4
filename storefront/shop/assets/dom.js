// Elements without a framework. They are created once by `h` and changed in place, so that the focus, the selection and the
// position of a screen reader are kept.

const SVG = 'http://www.w3.org/2000/svg';

/// Creates an element. Properties: `class`, `on` (listeners), `data`, anything else is an attribute; null and false are omitted.
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/// Creates an SVG element.
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === 'data') {
      Object.assign(element.dataset, value);
    } else {
      element.setAttribute(name, value === true ? '' : String(value));
    }
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/// Sets an element's text if it differs, because live regions announce every change.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
  return element;
}

/// Sets or removes an attribute if it differs.
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else {
    const text = value === true ? '' : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
  return element;
}

/// Shows or hides an element.
export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
  return element;
}

/// Announces a text to screen readers without moving the focus.
export function announce(text) {
  const live = document.getElementById('live');
  live.textContent = '';
  // Some screen readers do not notice a text that is set in the same frame in which it was cleared.
  requestAnimationFrame(() => {
    live.textContent = text;
  });
}

/// Resolves after `ms` milliseconds, or earlier when `early` goes online; rejects when the signal is aborted.
export function pause(ms, signal, early) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const done = () => {
      end();
      resolve();
    };
    const stop = () => {
      end();
      reject(signal.reason);
    };
    const timer = setTimeout(done, ms);
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
      early?.removeEventListener('online', done);
    };
    signal?.addEventListener('abort', stop);
    early?.addEventListener('online', done);
  });
}

/// Puts these elements into the parent, in this order. The focus stays where it is: an element that is moved would lose it.
export function arrangeChildren(parent, elements) {
  const inOrder = elements.length === parent.children.length && elements.every((e, i) => parent.children[i] === e);
  if (inOrder) return;
  const focused = document.activeElement;
  parent.replaceChildren(...elements);
  if (parent.contains(focused)) focused.focus({ preventScroll: true });
}
