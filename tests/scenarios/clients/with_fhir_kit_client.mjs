// npm `fhir-kit-client`: discovers the token endpoint in a race, asks for the token itself. Run by the test.
import assert from 'node:assert/strict';
import { Client } from 'fhir-kit-client';
import { FACTS, PAGES, SYSTEM, bundle, matches, order, posted, refusal, step, task, values } from './steps.mjs';

const client = new Client({ baseUrl: FACTS.base });
const resourceType = 'ServiceRequest';
const found = (searchParams, options) => client.search({ resourceType, searchParams, options });
const mine = (value) => ({ identifier: `${SYSTEM}|${value}` });
let id;

// well-known, /metadata and openid-configuration race; the first that answers wins and the others are aborted.
await step('smart_metadata', async () => {
  const seen = new Set();
  for (let n = 0; n < 20; n += 1) seen.add((await client.smartAuthMetadata()).tokenUrl?.href);
  assert.deepEqual([...seen], [FACTS.token_endpoint]);
});

await step('authorize', async () => {
  const { tokenUrl } = await client.smartAuthMetadata();
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    scope: 'system/*.cruds',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: FACTS.assertion,
  });
  const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
  const answer = await client.request(tokenUrl.href, { method: 'POST', body: body.toString(), options: { headers } });
  client.bearerToken = answer.access_token;
});

await step('create', async () => {
  const made = await client.create({ resourceType, body: order(1) });
  const { response } = Client.httpFor(made);
  assert.equal(response.status, 201);
  assert.equal(response.headers.get('etag'), 'W/"1"');
  assert.equal(response.headers.get('location'), `${FACTS.base}/ServiceRequest/${made.id}/_history/1`);
  id = made.id;
});

await step('conditional_create', async () => {
  const options = { headers: { 'If-None-Exist': `identifier=${SYSTEM}|1` } };
  const again = await client.create({ resourceType, body: order(1), options });
  assert.equal(again.id, id);
});

await step('read', async () => {
  const one = await client.read({ resourceType, id });
  assert.equal((await client.resolve({ reference: one.subject.reference })).resourceType, 'Patient');
});

await step('update', async () => {
  const options = { headers: { 'If-Match': 'W/"1"' } };
  const body = { ...order(1, { priority: 'urgent' }), id };
  assert.equal((await client.update({ resourceType, id, body, options })).meta.versionId, '2');
  const error = await refusal(() => client.update({ resourceType, id, body, options }));
  assert.equal(error.response.status, 412);
  assert.equal(error.response.data.resourceType, 'OperationOutcome');
});

await step('conditional_update', async () => {
  const changed = await client.update({ resourceType, searchParams: mine(1), body: order(1, { priority: 'stat' }) });
  assert.deepEqual([changed.id, changed.priority], [id, 'stat']);
});

await step('patch', async () => {
  const jsonPatch = [{ op: 'test', path: '/status', value: 'active' }, { op: 'replace', path: '/priority', value: 'asap' }];
  assert.equal((await client.patch({ resourceType, id, jsonPatch })).priority, 'asap');
  const wrong = [{ op: 'test', path: '/status', value: 'draft' }];
  const error = await refusal(() => client.patch({ resourceType, id, jsonPatch: wrong }));
  assert.equal(error.response.data.resourceType, 'OperationOutcome');
});

await step('search', async () => {
  assert.deepEqual(matches(await found({ ...mine(1), status: 'active' })).map((one) => one.id), [id]);
  assert.deepEqual(matches(await found(mine(1), { postSearch: true })).map((one) => one.id), [id]);
});

await step('search_compartment', async () => {
  const [type, key] = FACTS.patient.split('/');
  const inside = await client.search({ resourceType, compartment: { resourceType: type, id: key }, searchParams: mine(1) });
  assert.deepEqual(matches(inside).map((one) => one.id), [id]);
});

await step('search_system', async () => {
  const all = await client.search({ searchParams: { _type: 'ServiceRequest,Task', _count: 3 } });
  assert.ok(matches(all).length > 0);
});

await step('batch', async () => {
  const entries = [0, 1, 2].map((n) => posted(order(`batch-${n}`)));
  const answer = await client.batch({ body: bundle('batch', ...entries) });
  assert.deepEqual(answer.entry.map((entry) => entry.response.status.slice(0, 3)), Array(3).fill('201'));
});

await step('paging', async () => {
  for (const n of PAGES) await client.create({ resourceType, body: order(`page-${n}`) });
  const any = PAGES.map((n) => `${SYSTEM}|page-${n}`).join(',');
  const first = await found({ identifier: any, _count: 2, _sort: '-_lastUpdated' });
  const second = await client.nextPage({ bundle: first });
  const third = await client.nextPage({ bundle: second });
  const seen = [first, second, third].flatMap(matches);
  assert.deepEqual(values(seen), PAGES.map((n) => `page-${n}`));
  assert.equal(client.nextPage({ bundle: third }), undefined);
  const back = await client.prevPage({ bundle: second });
  assert.deepEqual(values(matches(back)), values(matches(first)));
});

await step('include', async () => {
  const both = await found({ ...mine(1), _include: 'ServiceRequest:patient' });
  assert.deepEqual(both.entry.map((entry) => entry.search.mode), ['match', 'include']);
  const reference = both.entry[0].resource.subject.reference;
  const inside = await client.resolve({ reference, context: both });
  assert.equal(`${inside.resourceType}/${inside.id}`, FACTS.patient);
});

await step('transaction', async () => {
  const name = 'urn:uuid:0d5f0a52-6b0e-4a2a-8d21-3c6a7b1e9c03';
  const body = bundle('transaction', posted(order('both'), name), posted(task(name)));
  const answer = await client.transaction({ body });
  assert.equal(answer.type, 'transaction-response');
  const [orderAt, taskAt] = answer.entry.map((entry) => entry.response.location.match(/(\w+)\/([^/]+)\/_history\/1$/));
  const made = await client.read({ resourceType: 'Task', id: taskAt[2] });
  assert.equal(made.focus.reference, `ServiceRequest/${orderAt[2]}`);
});

await step('transaction_refused', async () => {
  const body = bundle('transaction', posted(order('never')), posted(order('bad', { status: 'open' })));
  const error = await refusal(() => client.transaction({ body }));
  assert.equal(error.response.data.resourceType, 'OperationOutcome');
  assert.deepEqual(matches(await found(mine('never'))), []);
});

await step('history', async () => {
  const versions = (await client.history({ resourceType, id })).entry.map((entry) => entry.resource.meta.versionId);
  assert.deepEqual(versions, ['4', '3', '2', '1']);
  assert.equal((await client.vread({ resourceType, id, version: '1' })).priority, undefined);
  assert.equal((await client.history({ resourceType, options: {} })).type, 'history');
  assert.equal((await client.history()).type, 'history');
});

await step('operation', async () => {
  const outcome = await client.operation({ resourceType, name: 'validate', input: order('draft') });
  assert.equal(outcome.resourceType, 'OperationOutcome');
  const [type, key] = FACTS.patient.split('/');
  const input = { _count: 3 };
  const all = await client.operation({ resourceType: type, id: key, name: '$everything', method: 'GET', input });
  assert.equal(all.resourceType, 'Bundle');
});

await step('delete', async () => {
  const { response } = Client.httpFor(await client.delete({ resourceType, id }));
  assert.ok([200, 204].includes(response.status));
  const error = await refusal(() => client.read({ resourceType, id }));
  assert.equal(error.response.status, 410);
  const after = await client.history({ resourceType, id });
  assert.equal(after.entry[0].request.method, 'DELETE');
});
