// Journeys of operators in their view, on a system with analytics. The Rust test has dead-lettered one record of the log: an
// order of 5 units of `LAMP` in the sale `letters`, which has 3.

import { accessible, admin, as, assert, eventually, openSale, shot, test, until, visit } from './kit.js';

const CHAIR = { sku: 'CHAIR', name: 'Oak chair', price: 89000, total: 8 };
const LAMP = { sku: 'LAMP', name: 'Paper lamp', price: 32000, total: 40, max_quantity_per_order: 4 };
const TEA = { sku: 'TEA', name: 'Green tea', price: 9000, total: null };
const order = (sku, quantity = 1) => ({ items: [{ sku, quantity }] });
const buy = (sale, customer, body) => as(customer, 'POST', `sales/${sale}/orders`, body, 'k');
const refused = (sale, customer, body) =>
  buy(sale, customer, body).then(
    () => 'accepted',
    ({ code }) => code,
  );

/// Signs in, and opens the screen `place`.
async function enter(page, place = '') {
  await page.getByLabel('Operator token').fill('dev-admin');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('.gauges').waitFor();
  if (place) await go(page, place);
}
async function go(page, place) {
  await page.evaluate((hash) => {
    location.hash = hash;
  }, `#/${place}`);
}
/// Presses a button and confirms the dialog.
async function confirm(page, button, verb = button, typed = null) {
  await page.getByRole('button', { name: button }).first().click();
  const dialog = page.getByRole('dialog');
  if (typed) {
    assert.ok(await dialog.getByRole('button', { name: verb }).isDisabled(), 'closing a sale requires its id');
    await dialog.getByRole('textbox').fill(typed);
  }
  await dialog.getByRole('button', { name: verb }).click();
  await dialog.waitFor({ state: 'hidden' });
}
const cell = (page, sku, column) =>
  page
    .getByRole('row', { name: new RegExp(`^${sku}`) })
    .getByRole('cell')
    .nth(column);
const shows = (locator, text) =>
  eventually(`“${text}” is shown`, async () => (await locator.textContent()).trim() === text);
const alarm = (page, text) => page.locator('.alarm', { hasText: text });

test('a wrong token is refused, the right one is accepted, and signing out deletes it', async () => {
  const page = await visit('operator');
  await page.getByLabel('Operator token').fill('guess');
  await page.keyboard.press('Enter');
  await page.getByText('This token is not accepted.').waitFor();
  await accessible(page, 'the sign-in form');
  await shot(page, 'operator-sign-in');
  await enter(page);
  await page.reload();
  await page.locator('.gauges').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Operator token').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  // A token that is revoked leads back to the sign-in form.
  await enter(page);
  await page.route('**/admin/v1/overview', (route) =>
    route.fulfill({
      status: 401,
      contentType: 'application/problem+json',
      body: '{"code":"unauthenticated","title":"Please sign in."}',
    }),
  );
  await page.getByText('Your token is no longer accepted.').waitFor();
});

