// Components that several views share.

import * as clock from './clock.js';
import { h, setAttribute, setText, show, svg } from './dom.js';
import { count, t } from './i18n.js';
import { isSoldOut, phase } from './sale.js';

const ICONS = {
  bolt: 'M11.6 2 4.5 11.4h4.6l-1 6.6 7.4-9.7h-4.7z',
  check: 'm4.5 10.5 3.7 3.7 7.3-8',
  clock: 'M10 5.5V10l3 2M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4z',
  pause: 'M7 5v10M13 5v10',
  cross: 'M5.5 5.5l9 9m0-9-9 9',
  spin: 'M10 3a7 7 0 1 1-6.6 4.7',
  truck:
    'M2.5 6h8.5v7.5h-8.5zM11 8.5h3.2l2.8 2.6v2.4h-6M6 15.5a1.4 1.4 0 1 0 0-2.8 1.4 1.4 0 0 0 0 2.8zm7.6 0a1.4 1.4 0 1 0 0-2.8 1.4 1.4 0 0 0 0 2.8z',
  left: 'M12 4.5 6.5 10l5.5 5.5',
  minus: 'M5 10h10',
  plus: 'M5 10h10M10 5v10',
};

/// Returns an icon next to a text, which is decoration only.
export function icon(name) {
  const drawn = svg('path', {
    d: ICONS[name],
    fill: name === 'bolt' ? 'currentColor' : 'none',
    stroke: 'currentColor',
    'stroke-width': name === 'bolt' ? 0 : 1.8,
    'stroke-linecap': 'round',
    'stroke-linejoin': 'round',
  });
  return svg(
    'svg',
    { viewBox: '0 0 20 20', class: `icon icon-${name}`, 'aria-hidden': 'true', focusable: 'false' },
    drawn,
  );
}

const PILL_ICONS = {
  upcoming: 'clock',
  open: 'bolt',
  soldout: 'cross',
  paused: 'pause',
  closed: 'cross',
  rebuilding: 'spin',
};

/// A coloured label with the phase of a sale. Call `update(phase)`.
export function pill() {
  const element = h('span', { class: 'pill' });
  let shown;
  return {
    element,
    update(now) {
      if (now === shown) return;
      shown = now;
      element.dataset.phase = now;
      element.replaceChildren(icon(PILL_ICONS[now]), t(now));
    },
  };
}

/// A countdown to a time of the server, in large figures. Call `tick(time)`.
export function countdown() {
  const cells = ['days', 'hours', 'minutes', 'seconds'].map((unit) => {
    const figure = h('b', {}, '00');
    return { unit, figure, cell: h('span', { class: 'cell' }, figure, h('i', {}, t(unit))) };
  });
  // Figures that change every second are not announced; views announce the remaining time in words.
  const element = h(
    'div',
    { class: 'countdown', role: 'timer', 'aria-live': 'off' },
    cells.map(({ cell }) => cell),
  );
  return {
    element,
    tick(time) {
      const seconds = Math.max(0, Math.ceil((clock.until(time) ?? 0) / 1000));
      const values = [
        Math.floor(seconds / 86400),
        Math.floor(seconds / 3600) % 24,
        Math.floor(seconds / 60) % 60,
        seconds % 60,
      ];
      cells.forEach(({ figure, cell, unit }, index) => {
        setText(figure, String(values[index]).padStart(2, '0'));
        if (unit === 'days') show(cell, values[0] > 0);
      });
      setAttribute(element, 'data-close', seconds <= 10);
    },
  };
}

/// Formats a remaining time as 1:02:03.
export function clockFace(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, '0'))).join(':');
}

