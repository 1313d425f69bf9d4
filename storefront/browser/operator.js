// What operators do in their view, on a system with analytics. The Rust test has put one record of the log aside:
// an order of 5 units of `LAMP` in the sale `letters`, which has 3.

import { accessible, admin, as, assert, eventually, openSale, shot, test, until, visit } from './kit.js';

const CHAIR = { sku: 'CHAIR', name: 'Oak chair', price: 89000, total: 8 };
const LAMP = { sku: 'LAMP', name: 'Paper lamp', price: 32000, total: 40, max_quantity_per_order: 4 };
const TEA = { sku: 'TEA', name: 'Green tea', price: 9000, total: null };
const order = (sku, quantity = 1) => ({ items: [{ sku, quantity }] });
const buy = (sale, customer, body) => as(customer, 'POST', `sales/${sale}/orders`, body, 'k');
const refused = (sale, customer, body) => buy(sale, customer, body).then(() => 'taken', ({ code }) => code);

/// Signs in. `place`: where to.
async function enter(page, place = '') {
  await page.getByLabel('Operator token').fill('dev-admin');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('.gauges').waitFor();
  if (place) await go(page, place);
}
async function go(page, place) {
  await page.evaluate((hash) => { location.hash = hash; }, `#/${place}`);
}
/// Presses a button, and agrees with what the dialog says.
async function agree(page, button, verb = button, typed = null) {
  await page.getByRole('button', { name: button }).first().click();
  const dialog = page.getByRole('dialog');
  if (typed) {
    assert.ok(await dialog.getByRole('button', { name: verb }).isDisabled(), 'a closed sale is closed for good');
    await dialog.getByRole('textbox').fill(typed);
  }
  await dialog.getByRole('button', { name: verb }).click();
  await dialog.waitFor({ state: 'hidden' });
}
const cell = (page, sku, column) => page.getByRole('row', { name: new RegExp(`^${sku}`) }).getByRole('cell').nth(column);
const reads = (locator, text) => eventually(`“${text}” is read`, async () => (await locator.textContent()).trim() === text);
const alarm = (page, text) => page.locator('.alarm', { hasText: text });

test('a wrong token opens nothing, a right one does, and leaving forgets it', async () => {
  const page = await visit('operator');
  await page.getByLabel('Operator token').fill('guess');
  await page.keyboard.press('Enter');
  await page.getByText('This token is not accepted.').waitFor();
  await accessible(page, 'the door');
  await shot(page, 'operator-door');
  await enter(page);
  await page.reload();
  await page.locator('.gauges').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Operator token').waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  // A token that is taken away meanwhile leads back to the door.
  await enter(page);
  await page.route('**/admin/v1/overview', (route) => route.fulfill({ status: 401, contentType: 'application/problem+json', body: '{"code":"unauthenticated","title":"Please sign in."}' }));
  await page.getByText('The token is no longer accepted.').waitFor();
});

