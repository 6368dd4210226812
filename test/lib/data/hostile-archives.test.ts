import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, test } from 'vitest';
import { scanImages } from '../../../lib/data/images.js';
import { readSource } from '../../../lib/data/source.js';
import { surveySource } from '../../../lib/data/survey.js';
import { UnreadableFile } from '../../../lib/files.js';
import { DistillError } from '../../../lib/index.js';
import { type Packed, pax, tarOf, writeTo, zipOf } from '../../helpers/archive.js';
import { temporaryFolder } from '../../helpers/dataset.js';
import { refusalOf } from '../../helpers/results.js';

const temporary = temporaryFolder();
let root: string;
let made = 0;
beforeEach(() => {
  root = path.join(temporary, String(made++));
  mkdirSync(root);
});

const good: Packed[] = [
  { name: 'a/1.jpg', data: 'one' },
  { name: 'b/2.jpg', data: 'two' },
];
const tar = (...files: Packed[]) => tarOf([...good, ...files]);
const zip = (...files: Packed[]) => zipOf([...good, ...files]);
const named = (name: string): Packed => ({ name, data: 'x' });
/** A copy with some bytes changed. */
const altered = (bytes: Buffer, at: number, ...values: number[]) => {
  const copy = Buffer.from(bytes);
  copy.set(values, at < 0 ? copy.length + at : at);
  return copy;
};

const NAMES: [string, string, string][] = [
  ['that climbs out', '../x.jpg', 'leads out of the archive'],
  ['that climbs out within', 'a/../../x.jpg', 'leads out of the archive'],
  ['that climbs out at its end', 'a/x.jpg/..', 'leads out of the archive'],
  ['that is absolute', '/etc/x.jpg', 'has an absolute path'],
  ['of a drive', 'C:/x.jpg', 'has an absolute path'],
  ['of a drive, without a slash', 'c:x.jpg', 'has an absolute path'],
  ['with backslashes', 'a\\3.jpg', 'has a backslash'],
  ['that climbs out by backslashes', '..\\x.jpg', 'has a backslash'],
  ['that is there twice', 'a/1.jpg', 'is there twice'],
  ['that is there twice, written otherwise', './a//1.jpg', 'is there twice'],
  ['of an archive in it', 'a/more.zip', 'is an archive itself'],
  ['of a compressed archive in it', 'more.tar.gz', 'is an archive itself'],
];

