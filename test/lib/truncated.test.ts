import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  type DistillWarning,
  datasetStats,
  distill,
  predict,
  teacherLogits,
} from '../../lib/index.js';
import { smallRun, temporaryFolder, writeStudent } from '../helpers/dataset.js';
import { noise } from '../helpers/pictures.js';

const folder = temporaryFolder();
const base = await smallRun(folder);
const dataset = join(folder, 'cut');

test("each call takes what there is of a picture with onBadImage 'truncate', and warns of it", async () => {
  cpSync(base.dataset, dataset, { recursive: true });
  const jpeg = await noise(300, 300).jpeg().toBuffer();
  const cut = join(dataset, 'train/ants/cut.jpg');
  writeFileSync(cut, jpeg.subarray(0, jpeg.length / 2));
  const warnings: DistillWarning[] = [];
  const onWarning = (warning: DistillWarning) => warnings.push(warning);
  const expectWarned = () => {
    const codes = warnings.splice(0).filter(({ code }) => code === 'WARN_IMAGE_TRUNCATED');
    expect(codes).toMatchObject([
      { path: cut, message: expect.stringMatching(/what there is of it is taken\.$/) },
    ]);
  };

  const student = await writeStudent(join(folder, 'student.pth'));
  const labels = ['a', 'b'];
  const given = { student, mean: base.mean, std: base.std, imageSize: base.imageSize, labels };
  const images = join(dataset, 'train/ants');
  const files: (string | null)[] = [];
  for await (const { path } of predict({ ...given, images, onBadImage: 'truncate', onWarning })) {
    files.push(path);
  }
  expect(files).toContain(cut);
  expectWarned();

  await datasetStats(images, { onBadImage: 'truncate', onWarning });
  expectWarned();

  const run = distill({
    ...base,
    dataset,
    student: join(folder, 'new.pth'),
    onBadImage: 'truncate',
  });
  run.on('warning', onWarning);
  expect((await run).skipped).toEqual([]);
  expectWarned();

  const { teacher, mean, std, imageSize } = base;
  const output = join(folder, 'logits.safetensors');
  await teacherLogits({
    teacher,
    mean,
    std,
    imageSize,
    dataset,
    output,
    onBadImage: 'truncate',
    onWarning,
  });
  expectWarned();
  await expect(datasetStats(images)).rejects.toMatchObject({ code: 'ERR_BAD_IMAGE' });
  expect(readFileSync(output).length).toBeGreaterThan(0);
});
