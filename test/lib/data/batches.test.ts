import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { decodeBatches, decodeCrop } from '../../../lib/data/decode.js';
import type { ImageSource } from '../../../lib/data/source.js';
import { centerCropOf } from '../../../lib/model/preprocessing.js';
import { collect, SIZE } from '../../helpers/decode.js';
import { fixture, noise } from '../../helpers/pictures.js';

const good = [
  'rgb-420.jpg',
  'rgb.png',
  'lossy.webp',
  'rgb.bmp',
  'rgb.ppm',
  'strips.tif',
  'grey.jpg',
].map(fixture);
const bad = fixture('truncated.jpg');

/** Sources whose reading is counted. */
function counted(sources: readonly string[]): { sources: readonly string[]; reads: () => number } {
  let reads = 0;
  const watched = new Proxy(sources, {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) reads += 1;
      return Reflect.get(target, key);
    },
  });
  return { sources: watched, reads: () => reads };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 100));

describe('batches', () => {
  test('hold the crops in the order of the sources', async () => {
    const batches = await collect(good);
    expect(batches.map(({ indices, count }) => [indices, count])).toEqual([
      [[0, 1, 2], 3],
      [[3, 4, 5], 3],
      [[6], 1],
    ]);
    const crops = await Promise.all(good.map((file) => decodeCrop(file, centerCropOf(SIZE))));
    expect(Buffer.concat(batches.map((batch) => batch.pixels))).toEqual(Buffer.concat(crops));
    expect(new Set(batches.map((batch) => batch.pixels.buffer)).size).toBe(3);
  });

  test('of no sources are none', async () => {
    expect(await collect([])).toEqual([]);
  });

  test('of bytes', async () => {
    const [batch] = await collect(good.slice(0, 2).map((file) => readFileSync(file)));
    expect(batch?.pixels.subarray(0, SIZE * SIZE * 3)).toEqual(
      await decodeCrop(good[0] ?? '', centerCropOf(SIZE)),
    );
  });

  test('a bad picture ends them after the batches before it', async () => {
    const sources = [...good.slice(0, 4), bad, fixture('truncated.png'), ...good];
    const seen: number[] = [];
    const run = (async () => {
      for await (const batch of decodeBatches(sources, {
        preprocessing: centerCropOf(SIZE),
        batchSize: 3,
      }))
        seen.push(...batch.indices);
    })();
    await expect(run).rejects.toMatchObject({
      code: 'ERR_BAD_IMAGE',
      message: expect.stringContaining(bad),
    });
    expect(seen).toEqual([0, 1, 2]);
  });

  test('the first of several bad pictures is thrown', async () => {
    // The second fails long before the first, which has to be decoded to its end.
    const large = await noise(2000, 2000).jpeg().toBuffer();
    const sources = [large.subarray(0, large.length - 100), Buffer.from('words')];
    await expect(collect(sources)).rejects.toThrow('The picture buffer 0 is not read');
  });

  test('what follows a bad picture is not started', async () => {
    const { sources, reads } = counted([bad, ...Array<string>(50).fill(fixture('rgb.png'))]);
    await expect(collect(sources, { batchSize: 20, concurrency: 2 })).rejects.toThrow(bad);
    await settle();
    expect(reads()).toBeLessThan(10);
  });

  test('bad pictures are left out on demand, and reported in order', async () => {
    const skipped: [ImageSource, string, number][] = [];
    const sources = [good[0], bad, good[1], bad, bad, 'nothing.jpg', good[2], bad].map(
      (file) => file ?? '',
    );
    const batches = await collect(sources, {
      onBadImage: 'skip',
      onSkip: (source, error, index) => skipped.push([source, error.code, index]),
    });
    expect(batches.map((batch) => batch.indices)).toEqual([[0, 2], [6]]);
    expect(skipped).toEqual([
      [bad, 'ERR_BAD_IMAGE', 1],
      [bad, 'ERR_BAD_IMAGE', 3],
      [bad, 'ERR_BAD_IMAGE', 4],
      ['nothing.jpg', 'ERR_BAD_IMAGE', 5],
      [bad, 'ERR_BAD_IMAGE', 7],
    ]);
    const crops = await Promise.all(
      good.slice(0, 3).map((file) => decodeCrop(file, centerCropOf(SIZE))),
    );
    expect(Buffer.concat(batches.map((batch) => batch.pixels))).toEqual(Buffer.concat(crops));
  });

  test('take what there is of pictures that are cut short, and say so', async () => {
    const cut = readFileSync(fixture('rgb.png')).subarray(0, 1000);
    const truncated: [string, number][] = [];
    const batches = await collect([good[0] ?? '', cut, good[1] ?? ''], {
      onBadImage: 'truncate',
      onTruncated: (_, error, index) => truncated.push([error.code, index]),
    });
    expect(batches.map((batch) => batch.indices)).toEqual([[0, 1, 2]]);
    expect(truncated).toEqual([['ERR_BAD_IMAGE', 1]]);
    const whole = await decodeCrop(fixture('rgb.png'), centerCropOf(SIZE));
    const taken = batches[0]?.pixels.subarray(SIZE * SIZE * 3, 2 * SIZE * SIZE * 3);
    expect(taken?.subarray(0, 8 * SIZE * 3)).toEqual(whole.subarray(0, 8 * SIZE * 3));
    expect(taken).not.toEqual(whole);

    // Nothing is left of these.
    for (const lost of [
      cut.subarray(0, 20),
      'nothing.jpg',
      readFileSync(fixture('truncated.webp')),
    ]) {
      await expect(collect([lost], { onBadImage: 'truncate' })).rejects.toMatchObject({
        code: 'ERR_BAD_IMAGE',
      });
    }
  });

  test('an error in onSkip is not swallowed', async () => {
    const onSkip = () => {
      throw new Error('from onSkip');
    };
    await expect(collect([bad], { onBadImage: 'skip', onSkip })).rejects.toThrow('from onSkip');
  });

  test('are decoded two ahead of the consumer, and no further', async () => {
    const { sources, reads } = counted(Array<string>(40).fill(good[0] ?? ''));
    const batches = decodeBatches(sources, { preprocessing: centerCropOf(SIZE), batchSize: 4 });
    await settle();
    expect(reads()).toBe(0);
    await batches.next();
    await settle();
    expect(reads()).toBe(12);
    await batches.next();
    await settle();
    expect(reads()).toBe(16);
    await batches.return();
  });

  test('decode at most `concurrency` pictures at a time', async () => {
    let most = 0;
    const many = new Proxy(Array<string>(60).fill(fixture('rgb.png')), {
      get(target, key) {
        const { queue, process } = sharp.counters();
        most = Math.max(most, queue + process);
        return Reflect.get(target, key);
      },
    });
    await collect(many, { batchSize: 30, concurrency: 3 });
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(3);
  });

  test('leave nothing running when the consumer stops early', async () => {
    // The batch that is decoded ahead takes its time, and holds a bad picture that nobody asks for.
    const large = await noise(1500, 1500).png().toBuffer();
    const slow = [large, large, Buffer.from('words')];
    for await (const batch of decodeBatches([readFileSync(good[0] ?? ''), ...slow], {
      preprocessing: centerCropOf(SIZE),
      batchSize: 1,
    })) {
      expect(batch.count).toBe(1);
      break;
    }
    expect(sharp.counters()).toEqual({ queue: 0, process: 0 });
  });

  test('start nothing after the consumer has stopped', async () => {
    const { sources, reads } = counted(Array<string>(40).fill(good[0] ?? ''));
    for await (const _ of decodeBatches(sources, {
      preprocessing: centerCropOf(SIZE),
      batchSize: 10,
      concurrency: 1,
    }))
      break;
    const before = reads();
    expect(before).toBeLessThan(20);
    await settle();
    expect(reads()).toBe(before);
  });

  test('end with the reason of an aborted signal', async () => {
    const controller = new AbortController();
    const { sources, reads } = counted(Array<string>(60).fill(good[0] ?? ''));
    const seen: number[] = [];
    const run = (async () => {
      const options = {
        preprocessing: centerCropOf(SIZE),
        batchSize: 3,
        signal: controller.signal,
      };
      for await (const batch of decodeBatches(sources, options)) {
        seen.push(...batch.indices);
        controller.abort(new Error('enough'));
      }
    })();
    await expect(run).rejects.toThrow('enough');
    expect(seen).toEqual([0, 1, 2]);
    expect(reads()).toBeLessThanOrEqual(9);
  });

  test('are none for a signal that was aborted before', async () => {
    const { sources, reads } = counted(good);
    await expect(collect(sources, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/);
    expect(reads()).toBe(0);
  });
});
