import path from 'node:path';
import { expect, test } from 'vitest';
import { type DatasetStatsOptions, datasetStats } from '../../../lib/index.js';
import { runCommand } from '../../helpers/child.js';
import { temporaryFolder, writePicture } from '../../helpers/dataset.js';

const folder = temporaryFolder();

test.each([
  ['--resize 40 --image-size 32', { resize: 40, imageSize: 32 }],
  ['--resize 36,40 --no-crop --padding 0,2', { resize: [36, 40], crop: false, padding: [0, 2] }],
  ['--resize 40 36 --image-size 32', { resize: [40, 36], imageSize: 32 }],
  ['--resize none --image-size 50 --padding 1,2,3,4', { padding: [1, 2, 3, 4], imageSize: 50 }],
  [
    '--preprocess torchvision --interpolation box',
    { preprocess: 'torchvision', interpolation: 'box' },
  ],
] satisfies [string, DatasetStatsOptions][])('distill stats … %s', async (flags, options) => {
  await writePicture(path.join(folder, 'a.png'), 1, { size: 61 });
  const expected = await datasetStats(folder, options);
  const { stdout, stderr } = await runCommand(['stats', folder, '--json', ...flags.split(' ')]);
  expect(stderr).toBe('');
  expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({ mean: expected.mean });
});
