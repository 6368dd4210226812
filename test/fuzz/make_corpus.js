// Writes test/fuzz/corpus/store/: the store of a few pictures, as test/fuzz/readers.cpp takes it: the beginning of each page,
// under a fingerprint of zeros, without a checksum. `npm run build` and `npm run build:native` come first.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { loadAddon } from '../../dist/addon.js';

const PAGE = 4096;
const BEGINNING = 512;
const CHECKSUM = { at: 152, bytes: 8 };
const fingerprint = '0'.repeat(64);

const folder = mkdtempSync(path.join(os.tmpdir(), 'store-'));
process.once('exit', () => rmSync(folder, { recursive: true }));
const session = new (loadAddon().Session)({
  imageSize: 4,
  mean: [0, 0, 0],
  std: [1, 1, 1],
  device: 'cpu',
  precision: 'fp32',
  threads: 1,
});
await session.open();
await session.createStore({
  imageSize: 4,
  classes: 3,
  trainCapacity: 3,
  valCapacity: 2,
  trainSize: 5,
  views: 1,
  view: null,
  hasTeacher: true,
  place: 'memory',
  folder,
  fingerprint,
  kept: true,
  answers: null,
});
for (const [split, count, size] of /** @type {const} */ ([
  ['train', 3, 5],
  ['val', 2, 4],
])) {
  await session.append({
    split,
    pixels: Uint8Array.from({ length: count * size * size * 3 }, (_, i) => i),
    size,
    labels: Int32Array.from({ length: count }, (_, i) => i),
    sources: Int32Array.from({ length: count }, (_, i) => i),
    answered: true,
    teacherLogits: new Float32Array(count * 3).fill(0.5),
  });
}
await session.sealStore();
await session.close();

const store = readFileSync(path.join(folder, `${fingerprint}.store`));
store.fill(0, CHECKSUM.at, CHECKSUM.at + CHECKSUM.bytes);
const pages = Array.from({ length: store.length / PAGE }, (_, i) => store.subarray(i * PAGE));
const corpus = path.join(import.meta.dirname, 'corpus/store');
mkdirSync(corpus, { recursive: true });
writeFileSync(
  path.join(corpus, 'whole'),
  Buffer.concat(pages.map((page) => page.subarray(0, BEGINNING))),
);