const TARS: [string, Buffer, string][] = [
  ...NAMES.map(([what, name, said]): [string, Buffer, string] => [
    `an entry ${what}`,
    tar(named(name)),
    said,
  ]),
  ['a long name that climbs out', tar(pax('path', '../../x.jpg'), named('x')), 'leads out'],
  [
    "GNU's long name that climbs out",
    tar({ name: 'L', kind: 'L', data: '../x.jpg\0' }, named('x')),
    'leads out',
  ],
  ['a NUL in a long name', tar(pax('path', 'a\0b.jpg'), named('x')), 'has a NUL'],
  [
    'an endless name',
    tar(pax('path', `${'x/'.repeat(3000)}1.jpg`), named('x')),
    'a name of 6005 characters',
  ],
  ['a symbolic link', tar({ name: 'l.jpg', kind: '2' }), 'is a link'],
  ['a hard link', tar({ name: 'l.jpg', kind: '1' }), 'is a link'],
  ['a device of characters', tar({ name: 'd.jpg', kind: '3' }), 'is a device'],
  ['a device of blocks', tar({ name: 'd.jpg', kind: '4' }), 'is a device'],
  ['a pipe', tar({ name: 'p.jpg', kind: '6' }), 'is a pipe'],
  ["GNU's sparse file", tar({ name: 's.jpg', kind: 'S' }), 'is a sparse file'],
  ["pax's sparse file", tar(pax('GNU.sparse.major', '1'), named('s.jpg')), 'holds a sparse file'],
  ['a part of another volume', tar({ name: 'm.jpg', kind: 'M' }), 'goes on from another volume'],
  ['an unknown kind', tar({ name: 'q.jpg', kind: 'q' }), "of a kind that is not read ('q')"],
  ['one name for all', tar({ ...pax('path', 'x.jpg'), kind: 'g' }), 'gives all of its entries'],
  ['an extended header of nonsense', tar({ name: 'x', kind: 'x', data: 'nonsense' }), 'is damaged'],
  [
    'an extended header of length 0',
    tar({ name: 'x', kind: 'x', data: '0 path=a\n' }),
    'is damaged',
  ],
  [
    'an extended header that ends beyond itself',
    tar({ name: 'x', kind: 'x', data: '99 path=a\n' }),
    'is damaged',
  ],
  ['an extended size of nonsense', tar(pax('size', '-1'), named('x.jpg')), 'has a size that is no'],
  [
    'an extended size beyond all',
    tar(pax('size', '9'.repeat(20)), named('x.jpg')),
    'a size that is no',
  ],
  [
    'an extended size beyond the archive',
    tar(pax('size', '999999'), named('x.jpg')),
    'ends beyond',
  ],
  [
    'an endless extended header',
    tar({ name: 'x', kind: 'x', data: 'x'.repeat(2 ** 20 + 1) }),
    'a header of',
  ],
  [
    'a size of nonsense',
    tar({ name: 'x.jpg', size: '12x45678901\0' }),
    'has a size that is no number',
  ],
  [
    'a size of too many bytes',
    tar({ name: 'x.jpg', size: `\x80${'\xff'.repeat(11)}` }),
    'a size that is no',
  ],
  ['a size beyond the archive', tar({ name: 'x.jpg', size: 2 ** 30 }), 'ends beyond the archive'],
  ['another checksum', altered(tar(), 1024, 0x78), 'header at byte 1024 has another checksum'],
  ['no end', tarOf(good, { end: false }), 'ends without its end mark'],
  ['an end within a header', tar().subarray(0, 1300), 'ends without its end mark'],
  [
    'an end within a file',
    tarOf([{ name: 'a.jpg', data: 'x'.repeat(5000) }]).subarray(0, 3000),
    'ends beyond',
  ],
  ['nothing in it', Buffer.alloc(0), 'ends without its end mark'],
  ['no entry', Buffer.alloc(10240), 'holds no pictures'],
  ['no picture', tarOf([named('read.me')]), 'holds no pictures'],
  ['text in it', Buffer.from('x'.repeat(2000)), 'is no tar archive'],
  [
    'gzip in it',
    gzipSync(Buffer.from(Array.from({ length: 9000 }, (_, i) => (i * i * 7) % 251))),
    'gunzip',
  ],
  [
    'a zip in it',
    zipOf([{ name: 'x.jpg', data: 'x'.repeat(900), zip: { method: 0 } }]),
    'is no tar archive',
  ],
];

const ZIPS: [string, Buffer, string][] = [
  ...NAMES.map(([what, name, said]): [string, Buffer, string] => [
    `an entry ${what}`,
    zip(named(name)),
    said,
  ]),
  ['a NUL in a name', zip(named('a\0.jpg')), 'has a NUL in its name'],
  ['an encrypted entry', zip({ ...named('x.jpg'), zip: { flags: 1 } }), 'is encrypted'],
  ['a strongly encrypted entry', zip({ ...named('x.jpg'), zip: { flags: 0x41 } }), 'encryption'],
  ['a hidden directory', zip({ ...named('x.jpg'), zip: { flags: 0x2000 } }), 'is encrypted'],
  ['a link', zip({ ...named('x.jpg'), zip: { mode: 0o120777 } }), 'is a link'],
  ['a device', zip({ ...named('x.jpg'), zip: { mode: 0o060644 } }), 'is a device or a pipe'],
  ['bzip2', zip({ ...named('x.jpg'), zip: { method: 12 } }), 'compressed by method 12'],
  ['zstd', zip({ ...named('x.jpg'), zip: { method: 93 } }), 'compressed by method 93'],
  ['a bomb', zip({ ...named('x.jpg'), zip: { length: 2 ** 31 } }), 'which deflate cannot make'],
  [
    'two sizes of one stored file',
    zip({ ...named('x.jpg'), zip: { method: 0, length: 9 } }),
    'mismatch',
  ],
  [
    'a size beyond the archive',
    zip({ ...named('x.jpg'), zip: { stored: 2 ** 30 } }),
    'ends beyond',
  ],
  [
    'a place beyond the archive',
    zip({ ...named('x.jpg'), zip: { offset: 2 ** 30 } }),
    'ends beyond',
  ],
  ['entries over each other', zip({ ...named('x.jpg'), zip: { offset: 0 } }), 'lies over another'],
  [
    'a size that it is to give elsewhere',
    zip({ ...named('x.jpg'), zip: { length: 2 ** 32 - 1 } }),
    'which deflate cannot',
  ],
  [
    'an extra field that is too long',
    zip({ ...named('x.jpg'), zip: { extra: Buffer.of(1, 0, 200, 0, 1) } }),
    'extra field',
  ],
  ['its end cut off', zip().subarray(0, -10), 'is no zip archive, or damaged'],
  ['its half cut off', zip().subarray(0, 60), 'is no zip archive, or damaged'],
  ['more entries than there are', altered(zip(), -12, 9, 0), 'is no zip archive, or damaged'],
  [
    'a directory beyond its end',
    altered(zip(), -6, 0xff, 0xff, 0xff),
    'is no zip archive, or damaged',
  ],
  ['another disk', altered(zip(), -18, 1), 'is no zip archive, or damaged'],
  ['nothing in it', Buffer.alloc(0), 'is no zip archive, or damaged'],
  ['no entry', zipOf([]), 'holds no pictures'],
  ['text in it', Buffer.from('x'.repeat(2000)), 'is no zip archive, or damaged'],
  ['a tar in it', tar(), 'is no zip archive, or damaged'],
  ['7z in it', Buffer.from("7z\xbc\xaf'\x1c0000".padEnd(500), 'latin1'), 'is a 7z archive'],
  ['RAR in it', Buffer.from('Rar!\x1a\x07'.padEnd(500)), 'is a RAR archive'],
];