test('from a draft over the rush to the report', async () => {
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
  for (const [name, value] of [['sku', 'TEA'], ['name', 'Green tea'], ['price', '9000']]) await field(`items[1].${name}`).fill(value);
  const create = page.getByRole('button', { name: 'Create as draft' });
  await create.click();
  // What the form can see stands at its field; what only the server knows stands there, too, in its own words.
  const focused = () => page.evaluate(() => document.activeElement.name);
  await eventually('the wrong price has the focus', async () => (await focused()) === 'items[0].price');
  await accessible(page, 'a form with an error');
  await field('items[0].price').fill('89000');
  await create.click();
  await eventually('the server’s word is at its field', async () => (await focused()) === 'items[0].max_quantity_per_order');
  assert.match(await page.locator('.field', { has: field('items[0].max_quantity_per_order') }).textContent(), /1 to 10000/);
  await page.locator('.problem').getByText('invalid_sale').waitFor();
  await shot(page, 'operator-form');
  await field('items[0].max_quantity_per_order').fill('4');
  await create.click();

  await page.getByRole('heading', { name: 'Autumn living drop' }).waitFor();
  await page.locator('.sale-head .pill', { hasText: 'Draft' }).waitFor();
  await agree(page, 'Open: Autumn living drop', 'Open');
  await page.locator('.sale-head .pill[data-tone=good]', { hasText: 'Open' }).waitFor();
  await eventually('it sells', () => as('anyone', 'GET', `sales/${id}`).then(({ ready, state }) => ready && state === 'open'));
  for (let n = 0; n < 8; n += 1) await buy(id, `early-${n}`, order('CHAIR'));
  assert.equal(await refused(id, 'late', order('CHAIR')), 'sold_out');
  await buy(id, 'thirsty', order('TEA', 3));
  await reads(cell(page, 'CHAIR', 1), '0');
  await reads(cell(page, 'CHAIR', 2), '8');
  await reads(cell(page, 'CHAIR', 6), '0');
  await page.locator('.stock', { hasText: 'CHAIR' }).getByText('Sold out').waitFor();
  await accessible(page, 'a sale');
  await shot(page, 'operator-sale');

  await agree(page, 'Pause: Autumn living drop', 'Pause');
  await page.locator('.sale-head .pill', { hasText: 'Paused' }).waitFor();
  await until(id, ({ state }) => state === 'paused'); // in force once the gateway says so, a moment after it is stored
  assert.equal(await refused(id, 'other', order('TEA')), 'sale_paused');
  await page.getByRole('button', { name: 'Resume' }).click();
  await until(id, ({ state }) => state === 'open');
  assert.equal(await refused(id, 'other', order('TEA')), 'taken');
  await agree(page, 'Rebuild: Autumn living drop', 'Rebuild');
  await reads(page.locator('[data-fact=epoch]'), '2');
  await eventually('it is ready again', () => as('anyone', 'GET', `sales/${id}`).then(({ ready }) => ready));
  await page.getByRole('link', { name: 'Inventory' }).click();
  await reads(cell(page, 'CHAIR', 3), '8');
  await reads(cell(page, 'CHAIR', 6), '0');
  await accessible(page, 'the inventory');
  await agree(page, 'Close: Autumn living drop', 'Close', id);
  await page.locator('.sale-head .pill', { hasText: 'Closed' }).waitFor();
  assert.equal(await page.getByRole('button', { name: /^(Open|Resume|Pause|Close)/ }).count(), 0);

  await page.getByRole('link', { name: 'Report', exact: true }).click();
  await eventually('all is counted', async () => {
    await page.getByRole('button', { name: 'Refresh' }).click();
    return (await page.locator('[data-report=accepted] .value').textContent()) === '10';
  });
  await page.getByText('As a table').click();
  const seconds = await page.locator('.numbers tbody td').allTextContents();
  assert.equal(seconds.reduce((sum, n) => sum + Number(n), 0), 10);
  await accessible(page, 'the report');
  await shot(page, 'operator-report');

  await go(page, '');
  const card = page.locator(`[data-sale=${id}]`);
  await reads(card.locator('[data-fact=settled]'), '10');
  await page.locator('.refusals', { hasText: 'Sold out' }).waitFor();
});

test('an acknowledged order that was refused raises an alarm, and is taken once there is room', async () => {
  const page = await visit('operator', { dark: true });
  await enter(page);
  await alarm(page, 'The database refused orders that customers were promised.').getByRole('link').click();
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
  await accessible(page, 'the question before a replay');
  await page.getByRole('dialog').getByRole('button', { name: 'Replay' }).click();
  await page.getByText('It was replayed.').waitFor();
  await alarm(page, 'customers were promised').waitFor({ state: 'detached' });
  assert.equal((await admin('GET', 'sales/letters/orders')).orders[0].customer_id, 'told-202');
});

test('an order is found, paid from a credited wallet, and its goods are moved by hand', async () => {
  const sale = await openSale({ title: 'Paper lamps', items: [LAMP, TEA] });
  const page = await visit('operator');
  await enter(page, 'wallets');
  await page.getByLabel('Customer').fill('mina');
  await page.getByLabel('Amount').fill('100000');
  let keys = [];
  page.on('request', (request) => { if (request.url().endsWith('/credit')) keys.push(request.headers()['idempotency-key']); });
  // No answer comes, although it was done: the next press sends the same key, and nothing is given twice.
  await page.route('**/credit', async (route) => { await route.fetch(); await route.abort(); }, { times: 1 });
  await agree(page, 'Credit');
  await page.getByText('No answer came.').waitFor();
  await agree(page, 'Credit');
  await page.getByText('mina was given ₩100,000. Balance: ₩100,000.').waitFor();
  assert.equal(new Set(keys).size, 1);
  await accessible(page, 'a wallet');

  const paid = await buy(sale, 'mina', { ...order('LAMP', 2), payment: { method: 'wallet' }, shipping_address: { name: 'Mina', line1: '1 Main St', city: 'Seoul', postal_code: '04524', country: 'KR' } });
  for (let n = 0; n < 3; n += 1) await buy(sale, `other-${n}`, order('TEA'));
  await eventually('it is paid', () => as('mina', 'GET', `sales/${sale}/orders/${paid.order_id}`).then(({ status }) => status === 'preparing'));
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
  await page.getByLabel('The goods have come to').selectOption('Shipped');
  await agree(page, 'Set status');
  await page.locator('[data-status=shipped]').waitFor();
  const history = await page.locator('.history strong').allTextContents();
  assert.deepEqual(history, ['Created', 'Payment requested', 'Paid', 'Preparing', 'Shipped']);
  await accessible(page, 'an order');
  await shot(page, 'operator-order');
  await go(page, 'orders');
  await page.getByLabel('Order id').fill('12');
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByText('An order’s id looks like').waitFor();
  await page.getByLabel('Sale', { exact: true }).selectOption(sale);
  await page.getByLabel('Order id').fill(paid.order_id);
  await page.getByRole('button', { name: 'Search' }).click();
  await page.locator('[data-status=shipped]').waitFor();
});

