import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, describe, expect, test } from 'vitest';
import { exifOrientation } from '../../../lib/data/decode/exif.js';
import {
  compressedText,
  type ExifEntry,
  exifBlock,
  exifSegment,
  extendedWebp,
  internationalText,
  orientationBlock,
  plainText,
  pngChunk,
  rawProfile,
  withChunks,
  withSegments,
  xmpOf,
  xmpSegment,
} from '../../helpers/exif.js';
import { fixture } from '../../helpers/pictures.js';
import { python, runPython } from '../../helpers/python.js';

const judge = fileURLToPath(new URL('../../parity/judge/orientation.py', import.meta.url));
const folder = mkdtempSync(path.join(tmpdir(), 'distill-exif-'));
afterAll(() => rmSync(folder, { recursive: true }));

const jpeg = readFileSync(fixture('rgb-444.jpg')); // with a density in JFIF
const png = readFileSync(fixture('rgb.png'));
const webp = readFileSync(fixture('lossless.webp'));
const { width = 0, height = 0 } = await sharp(webp).metadata();
const bare = Buffer.concat([jpeg.subarray(0, 2), jpeg.subarray(20)]); // without it

const six = orientationBlock(6);
const three = orientationBlock(3);
const other: ExifEntry = [0x0110, 2, 4, [0x61, 0x62, 0x63, 0]]; // the camera's model
const text = (data: string) => Buffer.from(data);

/** Blocks of EXIF in every shape, by what is special about them. */
function blocks(): [string, Buffer][] {
  const value = (type: number, bytes: number[], count = 1) =>
    exifBlock([other, [274, type, count, bytes]]);
  const apart = (type: number, count: number, tail: Buffer) =>
    exifBlock([[274, type, count, [26, 0, 0, 0]]], 'II', tail);
  const float = Buffer.alloc(8);
  float.writeDoubleLE(8);
  const single = Buffer.alloc(4);
  single.writeFloatLE(5);
  return [
    ...[1, 2, 3, 4, 5, 6, 7, 8].flatMap((orientation): [string, Buffer][] => [
      [`little ${orientation}`, orientationBlock(orientation)],
      [`big ${orientation}`, orientationBlock(orientation, 'MM')],
    ]),
    ...[0, 9, 255].map((value): [string, Buffer] => [`value ${value}`, orientationBlock(value)]),
    ['uint8', value(1, [6])],
    ['text', value(2, [0x36, 0])],
    ['uint32', value(4, [6, 0, 0, 0])],
    ['int8', value(6, [6])],
    ['anything', value(7, [6])],
    ['int16', value(8, [6, 0])],
    ['negative', value(8, [0xfa, 0xff])],
    ['int32', value(9, [6, 0, 0, 0])],
    ['float32', value(11, [...single])],
    ['place of tags', value(13, [6, 0, 0, 0])],
    ['unknown type', value(14, [6, 0, 0, 0])],
    ['fraction', apart(5, 1, Buffer.of(12, 0, 0, 0, 2, 0, 0, 0))],
    ['signed fraction', apart(10, 1, Buffer.of(8, 0, 0, 0, 1, 0, 0, 0))],
    ['half', apart(5, 1, Buffer.of(13, 0, 0, 0, 2, 0, 0, 0))],
    ['fraction of zero', apart(5, 1, Buffer.of(6, 0, 0, 0, 0, 0, 0, 0))],
    ['float64', apart(12, 1, float)],
    ['uint64', apart(16, 1, Buffer.of(7, 0, 0, 0, 0, 0, 0, 0))],
    ['two values', value(3, [6, 0, 3, 0], 2)],
    ['three values', apart(3, 3, Buffer.of(8, 0, 1, 0, 1, 0))],
    ['no value', value(3, [6, 0], 0)],
    [
      'twice',
      exifBlock([
        [274, 3, 1, [6, 0]],
        [274, 3, 1, [3, 0]],
      ]),
    ],
    [
      'unknown type before',
      exifBlock([
        [274, 99, 1, [3, 0]],
        [274, 3, 1, [6, 0]],
      ]),
    ],
    [
      'value outside before',
      exifBlock([
        [0x10f, 2, 9, [200, 0, 0, 0]],
        [274, 3, 1, [6, 0]],
      ]),
    ],
    [
      'value outside behind',
      exifBlock([
        [274, 3, 1, [6, 0]],
        [0x10f, 2, 9, [200, 0, 0, 0]],
      ]),
    ],
    [
      'too long a value before',
      exifBlock([
        [0x10f, 2, 1e9, [8, 0, 0, 0]],
        [274, 3, 1, [6, 0]],
      ]),
    ],
    [
      'values too long together',
      exifBlock([
        [0x10f, 2, 30, [0, 0, 0, 0]],
        [0x110, 2, 30, [0, 0, 0, 0]],
        [274, 3, 1, [6, 0]],
      ]),
    ],
    ['empty', Buffer.alloc(0)],
    ['Exif twice', Buffer.concat([Buffer.from('Exif\0\0'), six])],
    ['Exif thrice', Buffer.concat([Buffer.from('Exif\0\0Exif\0\0'), six])],
    ['no TIFF', Buffer.from('nothing of the kind')],
    ['a big TIFF', Buffer.concat([Buffer.from('II\x2b\0'), six.subarray(4)])],
    [
      '43 the other way',
      Buffer.concat([Buffer.from('MM\0\x2b'), orientationBlock(6, 'MM').subarray(4)]),
    ],
    ['42 the other way', Buffer.concat([Buffer.from('II\0\x2a'), six.subarray(4)])],
    [
      'tags outside',
      Buffer.concat([six.subarray(0, 4), Buffer.of(255, 255, 255, 255), six.subarray(8)]),
    ],
    ['endless tags', Buffer.concat([six.subarray(0, 8), Buffer.of(255, 255), six.subarray(10)])],
    ...Array.from({ length: six.length }, (_, cut): [string, Buffer] => [
      `cut at ${cut}`,
      six.subarray(0, cut),
    ]),
  ];
}