describe.each([
  ['tar', TARS],
  ['zip', ZIPS],
] as const)('a %s is refused', (kind, cases) => {
  test.each(cases)('with %s', async (_, bytes, said) => {
    const archive = writeTo(path.join(root, `a.${kind}`), bytes);
    const refusal = await refusalOf(scanImages(archive));
    expect(refusal.code).toBe('ERR_ARCHIVE');
    expect(refusal.message).toContain(`The archive '${archive}' is not read: it`);
    expect(refusal.message).toContain(said);
    expect((await refusalOf(surveySource(archive))).code).toBe('ERR_ARCHIVE');
  });
});

describe('an archive is refused', () => {
  test.each([
    ['a.tar.gz', 'gunzip it to a .tar'],
    ['a.TGZ', 'gunzip it to a .tar'],
    ['a.tar.zst', 'unpack it to a .tar'],
    ['a.tar.xz', 'unpack it to a .tar'],
    ['a.7z', 'pack it as a .tar or .zip'],
    ['a.rar', 'pack it as a .tar or .zip'],
  ])('%s, by its name', async (name, remedy) => {
    const archive = writeTo(path.join(root, name), Buffer.from('x'));
    const refusal = await refusalOf(surveySource(archive));
    expect(refusal.code).toBe('ERR_ARCHIVE');
    expect(refusal.message).toContain(remedy);
  });

  test('that is not there, or of which one shard is not', async () => {
    writeTo(path.join(root, 'a-0.tar'), tar());
    for (const name of ['none.tar', 'a-{0..1}.tar']) {
      const refusal = await refusalOf(surveySource(path.join(root, name)));
      expect(refusal.code).toBe('ERR_ARCHIVE');
      expect(refusal.message).toContain('does not exist');
    }
  });

  test('that is a device, or given twice', async () => {
    symlinkSync('/dev/zero', path.join(root, 'a.tar'));
    expect((await refusalOf(surveySource(path.join(root, 'a.tar')))).message).toContain('a device');
    writeTo(path.join(root, 'b.tar'), tar());
    const twice = await refusalOf(surveySource(path.join(root, '{b,b}.tar')));
    expect(twice.message).toContain('is given twice');
  });

  test.each<[string, Packed[], string]>([
    ['without a label', [named('1.jpg'), named('1.cls'), named('2.jpg')], "'2.jpg' has no label"],
    [
      'with two pictures of one label',
      [named('1.jpg'), named('1.png'), named('1.cls')],
      'the key of another',
    ],
    ['with an empty label', [named('1.jpg'), { name: '1.cls', data: ' \n' }], 'cannot be the name'],
    [
      'with a label of bytes',
      [named('1.jpg'), { name: '1.cls', data: Buffer.of(0xff) }],
      'cannot be',
    ],
    [
      'with a label of lines',
      [named('1.jpg'), { name: '1.cls', data: '1\n2' }],
      'cannot be the name',
    ],
    [
      'with JSON without a label',
      [named('1.jpg'), { name: '1.json', data: '{"x": 1}' }],
      'has no label',
    ],
    ['with JSON that is none', [named('1.jpg'), { name: '1.json', data: '{' }], 'has no label'],
    [
      'with a fraction as label',
      [named('1.jpg'), { name: '1.json', data: '{"label": 0.5}' }],
      'has no label',
    ],
    [
      'with an endless label',
      [named('1.jpg'), { name: '1.cls', data: '1'.repeat(70_000) }, { name: '2.cls', data: '1' }],
      'has no label',
    ],
  ])('%s', async (_, files, said) => {
    const archive = writeTo(path.join(root, 'a.tar'), tarOf(files));
    const refusal = await refusalOf(surveySource(archive));
    expect(refusal.code).toBe('ERR_ARCHIVE');
    expect(refusal.message).toContain(said);
  });
});

