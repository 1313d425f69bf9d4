// Converts a sale's terms between the form, which holds texts, and the server's JSON.

const NAME = /^[A-Za-z0-9._-]{1,64}$/;

export const newItem = () => ({ sku: '', name: '', price: '', total: '', max_quantity_per_order: '10' });
export const newPolicy = () => ({ id: '', kind: 'percent', value: '', min_total: '', max_discount: '' });

const text = (value) => (value === null || value === undefined ? '' : String(value));

/// Formats a time for the browser's input control: local time without a time zone.
function local(iso) {
  if (!iso) return '';
  const at = new Date(iso);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/// Returns the initial values of the form.
export function draftOf(sale) {
  if (!sale) {
    return {
      sale_id: '',
      title: '',
      currency: 'KRW',
      opens_at: '',
      closes_at: '',
      max_orders_per_customer: '1',
      hold_seconds: '3600',
      delivery_fee: '0',
      free_delivery_from: '',
      items: [newItem()],
      discount_policies: [],
    };
  }
  const texts = (object) => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, text(value)]));
  return {
    sale_id: sale.sale_id,
    title: sale.title,
    currency: sale.currency,
    opens_at: local(sale.opens_at),
    closes_at: local(sale.closes_at),
    max_orders_per_customer: text(sale.max_orders_per_customer),
    hold_seconds: text(sale.hold_seconds),
    delivery_fee: text(sale.delivery_fee),
    free_delivery_from: text(sale.free_delivery_from),
    items: (sale.items ?? []).map(texts),
    discount_policies: sale.discount_policies.map(texts),
  };
}

/// Returns the terms for the server, and the errors that the form can detect: the key of a text by field.
export function termsOf(draft) {
  const errors = {};
  const whole = (field, value, { empty = null } = {}) => {
    const trimmed = value.trim();
    if (trimmed === '') {
      if (empty === undefined) errors[field] = 'form.required';
      return empty ?? null;
    }
    if (/^\d{1,15}$/.test(trimmed)) return Number(trimmed);
    errors[field] = 'form.whole';
    return null;
  };
  const needed = { empty: undefined };
  const name = (field, value) => {
    if (!NAME.test(value.trim())) errors[field] = 'form.name';
    return value.trim();
  };
  const time = (field, value) => {
    if (!value) return null;
    const at = new Date(value);
    if (!Number.isNaN(at.getTime())) return at.toISOString();
    errors[field] = 'form.time';
    return null;
  };
  name('sale_id', draft.sale_id);
  if (!/^[A-Z]{3}$/.test(draft.currency.trim())) errors.currency = 'form.currency';
  if (!draft.title.trim()) errors.title = 'form.required';
  const terms = {
    title: draft.title.trim(),
    currency: draft.currency.trim(),
    opens_at: time('opens_at', draft.opens_at),
    closes_at: time('closes_at', draft.closes_at),
    max_orders_per_customer: whole('max_orders_per_customer', draft.max_orders_per_customer),
    hold_seconds: whole('hold_seconds', draft.hold_seconds, needed),
    delivery_fee: whole('delivery_fee', draft.delivery_fee, { empty: 0 }),
    free_delivery_from: whole('free_delivery_from', draft.free_delivery_from),
    discount_policies: draft.discount_policies.map((policy, i) => ({
      id: name(`discount_policies[${i}].id`, policy.id),
      kind: policy.kind,
      value: whole(`discount_policies[${i}].value`, policy.value, needed),
      min_total: whole(`discount_policies[${i}].min_total`, policy.min_total, { empty: 0 }),
      max_discount: whole(`discount_policies[${i}].max_discount`, policy.max_discount),
    })),
    items: draft.items.map((item, i) => ({
      sku: name(`items[${i}].sku`, item.sku),
      name: item.name.trim() || item.sku.trim(),
      price: whole(`items[${i}].price`, item.price, needed),
      total: whole(`items[${i}].total`, item.total),
      max_quantity_per_order: whole(`items[${i}].max_quantity_per_order`, item.max_quantity_per_order, needed),
    })),
  };
  return { terms, errors };
}