/** Pictures by what is special about them. */
function pictures(): [string, Buffer][] {
  return [
    ...blocks().flatMap(([name, block]): [string, Buffer][] => [
      [`jpeg ${name}`, withSegments(jpeg, exifSegment(block))],
      [`jpeg without density ${name}`, withSegments(bare, exifSegment(block))],
      [`jpeg and xmp ${name}`, withSegments(bare, xmpSegment(xmpOf(8)), exifSegment(block))],
      [`png ${name}`, withChunks(png, 'first', pngChunk('eXIf', block))],
      [
        `png raw profile ${name}`,
        withChunks(png, 'first', plainText('Raw profile type exif', rawProfile(block))),
      ],
      [`webp ${name}`, extendedWebp(webp, [width, height], 8, ['EXIF', block])],
    ]),
    [
      'jpeg two blocks',
      withSegments(jpeg, exifSegment(three.subarray(0, 20)), exifSegment(three.subarray(20))),
    ],
    ['jpeg two whole blocks', withSegments(jpeg, exifSegment(three), exifSegment(six))],
    ['jpeg xmp', withSegments(jpeg, xmpSegment(xmpOf(8)))],
    [
      'jpeg xmp as element',
      withSegments(jpeg, xmpSegment('<tiff:Orientation>7</tiff:Orientation>')),
    ],
    ['jpeg two xmp', withSegments(jpeg, xmpSegment(xmpOf(8)), xmpSegment(xmpOf(3)))],
    ['jpeg xmp 0', withSegments(jpeg, xmpSegment(xmpOf(0)))],
    ['jpeg xmp of ten', withSegments(jpeg, xmpSegment(xmpOf(65)))],
    ['jpeg exif in app2', withSegments(jpeg, [0xe2, exifSegment(six)[1]])],
    [
      'jpeg exif without its zeros',
      withSegments(jpeg, [0xe1, Buffer.concat([Buffer.from('Exif'), six])]),
    ],
    [
      'jpeg empty segments',
      withSegments(jpeg, [0xe1, text('')], [0xfe, text('')], exifSegment(six)),
    ],
    [
      'jpeg fill bytes',
      Buffer.concat([
        jpeg.subarray(0, 2),
        Buffer.of(255, 255),
        withSegments(jpeg, exifSegment(six)).subarray(2),
      ]),
    ],
    ['jpeg exif behind', Buffer.concat([jpeg, withSegments(jpeg, exifSegment(six))])],
    ['png last', withChunks(png, 'last', pngChunk('eXIf', six))],
    [
      'png twice',
      withChunks(withChunks(png, 'last', pngChunk('eXIf', three)), 'first', pngChunk('eXIf', six)),
    ],
    ['png behind the end', Buffer.concat([png, pngChunk('eXIf', six)])],
    [
      'png compressed profile',
      withChunks(png, 'first', compressedText('Raw profile type exif', rawProfile(six))),
    ],
    [
      'png profile as iTXt',
      withChunks(png, 'last', internationalText('Raw profile type exif', rawProfile(six))),
    ],
    [
      'png profile not of digits',
      withChunks(png, 'first', plainText('Raw profile type exif', '\nexif\n 2\nxy')),
    ],
    [
      'png profile and xmp',
      withChunks(
        png,
        'first',
        plainText('Raw profile type exif', rawProfile(exifBlock([other]))),
        internationalText('XML:com.adobe.xmp', xmpOf(7)),
      ),
    ],
    [
      'png profile of app1',
      withChunks(png, 'first', plainText('Raw profile type APP1', rawProfile(six))),
    ],
    [
      'png chunk and profile',
      withChunks(
        png,
        'first',
        pngChunk('eXIf', three),
        plainText('Raw profile type exif', rawProfile(six)),
      ),
    ],
    ['png text exif', withChunks(png, 'first', plainText('exif', six.toString('latin1')))],
    ['png xmp', withChunks(png, 'first', internationalText('XML:com.adobe.xmp', xmpOf(6)))],
    ['png xmp as tEXt', withChunks(png, 'first', plainText('XML:com.adobe.xmp', xmpOf(6)))],
    ['png xmp compressed', withChunks(png, 'last', compressedText('XML:com.adobe.xmp', xmpOf(5)))],
    [
      'png texts without keys',
      withChunks(
        png,
        'first',
        pngChunk('tEXt', text('')),
        pngChunk('zTXt', text('key')),
        pngChunk('iTXt', text('a\0b')),
      ),
    ],
    [
      'png text not compressed',
      withChunks(png, 'first', pngChunk('zTXt', text('XML:com.adobe.xmp\0\0rubbish'))),
    ],
    ['webp first block', extendedWebp(webp, [width, height], 8, ['EXIF', six], ['EXIF', three])],
    [
      'webp without flag',
      extendedWebp(webp, [width, height], 0, ['EXIF', six], ['XMP ', text(xmpOf(8))]),
    ],
    ['webp xmp', extendedWebp(webp, [width, height], 4, ['XMP ', text(xmpOf(8))])],
    [
      'webp xmp beside exif',
      extendedWebp(
        webp,
        [width, height],
        12,
        ['EXIF', exifBlock([other])],
        ['XMP ', text(xmpOf(8))],
      ),
    ],
    [
      'webp odd chunk',
      extendedWebp(webp, [width, height], 8, ['abcd', text('odd')], ['EXIF', six]),
    ],
    ['webp without chunks', webp],
  ];
}