test('the connection is lost and found, and nobody is asked while nobody looks', async () => {
  const page = await visit('operator', { dark: true });
  await enter(page);
  await page.context().setOffline(true);
  await alarm(page, 'No connection to the gateway. What is shown is from').waitFor();
  await page.locator('.frame[data-stale]').waitFor();
  await accessible(page, 'no connection');
  await shot(page, 'operator-lost-dark');
  await page.context().setOffline(false);
  await alarm(page, 'No connection').waitFor({ state: 'detached' });

  let asked = 0;
  page.on('request', (request) => { asked += request.url().endsWith('/overview') ? 1 : 0; });
  const hide = (hidden) => page.evaluate((is) => {
    Object.defineProperty(document, 'hidden', { value: is, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await hide(true);
  const before = asked;
  await page.waitForTimeout(2500);
  assert.ok(asked - before <= 1, `asked ${asked - before} times while hidden`); // one may have been under way
  await hide(false);
  await eventually('it is asked again', async () => asked > before + 1);
});

test('whatever is wrong is said, the worst first', async () => {
  const sale = await openSale({ title: 'Chairs', items: [CHAIR] });
  const page = await visit('operator');
  const wrong = (look) => {
    const shown = look.sales.find((one) => one.sale_id === sale);
    Object.assign(shown.items[0], { sold: 12, drift: 3 });
    Object.assign(look.dependencies.find(({ name }) => name === 'redis'), { up: false, why: 'not connected' });
    Object.assign(look.dependencies.find(({ name }) => name === 'postgres'), { up: false, why: 'no connection' });
    look.log.find(({ partition }) => partition === shown.partition).lag_seconds = 42;
    shown.lag_records = 0;
  };
  await page.route('**/admin/v1/overview', async (route) => {
    const answer = await route.fetch();
    const look = await answer.json();
    wrong(look);
    await route.fulfill({ response: answer, json: look });
  });
  await enter(page);
  for (const [tone, text] of [['bad', 'Chairs, CHAIR: 4 units more'], ['bad', 'Redis is down: no orders are taken'], ['warn', 'Postgres is down; sales go on'], ['warn', 'is 42 s behind']]) {
    await page.locator(`.alarm[data-tone=${tone}]`, { hasText: text }).waitFor();
  }
  const tones = await page.locator('.alarm').evaluateAll((all) => all.map((one) => one.dataset.tone));
  assert.deepEqual(tones, [...tones].sort(), 'bad before warn');
  await accessible(page, 'the control room with alarms');
  await shot(page, 'operator-alarms');
  await page.unrouteAll({ behavior: 'ignoreErrors' });
});

test('on a phone, in Korean, by the keyboard, and in both languages no text is missing', async () => {
  const page = await visit('operator', { phone: true, language: 'ko', dark: true });
  const missing = await page.evaluate(async () => {
    const base = document.querySelector('script[src]').src.replace('app.js', 'texts/');
    const [en, ko] = await Promise.all(['en', 'ko'].map(async (one) => (await import(`${base}${one}.js`)).default));
    const names = (text) => [...(text ?? '').matchAll(/\{\w+\}/g)].map(String).sort().join();
    return [...new Set([...Object.keys(en), ...Object.keys(ko)])].filter((key) => !en[key] || !ko[key] || names(en[key]) !== names(ko[key]));
  });
  assert.deepEqual(missing, []);
  await page.getByLabel('운영자 토큰').focus();
  await page.keyboard.type('dev-admin');
  await page.keyboard.press('Enter');
  await page.locator('.gauges').waitFor();
  for (const place of ['', 'sales/letters', 'sales/letters/terms', 'sales/letters/inventory', 'sales/letters/report', 'orders', 'letters', 'wallets', 'new']) {
    await go(page, place);
    await page.locator('main h1').waitFor();
    await eventually(`${place} is there`, async () => (await page.locator('.waiting').count()) === 0);
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${place} is ${wide} px too wide`);
    assert.doesNotMatch(await page.locator('body').innerText(), /\b(?:gauge|fact|stock|term|order|status|report|letter|alarm|form|do|tab)\.[a-z_]+/, place);
  }
  await go(page, '');
  await page.getByRole('heading', { name: '현황' }).waitFor();
  await shot(page, 'operator-phone-ko-dark');
  await accessible(page, 'the control room on a phone');
  // The first stop of the keyboard leads past everything to what the screen is about.
  await page.keyboard.press('Tab');
  await page.evaluate(() => document.querySelector('.skip').focus());
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.tagName), 'H1');
});
