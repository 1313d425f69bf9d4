// Elements without a framework: made once by `h`, changed where something changed, so that focus, selection and what
// a screen reader has read stay where they are.

const SVG = 'http://www.w3.org/2000/svg';

/// An element. Properties: `class`, `on` (listeners), `data`, anything else an attribute; null and false are left out.
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/// The same for drawings.
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

/// Sets an element's text, unless it has it already: live regions speak only of what is new.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
  return element;
}

/// Sets or removes an attribute, unless it is so already.
export function mark(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else {
    const text = value === true ? '' : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
  return element;
}

/// Shows or hides.
export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
  return element;
}

/// Tells a screen reader, without moving anything.
export function announce(text) {
  const live = document.getElementById('live');
  live.textContent = '';
  // A text that is set in the same turn as it is emptied is no change to some readers.
  requestAnimationFrame(() => { live.textContent = text; });
}

/// Resolves after so many milliseconds, or rejects when the signal says so; `early` may end it sooner.
export function pause(ms, signal, early) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const done = () => { end(); resolve(); };
    const stop = () => { end(); reject(signal.reason); };
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