test('from a draft and the rush to the report', async () => {
  const page = await visit('operator');
  await enter(page, 'new');
  const id = `drop-${process.pid}`;
  const field = (name) => page.locator(`[name="${name}"]`);
  await field('sale_id').fill(id);
  await field('title').fill('Autumn living drop');
  await field('items[0].sku').fill('CHAIR');
  await field('items[0].name').fill('Oak chair');
  await field('items[0].price').fill('89,000');
  await field('items[0].total').fill('8');
  await field('items[0].max_quantity_per_order').fill('0');
  await page.getByRole('button', { name: 'Add an item' }).click();
  for (const [name, value] of [
    ['sku', 'TEA'],
    ['name', 'Green tea'],
    ['price', '9000'],
  ])
    await field(`items[1].${name}`).fill(value);
  const create = page.getByRole('button', { name: 'Create as draft' });
  await create.click();
  // The errors of the form and of the server appear at their fields.
  const focused = () => page.evaluate(() => document.activeElement.name);
  await eventually('the wrong price has the focus', async () => (await focused()) === 'items[0].price');
  await accessible(page, 'a form with an error');
  await field('items[0].price').fill('89000');
  await create.click();
  await eventually(
    'the server’s error is at its field',
    async () => (await focused()) === 'items[0].max_quantity_per_order',
  );
  assert.match(
    await page.locator('.field', { has: field('items[0].max_quantity_per_order') }).textContent(),
    /1 to 10000/,
  );
  await page.locator('.problem').getByText('invalid_sale').waitFor();
  await shot(page, 'operator-form');
  await field('items[0].max_quantity_per_order').fill('4');
  await create.click();

  await page.getByRole('heading', { name: 'Autumn living drop' }).waitFor();
  await page.locator('.sale-head .pill', { hasText: 'Draft' }).waitFor();
  await confirm(page, 'Open: Autumn living drop', 'Open');
  await page.locator('.sale-head .pill[data-tone=good]', { hasText: 'Open' }).waitFor();
  await eventually('it accepts orders', () =>
    as('anyone', 'GET', `sales/${id}`).then(({ ready, state }) => ready && state === 'open'),
  );
  for (let n = 0; n < 8; n += 1) await buy(id, `early-${n}`, order('CHAIR'));
  assert.equal(await refused(id, 'late', order('CHAIR')), 'sold_out');
  await buy(id, 'thirsty', order('TEA', 3));
  await shows(cell(page, 'CHAIR', 1), '0');
  await shows(cell(page, 'CHAIR', 2), '8');
  await shows(cell(page, 'CHAIR', 6), '0');
  await page.locator('.stock', { hasText: 'CHAIR' }).getByText('Sold out').waitFor();
  await accessible(page, 'a sale');
  await shot(page, 'operator-sale');

  await confirm(page, 'Pause: Autumn living drop', 'Pause');
  await page.locator('.sale-head .pill', { hasText: 'Paused' }).waitFor();
  await until(id, ({ state }) => state === 'paused'); // in force a moment after it is stored
  assert.equal(await refused(id, 'other', order('TEA')), 'sale_paused');
  await page.getByRole('button', { name: 'Resume' }).click();
  await until(id, ({ state }) => state === 'open');
  assert.equal(await refused(id, 'other', order('TEA')), 'accepted');
  await confirm(page, 'Rebuild: Autumn living drop', 'Rebuild');
  await shows(page.locator('[data-fact=epoch]'), '2');
  await eventually('it is ready again', () => as('anyone', 'GET', `sales/${id}`).then(({ ready }) => ready));
  await page.getByRole('link', { name: 'Inventory' }).click();
  await shows(cell(page, 'CHAIR', 3), '8');
  await shows(cell(page, 'CHAIR', 6), '0');
  await accessible(page, 'the inventory');
  await confirm(page, 'Close: Autumn living drop', 'Close', id);
  await page.locator('.sale-head .pill', { hasText: 'Closed' }).waitFor();
  assert.equal(await page.getByRole('button', { name: /^(Open|Resume|Pause|Close)/ }).count(), 0);

  await page.getByRole('link', { name: 'Report', exact: true }).click();
  await eventually('all is counted', async () => {
    await page.getByRole('button', { name: 'Refresh' }).click();
    return (await page.locator('[data-report=accepted] .value').textContent()) === '10';
  });
  await page.getByText('As a table').click();
  const seconds = await page.locator('.numbers tbody td').allTextContents();
  assert.equal(
    seconds.reduce((sum, n) => sum + Number(n), 0),
    10,
  );
  await accessible(page, 'the report');
  await shot(page, 'operator-report');

  await go(page, '');
  const card = page.locator(`[data-sale=${id}]`);
  await shows(card.locator('[data-fact=settled]'), '10');
  await page.locator('.refusals', { hasText: 'Sold out' }).waitFor();
});