describe('a picture that lies', () => {
  test.each<[string, Packed, string]>([
    [
      'is longer than it says',
      { name: 'x.jpg', data: 'x'.repeat(500), zip: { length: 400 } },
      'has more than the 400 bytes',
    ],
    [
      'is shorter than it says',
      { name: 'x.jpg', data: 'x'.repeat(500), zip: { length: 600 } },
      'has 500 bytes, not the 600',
    ],
    [
      'has another checksum',
      { name: 'x.jpg', data: 'x', zip: { crc: 1 } },
      "its checksum is not the archive's",
    ],
    ['is no deflate', { name: 'x.jpg', data: 'x', zip: { stored: 2 } }, 'it does not inflate'],
  ])('that %s', async (_, file, said) => {
    const archive = writeTo(path.join(root, 'a.zip'), zip(file));
    const { files } = await scanImages(archive);
    await expect(readSource(files[0] as string)).rejects.toThrow(said);
  });

  test('where its local header is not', async () => {
    const archive = writeTo(path.join(root, 'a.zip'), altered(zip(), 0, 0));
    const { files } = await scanImages(archive);
    await expect(readSource(files[0] as string)).rejects.toThrow('its local header is not there');
  });
});

describe('thousands of mutations', () => {
  const files: Packed[] = [
    { name: 'train/a/1.jpg', data: 'one'.repeat(30) },
    pax('path', 'train/b/2.jpg'),
    { name: 'short', data: 'two'.repeat(300) },
    { name: 'val/a/read.me', data: '5' },
    { name: 'val/a/3.jpg', data: '' },
  ];

  test.each([
    ['tar', tarOf(files), 1500],
    ['zip', zipOf(files), 1500],
  ] as const)(
    'of a %s are refused with a code or read, and never hang',
    async (kind, whole, number) => {
      let state = 12345;
      const draw = (below: number) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * below);
      };
      const outcomes = { read: 0, refused: 0 };
      for (let i = 0; i < number; i++) {
        let bytes = Buffer.from(whole);
        for (let changes = draw(3); changes >= 0; changes--) {
          const at = draw(bytes.length);
          const change = draw(12);
          if (change === 0) bytes = bytes.subarray(0, at + 1);
          else if (change === 1) {
            bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(draw(bytes.length))]);
          } else bytes[at] = [0, 0xff, 0x2f, 0x2e, 0x80, draw(256)][draw(6)] as number;
        }
        const archive = writeTo(path.join(root, `a.${kind}`), bytes);
        try {
          for (const source of (await scanImages(archive)).files) await readSource(source);
          await surveySource(archive);
          outcomes.read += 1;
        } catch (error) {
          const isCoded =
            error instanceof UnreadableFile ||
            (error instanceof DistillError && error.code === 'ERR_ARCHIVE');
          if (!isCoded) throw new Error(`mutation ${i}: ${error}`, { cause: error });
          outcomes.refused += 1;
        }
      }
      expect(outcomes.read + outcomes.refused).toBe(number);
      expect(Math.min(outcomes.read, outcomes.refused)).toBeGreaterThan(50);
    },
    60_000,
  );
});
