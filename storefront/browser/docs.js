// The API documentation (Swagger UI) on both listeners: reading it and trying out calls.

import { assert, openSale, shot, test, visit } from './kit.js';

const authorize = async (page, scheme, token) => {
  await page.getByRole('button', { name: 'Authorize' }).first().click();
  const form = page.locator('.auth-container', { has: page.locator('h4', { hasText: scheme }) });
  await form.locator('input').fill(token);
  await form.getByRole('button', { name: 'Apply credentials' }).click();
  await page.locator('.modal-ux .close-modal').click();
};
/// Opens an operation and executes it. Returns the status and the body of the response.
const tryOut = async (page, id, parameters) => {
  const operation = page.locator(`[id$="-${id}"]`);
  await operation.locator('.opblock-summary-control').click();
  for (const [name, value] of Object.entries(parameters)) {
    await operation.locator(`tr[data-param-name="${name}"] input`).fill(value);
  }
  await operation.getByRole('button', { name: 'Execute' }).click();
  const response = operation.locator('.live-responses-table .response').first();
  const status = await response.locator('.response-col_status').textContent();
  return [Number.parseInt(status, 10), await response.locator('.highlight-code').first().textContent()];
};

test('customers try out the public API with their own token', async () => {
  const sale = await openSale({ items: [{ sku: 'A', name: 'Apples', price: 1000, total: 5 }] });
  const page = await visit('shop', { path: '/docs' });
  await page.getByText('Flash sale: the public API').waitFor();
  assert.equal(await page.getByText('/admin/v1', { exact: false }).count(), 0, 'no admin calls');
  await authorize(page, 'customer', 'dev:reader');
  const [found, orders] = await tryOut(page, 'my_orders', { sale });
  assert.equal(found, 200);
  assert.match(orders, /"orders": \[\]/);
  await shot(page, 'docs-public', { whole: false });
});

test('operators try out the admin API on their own listener', async () => {
  const sale = await openSale({ items: [{ sku: 'A', name: 'Apples', price: 1000, total: 5 }] });
  const page = await visit('operator', { path: '/docs' });
  await page.getByText('Flash sale: the complete API').waitFor();
  await authorize(page, 'operator', 'dev-admin');
  const [found, stock] = await tryOut(page, 'admin_inventory', { sale });
  assert.equal(found, 200);
  assert.match(stock, /"database_available": 5/);
  await shot(page, 'docs-operator', { whole: false });
});
