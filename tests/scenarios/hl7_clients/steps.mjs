// What the senders from npm share: facts in on standard input, a JSON line per step out. As with_hl7.py.
import { readFileSync } from 'node:fs';

// port; admit, accents, enhanced: texts of messages; stay, many: lists of them. See test_foreign_senders.py.
export const FACTS = JSON.parse(readFileSync(0, 'utf8'));

export async function step(name, work) {
  const line = { step: name };
  try {
    await work();
  } catch (error) {
    line.error = `${error?.stack ?? error}`;
  }
  console.log(JSON.stringify(line));
}

export const controlId = (text) => text.split('\r')[0].split('|')[9];