describe('orientation', () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8])('%i is found in each format', (orientation) => {
    const block = orientationBlock(orientation);
    expect(exifOrientation(withSegments(jpeg, exifSegment(block)))).toBe(orientation);
    expect(exifOrientation(withChunks(png, 'last', pngChunk('eXIf', block)))).toBe(orientation);
    const chunk = ['EXIF', block] as const;
    expect(exifOrientation(extendedWebp(webp, [width, height], 8, chunk))).toBe(orientation);
  });

  test('is 1 in formats without EXIF, and in those whose decoders turn the pixels', () => {
    for (const name of ['rgb.bmp', 'palette.gif', 'rgb.ppm', 'orientation-6.tif', 'rgb-444.jpg']) {
      expect(exifOrientation(readFileSync(fixture(name))), name).toBe(1);
    }
    expect(exifOrientation(new Uint8Array(0))).toBe(1);
  });

  test('a text that unpacks to more than a megabyte is not read', () => {
    const long = `${' '.repeat(2 ** 20)}${xmpOf(6)}`;
    const bomb = withChunks(png, 'first', compressedText('XML:com.adobe.xmp', long));
    expect(exifOrientation(bomb)).toBe(1);
  });

  test('files cut anywhere and changed anywhere are read within their bounds', () => {
    const all = pictures().map(([, data]) => data);
    let seed = 1;
    const random = (limit: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed % limit;
    };
    for (const data of all) {
      for (let i = 0; i < 20; i++) {
        const damaged = Buffer.from(data.subarray(0, random(data.length)));
        for (let k = 0; k < 4 && damaged.length > 0; k++)
          damaged[random(damaged.length)] = random(256);
        expect(exifOrientation(damaged)).toBeGreaterThanOrEqual(1);
      }
    }
  });

  test.skipIf(python === null)('is the one by which Pillow turns the picture', () => {
    const all = pictures();
    const files = all.map(([, data], i) => {
      const file = path.join(folder, String(i));
      writeFileSync(file, data);
      return file;
    });
    const expected = runPython([judge], files) as (number | string)[];
    const raised = new Set(['SyntaxError', 'error', 'ValueError', 'AssertionError']);
    const different = all.flatMap(([name, data], i) => {
      const judged = expected[i] ?? '';
      // A block that Pillow raises an error for says nothing.
      const right = raised.has(String(judged)) ? 1 : judged;
      const found = exifOrientation(data);
      return found === right ? [] : [`${name}: ${found}, Pillow ${judged}`];
    });
    expect(different).toEqual([]);
    expect(expected.filter((judged) => typeof judged === 'number').length).toBeGreaterThan(400);
  });
});
