// What the programs of the npm clients share: facts in on standard input, a JSON line per step out. As steps.py.
import { readFileSync } from 'node:fs';

// base, token, assertion, patient, organization, cbo, name: see test_real_clients.py.
export const FACTS = JSON.parse(readFileSync(0, 'utf8'));
// Of the identifiers of this client's own orders.
export const SYSTEM = `https://example.org/${FACTS.name}`;

export const PAGES = [0, 1, 2, 3, 4];

export async function step(name, work) {
  const line = { step: name };
  try {
    await work();
  } catch (error) {
    const answer = error?.response?.data ?? error?.outcome ?? '';
    line.error = `${error?.stack ?? error} ${JSON.stringify(answer).slice(0, 2000)}`;
  }
  console.log(JSON.stringify(line));
}

export async function refusal(work) {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('This was to be refused and was not.');
}

export function order(number, more = {}) {
  return {
    resourceType: 'ServiceRequest',
    identifier: [{ system: SYSTEM, value: String(number) }],
    status: 'active',
    intent: 'order',
    code: { text: 'Grab bars' },
    subject: { reference: FACTS.patient },
    requester: { reference: FACTS.organization },
    ...more,
  };
}

export function task(focus) {
  return {
    resourceType: 'Task',
    status: 'requested',
    intent: 'order',
    focus: { reference: focus },
    for: { reference: FACTS.patient },
    authoredOn: '2026-03-02T09:30:00-08:00',
    requester: { reference: FACTS.organization },
    owner: { reference: FACTS.cbo },
  };
}

export const bundle = (type, ...entry) => ({ resourceType: 'Bundle', type, entry });

export const posted = (resource, fullUrl) => ({
  ...(fullUrl ? { fullUrl } : {}),
  resource,
  request: { method: 'POST', url: resource.resourceType },
});

export const matches = (searchset) =>
  (searchset.entry ?? []).filter((entry) => entry.search?.mode === 'match').map((entry) => entry.resource);

export const values = (resources) => resources.map((resource) => resource.identifier[0].value).sort();
