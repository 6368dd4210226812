import { copyFileSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { doctor, type Finding } from '../../../lib/index.js';
import { filesIn, writePicture } from '../../helpers/dataset.js';
import { at, copied, examine, found, good, named, problem, quiet } from '../../helpers/doctor.js';

describe('pictures', () => {
  test('no folder: the teacher is looked at all the same', async () => {
    const dataset = at('nowhere');
    const { message, remedy } = await (async () => {
      const result = await examine({ dataset });
      expect(named(result, 'teacher')[0]?.status).toBe('ok');
      const [train, val] = ['train', 'val'].map((check) => found(result, check));
      expect(train).toMatchObject({ status: 'problem', code: 'ERR_DATASET_NOT_FOUND' });
      return val as Finding;
    })();
    expect(message).toContain(path.join(dataset, 'val'));
    expect(remedy).toContain('`dataset`');
  });

  test('no validation pictures: the others are decoded', async () => {
    const dataset = copied();
    rmSync(path.join(dataset, 'val'), { recursive: true });
    const result = await examine({ dataset });
    expect(named(result, 'pictures')[0]?.message).toBe('All 32 pictures decode.');
    const { message } = await problem({ dataset }, 'val');
    expect(message).toContain('there is nothing');
  });

  test('a class that is missing in val', async () => {
    const dataset = copied();
    rmSync(path.join(dataset, 'val/bees'), { recursive: true });
    const { message, remedy, code } = await problem({ dataset }, 'classes');
    expect(code).toBe('ERR_DATASET_CLASS_MISMATCH');
    expect(message).toContain('"bees"');
    expect(remedy).toContain('same class folders');
  });

  test('a class without a picture', async () => {
    const dataset = copied();
    for (const split of ['train', 'val']) mkdirSync(path.join(dataset, split, 'cats'));
    const result = await examine({ dataset });
    expect(result.dataset?.classes).toContainEqual({ name: 'cats', train: 0, val: 0 });
    const { code, message, remedy } = found(result, 'train');
    expect(code).toBe('ERR_DATASET_EMPTY_CLASS');
    expect(message).toContain('"cats"');
    expect(remedy).toContain('Add pictures to the class');
  });

  test('pictures that do not decode are all named', async () => {
    const dataset = copied();
    const cut = path.join(dataset, 'train/ants/3.png');
    truncateSync(cut, 1000);
    const text = path.join(dataset, 'val/bees/notes.jpg');
    writeFileSync(text, 'no picture');
    const { code, message, remedy, details } = await problem({ dataset }, 'pictures');
    expect(code).toBe('ERR_BAD_IMAGE');
    expect(message).toBe(
      "2 of 65 pictures do not decode. 1 of these is damaged or cut short, and 'truncate' for `onBadImage` takes what there is.",
    );
    expect(remedy).toContain('`onBadImage`');
    expect(details[0]).toContain(`${cut} is not read: it is damaged or cut short`);
    expect(details[1]).toContain(`${text} is not read: it is not a JPEG`);

    const skipping = await examine({ dataset, onBadImage: 'skip' });
    expect(found(skipping, 'pictures').status).toBe('warning');
    expect(skipping.problems).toBe(0);
    expect(skipping.teacher?.scores?.images).toBe(32);

    // Something is left of one of them, and nothing of the other.
    expect(found(await examine({ dataset, onBadImage: 'truncate' }), 'pictures').status).toBe(
      'problem',
    );
    rmSync(text);
    const { status, details: cutShort } = found(
      await examine({ dataset, onBadImage: 'truncate' }),
      'pictures',
    );
    expect(status).toBe('warning');
    expect(cutShort).toHaveLength(1);
  });

  test('a class of which no picture decodes is lost to a run that skips', async () => {
    const dataset = copied();
    for (const name of filesIn(path.join(dataset, 'val/ants'))) {
      writeFileSync(path.join(dataset, 'val/ants', name), '');
    }
    const result = await examine({ dataset, onBadImage: 'skip' });
    const [told, lost] = named(result, 'pictures');
    expect(told).toMatchObject({ status: 'warning', message: '16 of 64 pictures do not decode.' });
    expect(lost).toMatchObject({ status: 'problem', code: 'ERR_DATASET_EMPTY_CLASS' });
    expect(lost?.message).toContain('"ants"');
    expect(lost?.remedy).toContain('remove the class');
  });

  test('a GIF, and pictures outside of the classes, are passed over', async () => {
    const dataset = copied();
    const gif = path.join(dataset, 'train/ants/moving.gif');
    writeFileSync(gif, 'GIF89a');
    writeFileSync(path.join(dataset, 'train/ants/about.txt'), '');
    copyFileSync(path.join(dataset, 'train/ants/1.png'), path.join(dataset, 'val/loose.png'));
    const [unread, text, loose] = named(await examine({ dataset }), 'passed-over');
    expect(unread).toMatchObject({ status: 'warning', details: [gif] });
    expect(unread?.remedy).toContain('Convert them');
    expect(text).toMatchObject({ status: 'ok' });
    expect(text?.message).toContain('1 file that is no picture is passed over');
    expect(loose).toMatchObject({ status: 'warning' });
    expect(loose?.message).toContain('1 picture lies in');
    expect(loose?.remedy).toContain('Move them');
  });

  test('the same file in train and val', async () => {
    const dataset = copied();
    const [from, to] = [
      path.join(dataset, 'val/ants/2.png'),
      path.join(dataset, 'train/bees/x.png'),
    ];
    copyFileSync(from, to);
    const { status, message, remedy, details } = found(await examine({ dataset }), 'duplicates');
    expect({ status, details }).toEqual({ status: 'warning', details: [`${from} is ${to}`] });
    expect(message).toContain('1 validation picture is among the training pictures');
    expect(remedy).toContain('Remove');
  });

  test('classes that are small, and too few pictures', async () => {
    const dataset = at('lopsided');
    for (let i = 0; i < 40; i++) {
      await writePicture(path.join(dataset, 'train/ants', `${i}.png`), i);
      if (i % 10 === 0) await writePicture(path.join(dataset, 'train/bees', `${i}.png`), 50 + i);
    }
    for (const name of ['ants', 'bees']) {
      await writePicture(path.join(dataset, 'val', name, '0.png'), name.charCodeAt(0));
    }
    const result = await doctor({ dataset, imageSize: 32, ...quiet });
    const { message, remedy } = found(result, 'balance');
    expect(message).toContain("'ants' has 40 training pictures and 'bees' 4");
    expect(remedy).toContain('Add pictures to the small classes');
    const [train, val] = named(result, 'few-pictures');
    expect(train).toMatchObject({ status: 'warning', details: ['bees: 4'] });
    expect(val?.message).toContain('each one is 50.0 points of accuracy');
    expect(result.problems).toBe(0);
  });

  test('pictures that lie turned in their files', async () => {
    const dataset = copied();
    const turned = path.join(dataset, 'train/ants/turned.jpg');
    const image = sharp(path.join(dataset, 'train/ants/1.png'));
    await image.withMetadata({ orientation: 6 }).jpeg().toFile(turned);
    const { status, message, remedy, details } = found(await examine({ dataset }), 'exif');
    expect(status).toBe('warning');
    expect(message).toContain('1 of 65 pictures (1.5 %) lies turned in its file');
    expect(remedy).toContain('--exif apply');
    expect(details).toEqual([`${turned}: on its side`]);
    const [applied] = named(await examine({ dataset, exif: 'apply' }), 'exif');
    expect(applied?.status).toBe('ok');
  });

  test('pictures that are too small or too large for the crop', async () => {
    const small = found(await doctor({ dataset: good.dataset, imageSize: 224, ...quiet }), 'sizes');
    expect(small.message).toContain(
      '64 of 64 pictures have a side shorter than the crop of 224 pixels',
    );
    expect(small.message).toContain('32 x 32');
    expect(small.remedy).toContain('`imageSize`');
    const dataset = at('large');
    for (const file of ['train/a/0', 'train/b/0', 'val/a/0', 'val/b/0']) {
      await writePicture(path.join(dataset, `${file}.png`), file.length, { size: 400 });
    }
    const large = found(await doctor({ dataset, imageSize: 32, ...quiet }), 'sizes');
    expect(large.message).toContain('400 x 400 pixels, the crop of 32 pixels shows 0.6 %');
    expect(large.remedy).toContain('Set `resize`');
    expect(large.remedy).toContain('often 37: then the crop shows 74.8 %');
  });
});
