// npm `@medplum/core`: base without slash for bundles, If-None-Exist, PUT with a query, JSON Patch. Run by the test.
import assert from 'node:assert/strict';
import { MedplumClient, getStatus } from '@medplum/core';
import { FACTS, PAGES, SYSTEM, bundle, order, posted, refusal, step, task, values } from './steps.mjs';

const origin = new URL(FACTS.base).origin;
const client = new MedplumClient({
  baseUrl: `${origin}/`,
  fhirUrlPath: 'fhir',
  tokenUrl: FACTS.token_endpoint,
  fetch,
  cacheTime: 0,
});
client.setAccessToken(FACTS.token);
const query = (value) => `identifier=${SYSTEM}|${value}`;
let id;

await step('create', async () => {
  const made = await client.createResource(order(1));
  assert.equal(made.meta.versionId, '1');
  id = made.id;
});

await step('conditional_create', async () => {
  assert.equal((await client.createResourceIfNoneExist(order(1), query(1))).id, id);
});

await step('read', async () => {
  const one = await client.readResource('ServiceRequest', id);
  assert.equal((await client.readReference(one.subject)).resourceType, 'Patient');
});

await step('update', async () => {
  const changed = await client.updateResource({ ...order(1, { priority: 'urgent' }), id });
  assert.deepEqual([changed.meta.versionId, changed.priority], ['2', 'urgent']);
});

await step('conditional_update', async () => {
  const changed = await client.upsertResource(order(1, { priority: 'stat' }), query(1));
  assert.deepEqual([changed.id, changed.priority], [id, 'stat']);
});

await step('patch', async () => {
  const changed = await client.patchResource('ServiceRequest', id, [{ op: 'replace', path: '/priority', value: 'asap' }]);
  assert.equal(changed.priority, 'asap');
});

await step('search', async () => {
  const seen = await client.searchResources('ServiceRequest', query(1));
  assert.deepEqual(seen.map((one) => one.id), [id]);
  assert.equal((await client.searchOne('ServiceRequest', query('none'))), undefined);
});

await step('batch', async () => {
  const entries = [0, 1, 2].map((n) => posted(order(`batch-${n}`)));
  const answer = await client.executeBatch(bundle('batch', ...entries));
  assert.deepEqual(answer.entry.map((entry) => entry.response.status.slice(0, 3)), Array(3).fill('201'));
});

await step('paging', async () => {
  for (const n of PAGES) await client.createResource(order(`page-${n}`));
  const any = PAGES.map((n) => `${SYSTEM}|page-${n}`).join(',');
  const seen = [];
  for await (const page of client.searchResourcePages('ServiceRequest', { identifier: any, _count: 2 })) seen.push(...page);
  assert.deepEqual(values(seen), PAGES.map((n) => `page-${n}`));
});

await step('include', async () => {
  const both = await client.search('ServiceRequest', `${query(1)}&_include=ServiceRequest:patient`);
  assert.deepEqual(both.entry.map((entry) => entry.resource.resourceType), ['ServiceRequest', 'Patient']);
});

await step('transaction', async () => {
  const name = 'urn:uuid:0d5f0a52-6b0e-4a2a-8d21-3c6a7b1e9c05';
  const answer = await client.executeBatch(bundle('transaction', posted(order('both'), name), posted(task(name))));
  assert.deepEqual(answer.entry.map((entry) => entry.response.status.slice(0, 3)), ['201', '201']);
});

await step('history', async () => {
  const versions = (await client.readHistory('ServiceRequest', id)).entry.map((entry) => entry.resource.meta.versionId);
  assert.deepEqual(versions, ['4', '3', '2', '1']);
  assert.equal((await client.readVersion('ServiceRequest', id, '1')).priority, undefined);
});

await step('validate', async () => {
  assert.equal((await client.validateResource(order('draft'))).resourceType, 'OperationOutcome');
});

await step('everything', async () => {
  assert.equal((await client.readPatientEverything(FACTS.patient.split('/')[1])).resourceType, 'Bundle');
});

await step('refusal', async () => {
  const error = await refusal(() => client.createResource(order('bad', { status: 'open' })));
  assert.equal(error.outcome.issue[0].expression[0], 'ServiceRequest.status');
});

await step('delete', async () => {
  await client.deleteResource('ServiceRequest', id);
  const error = await refusal(() => client.readResource('ServiceRequest', id, { cache: 'reload' }));
  assert.equal(error.outcome.issue[0].code, 'deleted');
  assert.equal(getStatus(error.outcome) >= 400, true);
});