/// The remaining units of an item, as a bar and in words. Call `update(item)`.
export function stock() {
  const bar = h('span', { class: 'fuse-rest' });
  const label = h('span', { class: 'stock-words' });
  const element = h('div', { class: 'stock' }, h('span', { class: 'fuse', 'aria-hidden': 'true' }, bar), label);
  return {
    element,
    update(item) {
      const share = item.total ? Math.max(0, Math.min(1, item.remaining / item.total)) : 1;
      bar.style.setProperty('--share', share.toFixed(4));
      element.dataset.level = item.total === null ? 'endless' : share === 0 ? 'gone' : share <= 0.2 ? 'low' : 'well';
      setText(
        label,
        item.total === null
          ? t('plenty')
          : isSoldOut(item)
            ? t('gone')
            : share <= 0.2
              ? t('lastOnes', { count: count(item.remaining) })
              : t('leftOf', { count: count(item.remaining), total: count(item.total) }),
      );
    },
  };
}

/// A quantity between 0 and the maximum. Call `update({ value, most, disabled })`.
export function stepper(name, onChange) {
  let now = { value: 0, most: 0, disabled: false };
  const step = (by) => () => {
    const value = Math.max(0, Math.min(now.most, now.value + by));
    if (value !== now.value) onChange(value);
  };
  const less = h(
    'button',
    { type: 'button', class: 'step', 'aria-label': t('less', { name }), on: { click: step(-1) } },
    icon('minus'),
  );
  const more = h(
    'button',
    { type: 'button', class: 'step', 'aria-label': t('moreOf', { name }), on: { click: step(1) } },
    icon('plus'),
  );
  const value = h('output', { class: 'step-value', 'aria-live': 'polite' }, '0');
  const element = h(
    'div',
    { class: 'stepper', role: 'group', 'aria-label': t('quantity', { name }) },
    less,
    value,
    more,
  );
  return {
    element,
    update(next) {
      now = next;
      setText(value, String(next.value));
      // `disabled` would lose the focus at the last step.
      setAttribute(less, 'aria-disabled', String(next.disabled || next.value <= 0));
      setAttribute(more, 'aria-disabled', String(next.disabled || next.value >= next.most));
      setAttribute(element, 'data-chosen', next.value > 0);
    },
  };
}

/// Shows a confirmation dialog. Resolves to whether the customer confirms.
export function confirmDialog({ title, text, yes, no }) {
  return new Promise((resolve) => {
    const dialog = h(
      'dialog',
      { class: 'dialog', 'aria-labelledby': 'confirm-title', 'aria-describedby': 'confirm-text' },
      h('h2', { id: 'confirm-title' }, title),
      h('p', { id: 'confirm-text' }, text),
      h(
        'div',
        { class: 'row end' },
        h('button', { type: 'button', class: 'button quiet', on: { click: () => dialog.close('no') } }, no),
        h('button', { type: 'button', class: 'button danger', on: { click: () => dialog.close('yes') } }, yes),
      ),
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/// A placeholder for an empty list.
export function empty(title, hint, ...more) {
  return h(
    'div',
    { class: 'empty' },
    icon('bolt'),
    h('p', { class: 'empty-title' }, title),
    hint ? h('p', {}, hint) : null,
    more,
  );
}

/// A link in the style of a button.
export const linkButton = (href, text, kind = '') => h('a', { href, class: `button ${kind}` }, text);

/// Calls `tick` now and four times per second until the signal, for countdowns.
export function everyTick(tick, signal) {
  tick();
  const timer = setInterval(tick, 250);
  signal.addEventListener('abort', () => clearInterval(timer));
}

/// Returns the text under a sale's title: when it opens or ends.
export function windowText(sale, moment) {
  const now = phase(sale);
  if (now === 'upcoming') return t('opensAt', { time: moment(sale.opens_at) });
  if (now === 'closed') return sale.closes_at ? t('closedAt', { time: moment(sale.closes_at) }) : t('closed');
  if (sale.closes_at) return `${t('closesIn')} ${clockFace(clock.until(sale.closes_at))}`;
  return now === 'open' ? t('noEnd') : '';
}
