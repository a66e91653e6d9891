// npm `fhirclient` (SMART JS) as in a Node server: application/json both ways, `Prefer: return=presentation`. Run by the test.
import assert from 'node:assert/strict';
import smart from 'fhirclient';
import { FACTS, PAGES, SYSTEM, bundle, matches, order, posted, refusal, step, task, values } from './steps.mjs';

const stored = new Map();
const storage = {
  get: async (key) => stored.get(key),
  set: async (key, value) => stored.set(key, value) && value,
  unset: async (key) => stored.delete(key),
};
const request = { headers: { host: 'app.example.org' }, socket: {}, url: '/' };
const tokenResponse = { access_token: FACTS.token, patient: FACTS.patient.split('/')[1] };
const client = smart(request, {}, storage).client({ serverUrl: FACTS.base, tokenResponse });
const json = { 'content-type': 'application/fhir+json' };
const send = (body) => client.request({ url: '', method: 'POST', headers: json, body: JSON.stringify(body) });
let id;

await step('fhir_version', async () => {
  assert.equal(await client.getFhirVersion(), '4.0.1');
  assert.equal(await client.getFhirRelease(), 4);
  assert.equal((await client.patient.read()).resourceType, 'Patient');
});

await step('create', async () => {
  const made = await client.create(order(1));
  assert.deepEqual([made.meta.versionId, made.status], ['1', 'active']);
  id = made.id;
});

// An empty 201 is followed through its Location.
await step('create_minimal', async () => {
  const made = await client.create(order(2), { headers: { ...json, prefer: 'return=minimal' } });
  assert.equal(made.identifier[0].value, '2');
});

await step('update', async () => {
  const changed = await client.update({ ...order(1, { priority: 'urgent' }), id });
  assert.deepEqual([changed.meta.versionId, changed.priority], ['2', 'urgent']);
});

await step('patch', async () => {
  const changed = await client.patch(`ServiceRequest/${id}`, [{ op: 'replace', path: '/priority', value: 'asap' }]);
  assert.deepEqual([changed.meta.versionId, changed.priority], ['3', 'asap']);
});

await step('search', async () => {
  const seen = await client.request(`ServiceRequest?identifier=${SYSTEM}|1`);
  assert.deepEqual(matches(seen).map((one) => one.id), [id]);
  const theirs = await client.patient.request('ServiceRequest?_count=100', { flat: true });
  assert.ok(theirs.some((one) => one.id === id));
});

await step('batch', async () => {
  const entries = [0, 1, 2].map((n) => posted(order(`batch-${n}`)));
  const answer = await send(bundle('batch', ...entries));
  assert.deepEqual(answer.entry.map((entry) => entry.response.status.slice(0, 3)), Array(3).fill('201'));
});

await step('paging', async () => {
  for (const n of PAGES) await client.create(order(`page-${n}`));
  const any = PAGES.map((n) => `${SYSTEM}|page-${n}`).join(',');
  const expected = PAGES.map((n) => `page-${n}`);
  const url = `ServiceRequest?identifier=${encodeURIComponent(any)}&_count=2`;
  assert.deepEqual(values(await client.request(url, { pageLimit: 0, flat: true })), expected);
  const seen = [];
  for await (const one of client.resources(url)) seen.push(one);
  assert.deepEqual(values(seen), expected);
});

await step('include', async () => {
  const both = await client.request(`ServiceRequest?identifier=${SYSTEM}|1&_include=ServiceRequest:patient`);
  assert.deepEqual(both.entry.map((entry) => entry.resource.resourceType), ['ServiceRequest', 'Patient']);
  const graph = await client.request(`ServiceRequest/${id}`, { resolveReferences: ['subject', 'requester'] });
  assert.deepEqual([graph.subject.resourceType, graph.requester.resourceType], ['Patient', 'Organization']);
});

await step('transaction', async () => {
  const name = 'urn:uuid:0d5f0a52-6b0e-4a2a-8d21-3c6a7b1e9c04';
  const answer = await send(bundle('transaction', posted(order('both'), name), posted(task(name))));
  assert.equal(answer.type, 'transaction-response');
  const made = await client.request(answer.entry[1].response.location.replace(/\/_history\/.*/, ''));
  assert.match(made.focus.reference, /^ServiceRequest\//);
});

await step('history', async () => {
  const versions = [];
  for await (const one of client.resources(`ServiceRequest/${id}/_history?_count=2`)) versions.push(one.meta.versionId);
  assert.deepEqual(versions, ['3', '2', '1']);
  assert.equal((await client.request(`ServiceRequest/${id}/_history/1`)).priority, undefined);
  assert.equal((await client.request('ServiceRequest/_history?_count=2')).entry.length, 2);
});

// The error's message is made of the OperationOutcome.
await step('refusal', async () => {
  const error = await refusal(() => client.create(order('bad', { status: 'open' })));
  assert.ok([400, 422].includes(error.status ?? error.statusCode));
  assert.match(error.message, /status/);
});

await step('delete', async () => {
  await client.delete(`ServiceRequest/${id}`);
  const error = await refusal(() => client.request(`ServiceRequest/${id}`));
  assert.equal(error.status ?? error.statusCode, 410);
});
