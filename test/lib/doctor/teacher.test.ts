import { copyFileSync, renameSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { doctor, teacherLogits } from '../../../lib/index.js';
import { mean, std, writePicture, writeStudent, writeTeacher } from '../../helpers/dataset.js';
import {
  ailing,
  at,
  bare,
  copied,
  examine,
  found,
  good,
  problem,
  quiet,
} from '../../helpers/doctor.js';

describe('the teacher', () => {
  test('is not there, is cut short, or is no DenseNet', async () => {
    const there = await problem({ teacher: at('none.pth') }, 'teacher');
    expect(there.code).toBe('ERR_CHECKPOINT_NOT_FOUND');
    expect(there.remedy).toContain('Check the path');

    copyFileSync(good.teacher, at('cut.pth'));
    truncateSync(at('cut.pth'), 100_000);
    const cut = await problem({ teacher: at('cut.pth') }, 'teacher');
    expect(cut.code).toBe('ERR_CHECKPOINT_CORRUPT');
    expect(cut.remedy).toContain('again');

    const teacher = await writeStudent(at('student.pth'));
    const other = await problem({ teacher, mean, std, imageSize: 32 }, 'teacher');
    expect(other.code).toBe('ERR_TEACHER_ARCHITECTURE');
    expect(other.remedy).toContain('torch.export.save');
  });

  test('has another number of classes', async () => {
    const teacher = await writeTeacher(at('three.pth'), { classes: 3 });
    const more = { teacher, mean, std, imageSize: 32 };
    const { code, message, remedy } = await problem(more, 'teacher-classes');
    expect(code).toBe('ERR_TEACHER_CLASSES');
    expect(message).toContain('has 3 classes');
    expect(remedy).toContain('class folders');
  });

  test('knows classes of other names', async () => {
    const dataset = copied();
    for (const split of ['train', 'val']) {
      renameSync(path.join(dataset, split, 'bees'), path.join(dataset, split, 'wasps'));
    }
    const { message } = await problem({ dataset }, 'teacher-classes');
    expect(message).toContain("is 'bees'");
  });

  test('comes without mean and std', async () => {
    const { code, message, remedy } = await problem({ teacher: bare }, 'preprocessing');
    expect(code).toBe('ERR_NO_METADATA');
    expect(message).toContain('mean, std');
    expect(remedy).toContain('0.485,0.456,0.406');
  });

  test('guesses with a wrong std; the right ones are found', async () => {
    // All pictures look blue.
    const given = { mean: [1, 0.5, 0], std: [0.1, 0.1, 0.1] } as const;
    const result = await examine({ teacher: bare, imageSize: 32, ...given });
    const { status, message, remedy } = found(result, 'accuracy');
    expect(status).toBe('warning');
    expect(message).toContain('no better than guessing');
    expect(remedy).toContain('`mean` 0.485,0.456,0.406 and `std` 0.229,0.224,0.225');
    // A mean and std other than those of the teacher's file are a warning by themselves.
    const other = found(await examine(given), 'preprocessing');
    expect(other.message).toContain('was trained with mean 0.485,0.456,0.406');
    expect(other.remedy).toContain('Leave `mean` out');
  });

  test('has learnt nothing', async () => {
    const teacher = await writeTeacher(at('untrained.pth'));
    const { message, remedy } = found(
      await examine({ teacher, mean, std, imageSize: 32 }),
      'accuracy',
    );
    expect(message).toContain('no better than guessing');
    expect(remedy).toContain('it has not learnt these pictures');
  });

  test('has its classes in another order', async () => {
    const dataset = copied();
    for (const split of ['train', 'val']) {
      const of = (name: string) => path.join(dataset, split, name);
      renameSync(of('ants'), of('moved'));
      renameSync(of('bees'), of('ants'));
      renameSync(of('moved'), of('bees'));
    }
    const given = { dataset, teacher: bare, mean, std, imageSize: 32 };
    const { message, remedy, details } = found(await examine(given), 'accuracy');
    expect(message).toContain('another order');
    expect(remedy).toContain('sort');
    expect(details.sort()).toEqual([
      "for 'ants' it answers 'bees'",
      "for 'bees' it answers 'ants'",
    ]);
  });

  test('is given by its logits', async () => {
    const output = at('logits.safetensors');
    await teacherLogits({ teacher: good.teacher, dataset: good.dataset, output, ...quiet });
    const { teacher: _, ...others } = good;
    const whole = await doctor({ ...others, teacherLogits: output });
    expect(ailing(whole).filter(({ check }) => check !== 'jpeg')).toEqual([]);
    const asked = (await examine()).teacher?.scores;
    expect(whole.teacher?.scores?.accuracy).toBe(asked?.accuracy);
    expect(whole.teacher?.scores?.loss).toBeCloseTo(asked?.loss ?? 0, 5);
    expect(whole.time?.imagesPerSecond.teacher).toBeNull();

    const dataset = copied();
    await writePicture(path.join(dataset, 'train/ants/new.png'), 999);
    const lacking = await doctor({ ...others, dataset, teacherLogits: output });
    const { code, message, remedy } = found(lacking, 'rows');
    expect(code).toBe('ERR_TEACHER_LOGITS');
    expect(message).toContain("'train/ants/new.png'");
    expect(remedy).toContain('distill logits');
    const views = await doctor({ ...others, teacherLogits: output, views: 2 });
    expect(found(views, 'views').code).toBe('ERR_OPTION');
  });
});