test('an accepted order that the database refused raises an alarm, and is applied once there is stock', async () => {
  const page = await visit('operator', { dark: true });
  await enter(page);
  await alarm(page, 'The database refused orders that had already been accepted.').getByRole('link').click();
  const letter = page.locator('.letter', { hasText: 'guard_trip' });
  await letter.getByText('LAMP × 5').waitFor();
  await accessible(page, 'a dead letter');
  await shot(page, 'operator-letter-dark');
  await letter.getByRole('link', { name: 'letters' }).click();
  await page.getByRole('link', { name: 'Terms' }).click();
  await page.locator('[name="items[0].total"]').fill('9');
  await page.getByRole('button', { name: 'Save changes' }).click();
  await page.getByText('Saved.').waitFor();
  await page.getByRole('link', { name: 'Dead letters' }).click();
  await page.getByRole('button', { name: /^Replay:/ }).click();
  await page.getByRole('dialog').getByText('guard_trip').waitFor();
  await accessible(page, 'the confirmation of a replay');
  await page.getByRole('dialog').getByRole('button', { name: 'Replay' }).click();
  await page.getByText('The dead letter was replayed.').waitFor();
  await alarm(page, 'had already been accepted').waitFor({ state: 'detached' });
  assert.equal((await admin('GET', 'sales/letters/orders')).orders[0].customer_id, 'oversold');
});

test('an order is found, paid from a credited wallet, and its delivery status is set by hand', async () => {
  const sale = await openSale({ title: 'Paper lamps', items: [LAMP, TEA] });
  const page = await visit('operator');
  await enter(page, 'wallets');
  await page.getByLabel('Customer').fill('mina');
  await page.getByLabel('Amount').fill('100000');
  const keys = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/credit')) keys.push(request.headers()['idempotency-key']);
  });
  // The response is lost although the credit was made: the next press sends the same key, and nothing is credited twice.
  await page.route(
    '**/credit',
    async (route) => {
      await route.fetch();
      await route.abort();
    },
    { times: 1 },
  );
  await confirm(page, 'Credit');
  await page.getByText('No response.').waitFor();
  await confirm(page, 'Credit');
  await page.getByText('₩100,000 credited to mina. Balance: ₩100,000.').waitFor();
  assert.equal(new Set(keys).size, 1);
  await accessible(page, 'a wallet');

  const paid = await buy(sale, 'mina', {
    ...order('LAMP', 2),
    payment: { method: 'wallet' },
    shipping_address: { name: 'Mina', line1: '1 Main St', city: 'Seoul', postal_code: '04524', country: 'KR' },
  });
  for (let n = 0; n < 3; n += 1) await buy(sale, `other-${n}`, order('TEA'));
  await eventually('it is paid', () =>
    as('mina', 'GET', `sales/${sale}/orders/${paid.order_id}`).then(({ status }) => status === 'preparing'),
  );
  await go(page, `orders?sale=${sale}`);
  const rows = page.locator('table.orders tbody tr');
  await eventually('all are listed', async () => (await rows.count()) === 4);
  await accessible(page, 'the orders');
  await shot(page, 'operator-orders');
  await page.getByLabel('Customer').fill('mina');
  await page.getByLabel('Status').selectOption('Preparing');
  await page.getByRole('button', { name: 'Search' }).click();
  await eventually('only hers is listed', async () => (await rows.count()) === 1);
  await rows.getByRole('link').click();
  await page.locator('[data-status=preparing]').waitFor();
  await page.getByText('Captured').first().waitFor();
  await page.getByLabel('New delivery status').selectOption('Shipped');
  await confirm(page, 'Set status');
  await page.locator('[data-status=shipped]').waitFor();
  const history = await page.locator('.history strong').allTextContents();
  assert.deepEqual(history, ['Created', 'Payment requested', 'Paid', 'Preparing', 'Shipped']);
  await accessible(page, 'an order');
  await shot(page, 'operator-order');
  await go(page, 'orders');
  await page.getByLabel('Order ID').fill('12');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByText('Enter an order ID such as').waitFor();
  await page.getByLabel('Sale', { exact: true }).selectOption(sale);
  await page.getByLabel('Order ID').fill(paid.order_id);
  await page.getByRole('button', { name: 'Search' }).click();
  await page.locator('[data-status=shipped]').waitFor();
});

test('the connection is lost and restored, and a hidden page does not poll', async () => {
  const page = await visit('operator', { dark: true });
  await enter(page);
  await page.context().setOffline(true);
  await alarm(page, 'No connection to the gateway. Values shown are from').waitFor();
  await page.locator('.frame[data-stale]').waitFor();
  await accessible(page, 'no connection');
  await shot(page, 'operator-lost-dark');
  await page.context().setOffline(false);
  await alarm(page, 'No connection').waitFor({ state: 'detached' });

  let polls = 0;
  page.on('request', (request) => {
    polls += request.url().endsWith('/overview') ? 1 : 0;
  });
  const hide = (hidden) =>
    page.evaluate((is) => {
      Object.defineProperty(document, 'hidden', { value: is, configurable: true });
      document.dispatchEvent(new Event('visibilitychange'));
    }, hidden);
  await hide(true);
  const before = polls;
  await page.waitForTimeout(2500);
  assert.ok(polls - before <= 1, `${polls - before} polls while hidden`); // one may have been in flight
  await hide(false);
  await eventually('it polls again', async () => polls > before + 1);
});

