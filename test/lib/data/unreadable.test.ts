import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { decodeCrop } from '../../../lib/data/decode.js';
import { centerCropOf } from '../../../lib/model/preprocessing.js';
import { refusal } from '../../helpers/decode.js';
import { bmpHeader, fixture, noise, pngHeader } from '../../helpers/pictures.js';

const folder = mkdtempSync(path.join(tmpdir(), 'distill-decode-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, data: string | Uint8Array): string {
  const file = path.join(folder, name);
  writeFileSync(file, data);
  return file;
}

describe('a picture that is none', () => {
  test.each(['jpg', 'png', 'webp', 'tif', 'bmp', 'ppm'])('cut short: %s', async (extension) => {
    const error = await refusal(fixture(`truncated.${extension}`));
    expect(error.message).toMatch(/truncated\.\w+ is not read: it is .*cut short/);
  });

  test('a file cut short below the crop', async () => {
    const whole = await noise(64, 640).jpeg().toBuffer();
    expect((await decodeCrop(whole, centerCropOf(16))).length).toBe(768);
    await refusal(whole.subarray(0, whole.length * 0.9));
  });

  test('an empty file', async () => {
    expect((await refusal(write('empty.jpg', ''))).message).toMatch(
      /empty\.jpg is not read: it is empty/,
    );
  });

  test('a text', async () => {
    const error = await refusal(write('text.jpg', 'No picture, just words.'));
    expect(error.message).toContain(
      'it is not a JPEG, PNG, WebP, TIFF, GIF, AVIF, HEIC, JPEG XL, BMP, PPM or PGM file',
    );
    expect(error.cause).toBeInstanceOf(Error);
  });

  test('a folder', async () => {
    mkdirSync(path.join(folder, 'folder.jpg'));
    expect((await refusal(path.join(folder, 'folder.jpg'))).message).toContain('it is not a file');
  });

  test('a path to nothing', async () => {
    const error = await refusal(path.join(folder, 'nothing.jpg'));
    expect(error.message).toContain('it does not exist');
    expect(error.cause).toMatchObject({ code: 'ENOENT' });
  });

  test('a path through a file', async () => {
    const error = await refusal(path.join(fixture('rgb.png'), 'inside.jpg'));
    expect(error.message).toContain('it cannot be opened (ENOTDIR)');
  });

  test.skipIf(process.platform === 'win32')('a pipe, which would never end', async () => {
    execFileSync('mkfifo', [path.join(folder, 'pipe.jpg')]);
    expect((await refusal(path.join(folder, 'pipe.jpg'))).message).toContain('it is not a file');
  });

  test('a drawing', async () => {
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>';
    expect((await refusal(Buffer.from(svg))).message).toContain('it is a drawing (svg)');
  });

  test.each([
    ['PPM', Buffer.from('P6 1000000000 1000000000 255\n')],
    ['plain PGM', Buffer.from('P2 1000000000 1000000000 255\n')],
    ['BMP of 2^31 pixels', bmpHeader(65536, 32768, 24, 0)],
    ['BMP in run lengths', bmpHeader(65535, 65535, 8, 1)],
    ['PNG', pngHeader(100_000, 100_000)],
  ])('a size that no picture has: %s', async (_, data) => {
    expect((await refusal(data)).message).toContain('it is too large');
  });

  test('a header with a size and nothing behind it takes no memory', async () => {
    const before = process.memoryUsage();
    for (const data of [bmpHeader(13000, 13000, 8, 1), Buffer.from('P3 13000 13000 255\n')]) {
      expect((await refusal(data)).message).toContain('cut short');
    }
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16e6);
  });

  test.each([
    ['no pixels', 'P6 0 5 255\n', 'has no pixels'],
    ['a largest value of zero', 'P5 2 2 0\n', 'largest value 0'],
    ['a largest value above 65535', 'P5 2 2 65536\n', 'largest value 65536'],
    [
      'a letter among the numbers',
      'P2 2 2 255\n1 2 x 4',
      'something else than a number at byte 15',
    ],
    ['a negative number', 'P2 2 2 255\n1 2 -3 4', 'something else than a number'],
    ['an endless number', `P2 2 2 255\n1 2 ${'9'.repeat(11)} 4`, 'something else than a number'],
    ['something else than bits', 'P1 2 2\n0120', 'something else than a bit'],
    ['a header that ends', 'P6 5', 'is cut short'],
  ])('PNM with %s', async (_, text, reason) => {
    expect((await refusal(Buffer.from(text))).message).toContain(reason);
  });

  test.each([
    ['an unknown header', bmpHeader(4, 4, 24, 0).fill(41, 14, 15), 'unknown header of 41 bytes'],
    ['64 bits', bmpHeader(4, 4, 64, 0), '64 bits a pixel'],
    ['JPEG inside', bmpHeader(4, 4, 24, 4), 'compression 4'],
    ['run lengths of 24 bits', bmpHeader(4, 4, 24, 1), '24 bits a pixel in run lengths'],
    ['too many colours', bmpHeader(4, 4, 8, 0, 300), '300 colours'],
    ['a header that ends', bmpHeader(4, 4, 24, 0).subarray(0, 30), 'is cut short'],
  ])('BMP with %s', async (_, data, reason) => {
    expect((await refusal(data)).message).toContain(reason);
  });

  test('has a name in the message', async () => {
    expect((await refusal(new Uint8Array())).message).toContain('The picture buffer is not read');
    expect((await refusal(new Uint8Array(), 'bee 7')).message).toContain(
      'The picture bee 7 is not read',
    );
  });
});
