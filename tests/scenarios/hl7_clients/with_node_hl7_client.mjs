// npm `node-hl7-client`: reads the message into its own tree and writes it out again. Run by test_foreign_senders.py.
import assert from 'node:assert/strict';
import Client, { Message } from 'node-hl7-client';
import { FACTS, controlId, step } from './steps.mjs';

function connection(more = {}) {
  let heard;
  const client = new Client({ host: '127.0.0.1' });
  const outbound = client.createConnection({ port: FACTS.port, ...more }, async (answer) => heard?.(answer));
  const send = async (text, code = 'AA') => {
    const answer = await new Promise((resolve, reject) => {
      heard = resolve;
      outbound.once('client.error', reject);
      outbound.sendMessage(new Message({ text })).catch(reject);
      setTimeout(() => reject(new Error(`no answer to ${controlId(text)}`)), 10000).unref();
    });
    const message = answer.getMessage();
    assert.deepEqual([`${message.get('MSA.1')}`, `${message.get('MSA.2')}`], [code, controlId(text)]);
    assert.equal(`${message.get('MSH.9.1')}`, 'ACK');
    return message.toString();
  };
  return { send, close: () => outbound.close() };
}

async function withConnection(work, more) {
  const one = connection(more);
  try {
    await work(one.send);
  } finally {
    await one.close();
  }
}

await step('once', () => withConnection((send) => send(FACTS.admit)));

await step('stay', () =>
  withConnection(async (send) => {
    for (const text of FACTS.stay) await send(text);
  }));

await step('again', () =>
  withConnection(async (send) => {
    const first = await send(FACTS.admit);
    assert.equal(await send(FACTS.admit), first);
  }));

await step('accents', () => withConnection((send) => send(FACTS.accents), { encoding: 'utf-8' }));

await step('enhanced', () => withConnection((send) => send(FACTS.enhanced, 'CA')));

await step('many', () =>
  withConnection(async (send) => {
    for (const text of FACTS.many) await send(text);
  }));

process.exit(0);