test('all alarms are shown, the most severe first', async () => {
  const sale = await openSale({ title: 'Chairs', items: [CHAIR] });
  const page = await visit('operator');
  const corrupt = (snapshot) => {
    const shown = snapshot.sales.find((one) => one.sale_id === sale);
    Object.assign(shown.items[0], { sold: 12, drift: 3 });
    Object.assign(
      snapshot.dependencies.find(({ name }) => name === 'redis'),
      { up: false, why: 'not connected' },
    );
    Object.assign(
      snapshot.dependencies.find(({ name }) => name === 'postgres'),
      { up: false, why: 'no connection' },
    );
    snapshot.log.find(({ partition }) => partition === shown.partition).lag_seconds = 42;
    shown.lag_records = 0;
  };
  await page.route('**/admin/v1/overview', async (route) => {
    const answer = await route.fetch();
    const snapshot = await answer.json();
    corrupt(snapshot);
    await route.fulfill({ response: answer, json: snapshot });
  });
  await enter(page);
  for (const [tone, text] of [
    ['bad', 'Chairs, CHAIR: oversold by 4 units'],
    ['bad', 'Redis is down: orders are not accepted'],
    ['warn', 'Postgres is down; sales continue'],
    ['warn', 'is 42 s behind'],
  ]) {
    await page.locator(`.alarm[data-tone=${tone}]`, { hasText: text }).waitFor();
  }
  const tones = await page.locator('.alarm').evaluateAll((all) => all.map((one) => one.dataset.tone));
  assert.deepEqual(tones, [...tones].sort(), 'bad before warn');
  await accessible(page, 'the overview with alarms');
  await shot(page, 'operator-alarms');
  await page.unrouteAll({ behavior: 'ignoreErrors' });
});

test('on a phone, in Korean, with the keyboard, and no text is missing in either language', async () => {
  const page = await visit('operator', { phone: true, language: 'ko', dark: true });
  const missing = await page.evaluate(async () => {
    const base = document.querySelector('script[src]').src.replace('app.js', 'texts/');
    const [en, ko] = await Promise.all(['en', 'ko'].map(async (one) => (await import(`${base}${one}.js`)).default));
    const names = (text) => [...(text ?? '').matchAll(/\{\w+\}/g)].map(String).sort().join();
    return [...new Set([...Object.keys(en), ...Object.keys(ko)])].filter(
      (key) => !en[key] || !ko[key] || names(en[key]) !== names(ko[key]),
    );
  });
  assert.deepEqual(missing, []);
  await page.getByLabel('운영자 토큰').focus();
  await page.keyboard.type('dev-admin');
  await page.keyboard.press('Enter');
  await page.locator('.gauges').waitFor();
  for (const place of [
    '',
    'sales/letters',
    'sales/letters/terms',
    'sales/letters/inventory',
    'sales/letters/report',
    'orders',
    'letters',
    'wallets',
    'new',
  ]) {
    await go(page, place);
    await page.locator('main h1').waitFor();
    await eventually(`${place} is loaded`, async () => (await page.locator('.waiting').count()) === 0);
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${place} is ${wide} px too wide`);
    assert.doesNotMatch(
      await page.locator('body').textContent(),
      /\b(?:gauge|fact|stock|term|order|status|report|letter|alarm|form|do|tab)\.[a-z_]+/,
      place,
    );
  }
  await go(page, '');
  await page.getByRole('heading', { name: '현황' }).waitFor();
  await shot(page, 'operator-phone-ko-dark');
  await accessible(page, 'the overview on a phone');
  // The first tab stop skips to the content.
  await page.keyboard.press('Tab');
  await page.evaluate(() => document.querySelector('.skip').focus());
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1');
});
