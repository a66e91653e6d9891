// npm `@medplum/hl7`: sendAndWait finds the message of an answer by MSA-2. Run by test_foreign_senders.py.
import assert from 'node:assert/strict';
import { Hl7Message } from '@medplum/core';
import { Hl7Client } from '@medplum/hl7';
import { FACTS, controlId, step } from './steps.mjs';

const connect = (more = {}) => new Hl7Client({ host: '127.0.0.1', port: FACTS.port, ...more });

async function answered(client, text, code = 'AA', options = {}) {
  const answer = await client.sendAndWait(Hl7Message.parse(text), { timeoutMs: 10000, ...options });
  const msa = answer.getSegment('MSA');
  assert.deepEqual([msa.getComponent(1, 1), msa.getComponent(2, 1)], [code, controlId(text)]);
  assert.equal(answer.getSegment('MSH').getComponent(9, 1), 'ACK');
  return answer.toString();
}

async function withClient(work, more) {
  const client = connect(more);
  try {
    await work(client);
  } finally {
    await client.close();
  }
}

await step('once', () => withClient((client) => answered(client, FACTS.admit)));

await step('stay', () =>
  withClient(async (client) => {
    for (const text of FACTS.stay) await answered(client, text);
  }, { keepAlive: true }));

await step('again', () =>
  withClient(async (client) => {
    const first = await answered(client, FACTS.admit);
    assert.equal(await answered(client, FACTS.admit), first);
  }));

await step('accents', () => withClient((client) => answered(client, FACTS.accents), { encoding: 'utf-8' }));

await step('enhanced', () =>
  withClient((client) => answered(client, FACTS.enhanced, 'CA', { returnAck: 'first' })));

// One after the other: its reader takes what arrives together as one answer, so it must not pipeline.
await step('many', () =>
  withClient(async (client) => {
    for (const text of FACTS.many) await answered(client, text);
  }, { keepAlive: true }));

process.exit(0);
