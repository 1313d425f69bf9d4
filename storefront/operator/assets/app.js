// The frame: who is signed in, where one is, what is wrong, and the screen.

import { signOut, token } from './api.js';
import { clock, language, languages, speak, t } from './i18n.js';
import { lookNow, start, stop, useLive } from './live.js';
import { Alarms } from './parts/alarms.js';
import { Confirmation } from './parts/confirm.js';
import { SignIn } from './screens/signin.js';
import { Letters } from './screens/letters.js';
import { Order } from './screens/order.js';
import { Orders } from './screens/orders.js';
import { Overview } from './screens/overview.js';
import { NewSale, Sale } from './screens/sale.js';
import { Wallets } from './screens/wallets.js';
import { Button, html, render, useEffect, useRef, useState } from './ui.js';

const THEME = 'operator-theme';
const THEMES = ['auto', 'light', 'dark'];

/// Where one is: the parts of the address behind `#/`, decoded, and its parameters.
function here() {
  const [place, parameters = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const decoded = (part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  };
  return { parts: place.split('/').filter(Boolean).map(decoded), parameters: new URLSearchParams(parameters) };
}

function screenOf({ parts, parameters }) {
  const [first, second, third] = parts;
  switch (first) {
    case undefined: return html`<${Overview} />`;
    case 'new': return html`<${NewSale} />`;
    case 'sales': return html`<${Sale} key=${second} sale=${second} tab=${third ?? 'live'} />`;
    case 'orders': return third
      ? html`<${Order} key=${third} sale=${second} order=${third} />`
      : html`<${Orders} key=${parameters} parameters=${parameters} />`;
    case 'letters': return html`<${Letters} />`;
    case 'wallets': return html`<${Wallets} />`;
    default: return html`<${Overview} />`;
  }
}

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem(THEME, theme);
}

function Choice({ label, value, all, name, onChoose }) {
  return html`<label class="choice"><span class="visually-hidden">${label}</span>
    <select value=${value} onChange=${(event) => onChoose(event.target.value)}>
      ${all.map((one) => html`<option value=${one} selected=${one === value}>${name(one)}</option>`)}
    </select></label>`;
}

/// Whether numbers come in, in a word and a dot.
function Pulse() {
  const { look, lost } = useLive();
  const tone = lost ? 'bad' : look ? 'good' : 'quiet';
  const text = lost ? t('pulse.lost') : look ? t('pulse.live', { time: clock(look.time) }) : t('pulse.waiting');
  return html`<p class="pulse" data-tone=${tone}><span class="dot" aria-hidden="true"></span><span>${text}</span></p>`;
}

function Frame({ place, onLanguage, onSignOut }) {
  const { look, lost } = useLive();
  const [theme, setTheme] = useState(document.documentElement.dataset.theme);
  const main = useRef(null);
  const screen = location.hash;
  const first = useRef(true);
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    main.current.querySelector('#title')?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [screen]);
  const at = place.parts[0] ?? '';
  const entry = (to, text, badge) => html`<li><a href="#/${to}" aria-current=${at === to || (to === '' && ['sales', 'new'].includes(at)) ? 'page' : undefined}>
    ${text}${badge > 0 && html` <span class="badge">${badge}</span>`}</a></li>`;
  const choose = (next) => { paint(next); setTheme(next); };
  return html`<div class="frame" data-stale=${lost ? 'true' : undefined}>
    <a class="skip" href="#title" onClick=${(event) => { event.preventDefault(); main.current.querySelector('#title')?.focus(); }}>${t('skip')}</a>
    <header class="top">
      <p class="brand"><span class="mark" aria-hidden="true"></span>${t('product')}</p>
      <${Pulse} />
      <p class="gateway">${look?.gateway.id}</p>
      <div class="settings">
        <${Choice} label=${t('language')} value=${language()} all=${languages} name=${(one) => t(`language.${one}`)} onChoose=${onLanguage} />
        <${Choice} label=${t('theme')} value=${theme} all=${THEMES} name=${(one) => t(`theme.${one}`)} onChoose=${choose} />
        <${Button} kind="quiet" onPress=${onSignOut}>${t('sign_out')}<//>
      </div>
    </header>
    <nav class="places" aria-label=${t('places')}><ul>
      ${entry('', t('place.overview'))}
      ${entry('orders', t('place.orders'))}
      ${entry('letters', t('place.letters'), look?.dead_letters ?? 0)}
      ${entry('wallets', t('place.wallets'))}
    </ul></nav>
    <div class="content">
      <${Alarms} onRetry=${lookNow} />
      <main ref=${main}>${screenOf(place)}</main>
    </div>
    <${Confirmation} />
  </div>`;
}

function App() {
  const [signedIn, setSignedIn] = useState(Boolean(token()));
  const [refused, setRefused] = useState(false);
  const [place, setPlace] = useState(here());
  const [spoken, setSpoken] = useState(language());
  useEffect(() => {
    const moved = () => setPlace(here());
    // A call that an older token was sent with says nothing about the present one.
    const turnedAway = (event) => {
      if (!token() || event.detail !== token()) return;
      signOut();
      stop();
      setRefused(true);
      setSignedIn(false);
    };
    window.addEventListener('hashchange', moved);
    window.addEventListener('refused', turnedAway);
    return () => {
      window.removeEventListener('hashchange', moved);
      window.removeEventListener('refused', turnedAway);
    };
  }, []);
  useEffect(() => {
    if (signedIn) start();
  }, [signedIn]);
  const onLanguage = (next) => { speak(next); setSpoken(next); lookNow(); };
  const onSignOut = () => { signOut(); stop(); setRefused(false); setSignedIn(false); };
  if (!signedIn) {
    return html`<${SignIn} refused=${refused} key=${spoken} onLanguage=${onLanguage}
      onSignedIn=${() => { setRefused(false); setSignedIn(true); }} />`;
  }
  return html`<${Frame} key=${spoken} place=${place} onLanguage=${onLanguage} onSignOut=${onSignOut} />`;
}

const theme = localStorage.getItem(THEME);
paint(THEMES.includes(theme) ? theme : 'auto');
render(html`<${App} />`, document.getElementById('app'));
