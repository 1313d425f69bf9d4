// The frame: sign-in, navigation, alarms, and the current screen.

import { signOut, token } from './api.js';
import { clock, language, languages, setLanguage, t } from './i18n.js';
import { pollNow, start, stop, useOverview } from './poller.js';
import { Alarms } from './parts/alarms.js';
import { Confirmation } from './parts/confirm.js';
import { SignIn } from './screens/sign-in.js';
import { Letters } from './screens/letters.js';
import { Order } from './screens/order.js';
import { Orders } from './screens/orders.js';
import { Overview } from './screens/overview.js';
import { NewSale, Sale } from './screens/sale.js';
import { Wallets } from './screens/wallets.js';
import { Button, html, render, useEffect, useRef, useState } from './ui.js';

const THEME = 'operator-theme';
const THEMES = ['auto', 'light', 'dark'];

/// Parses the address after `#/` into decoded parts and parameters.
function currentRoute() {
  const [route, parameters = ''] = location.hash.replace(/^#\/?/, '').split('?');
  const decoded = (part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  };
  return { parts: route.split('/').filter(Boolean).map(decoded), parameters: new URLSearchParams(parameters) };
}

function screenFor({ parts, parameters }) {
  const [first, second, third] = parts;
  switch (first) {
    case undefined:
      return html`<${Overview} />`;
    case 'new':
      return html`<${NewSale} />`;
    case 'sales':
      return html`<${Sale} key=${second} sale=${second} tab=${third ?? 'live'} />`;
    case 'orders':
      return third
        ? html`<${Order} key=${third} sale=${second} order=${third} />`
        : html`<${Orders} key=${parameters} parameters=${parameters} />`;
    case 'letters':
      return html`<${Letters} />`;
    case 'wallets':
      return html`<${Wallets} />`;
    default:
      return html`<${Overview} />`;
  }
}

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem(THEME, theme);
}

function Choice({ label, value, all, name, onChoose }) {
  return html`<label class="choice"><span class="visually-hidden">${label}</span>
    <select value=${value} onChange=${(event) => onChoose(event.target.value)}>
      ${all.map((one) => html`<option value=${one} selected=${one === value}>${name(one)}</option>`)}
    </select></label>`;
}

/// Shows whether snapshots arrive.
function ConnectionStatus() {
  const { snapshot, disconnectedAt } = useOverview();
  const tone = disconnectedAt ? 'bad' : snapshot ? 'good' : 'quiet';
  const text = disconnectedAt
    ? t('pulse.lost')
    : snapshot
      ? t('pulse.live', { time: clock(snapshot.time) })
      : t('pulse.waiting');
  return html`<p class="pulse" data-tone=${tone}><span class="dot" aria-hidden="true"></span><span>${text}</span></p>`;
}

function Frame({ route, onLanguage, onSignOut }) {
  const { snapshot, disconnectedAt } = useOverview();
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
  const section = route.parts[0] ?? '';
  const entry = (
    to,
    text,
    badge,
  ) => html`<li><a href="#/${to}" aria-current=${section === to || (to === '' && ['sales', 'new'].includes(section)) ? 'page' : undefined}>
    ${text}${badge > 0 && html` <span class="badge">${badge}</span>`}</a></li>`;
  const choose = (next) => {
    applyTheme(next);
    setTheme(next);
  };
  return html`<div class="frame" data-stale=${disconnectedAt ? 'true' : undefined}>
    <a class="skip" href="#title" onClick=${(event) => {
      event.preventDefault();
      main.current.querySelector('#title')?.focus();
    }}>${t('skip')}</a>
    <header class="top">
      <p class="brand"><span class="mark" aria-hidden="true"></span>${t('product')}</p>
      <${ConnectionStatus} />
      <p class="gateway">${snapshot?.gateway.id}</p>
      <div class="settings">
        <${Choice} label=${t('language')} value=${language()} all=${languages} name=${(one) => t(`language.${one}`)} onChoose=${onLanguage} />
        <${Choice} label=${t('theme')} value=${theme} all=${THEMES} name=${(one) => t(`theme.${one}`)} onChoose=${choose} />
        <${Button} kind="quiet" onPress=${onSignOut}>${t('sign_out')}<//>
      </div>
    </header>
    <nav class="places" aria-label=${t('places')}><ul>
      ${entry('', t('place.overview'))}
      ${entry('orders', t('place.orders'))}
      ${entry('letters', t('place.letters'), snapshot?.dead_letters ?? 0)}
      ${entry('wallets', t('place.wallets'))}
    </ul></nav>
    <div class="content">
      <${Alarms} onRetry=${pollNow} />
      <main ref=${main}>${screenFor(route)}</main>
    </div>
    <${Confirmation} />
  </div>`;
}

function App() {
  const [signedIn, setSignedIn] = useState(Boolean(token()));
  const [sessionEnded, setSessionEnded] = useState(false);
  const [route, setRoute] = useState(currentRoute());
  const [currentLanguage, setCurrentLanguage] = useState(language());
  useEffect(() => {
    const onRouteChange = () => setRoute(currentRoute());
    // A refused call with an older token says nothing about the present one.
    const onUnauthenticated = (event) => {
      if (!token() || event.detail !== token()) return;
      signOut();
      stop();
      setSessionEnded(true);
      setSignedIn(false);
    };
    window.addEventListener('hashchange', onRouteChange);
    window.addEventListener('unauthenticated', onUnauthenticated);
    return () => {
      window.removeEventListener('hashchange', onRouteChange);
      window.removeEventListener('unauthenticated', onUnauthenticated);
    };
  }, []);
  useEffect(() => {
    if (signedIn) start();
  }, [signedIn]);
  const onLanguage = (next) => {
    setLanguage(next);
    setCurrentLanguage(next);
    pollNow();
  };
  const onSignOut = () => {
    signOut();
    stop();
    setSessionEnded(false);
    setSignedIn(false);
  };
  if (!signedIn) {
    return html`<${SignIn} ended=${sessionEnded} key=${currentLanguage} onLanguage=${onLanguage}
      onSignedIn=${() => {
        setSessionEnded(false);
        setSignedIn(true);
      }} />`;
  }
  return html`<${Frame} key=${currentLanguage} route=${route} onLanguage=${onLanguage} onSignOut=${onSignOut} />`;
}

const theme = localStorage.getItem(THEME);
applyTheme(THEMES.includes(theme) ? theme : 'auto');
render(html`<${App} />`, document.getElementById('app'));
