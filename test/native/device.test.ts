import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadAddon } from '../../lib/addon.js';
import { type DistillWarning, distill, predict, teacherLogits } from '../../lib/index.js';
import { runChild } from '../helpers/child.js';
import { smallRun, temporaryFolder } from '../helpers/dataset.js';

const folder = temporaryFolder();
let base: Awaited<ReturnType<typeof smallRun>>;
/** The device that 'auto' chooses here, and its warning. */
let auto: { device: string; warning: string | null };

beforeAll(async () => {
  base = await smallRun(folder);
  const session = new (loadAddon().Session)({
    imageSize: 32,
    mean: [0, 0, 0],
    std: [1, 1, 1],
    device: 'auto',
    precision: 'fp32',
    threads: 1,
  });
  auto = await session.open();
  await session.close();
});

describe("the device 'auto'", () => {
  test('is the CPU where LibTorch is built for that alone, and says nothing', ({ skip }) => {
    if (loadAddon().cuda) skip('this LibTorch is built for CUDA');
    expect(auto).toMatchObject({ device: 'cpu', warning: null });
  });

  test('falls back to the CPU with one warning where CUDA finds no GPU', async ({ skip }) => {
    if (!loadAddon().cuda) skip('this LibTorch is built for the CPU alone');
    if (auto.device !== 'cpu') skip(`there is a GPU here, ${auto.device}`);
    const expected = {
      code: 'WARN_NO_GPU',
      message: expect.stringMatching(
        /^Computing on the CPU, as LibTorch's CUDA build finds no GPU/,
      ),
    };
    const warnings: DistillWarning[] = [];
    const onWarning = (warning: DistillWarning) => warnings.push(warning);
    const options = { ...base, device: 'auto' } as const;
    const { device } = await distill(options).on('warning', onWarning);
    expect(device).toBe('cpu');
    expect(warnings).toEqual([expected]);

    const { student, teacher, dataset, mean, std, imageSize } = base;
    for await (const _ of predict({ student, images: dataset, onWarning }));
    await teacherLogits({
      teacher,
      dataset,
      mean,
      std,
      imageSize,
      onWarning,
      output: path.join(folder, 'out/logits.safetensors'),
    });
    expect(warnings).toEqual([expected, expected, expected]);

    await distill({ ...options, device: 'cpu' }).on('warning', onWarning);
    expect(warnings).toHaveLength(3);
  });
});

test("the device 'cuda' says what it lacks, and what brings it", async ({ skip }) => {
  if (auto.device !== 'cpu') skip(`there is a GPU here, ${auto.device}`);
  const run = distill({ ...base, device: 'cuda' });
  const message = loadAddon().cuda
    ? /LibTorch's CUDA build can use none here \(.+\): `nvidia-smi` must list it/
    : /this LibTorch is built for the CPU alone; run `DISTILL_LIBTORCH=cuda npx distill setup/;
  await expect(run).rejects.toMatchObject({
    code: 'ERR_DEVICE',
    message: expect.stringMatching(message),
  });
});

test('a CUDA library that does not load is told of, and the CPU works', async ({ skip }) => {
  const maps = readFileSync('/proc/self/maps', 'utf8');
  const lib = path.dirname(/\S+\/libtorch_cpu\.so/.exec(maps)?.[0] ?? '');
  if (loadAddon().cuda) skip('this LibTorch has a CUDA library');
  // A LibTorch whose CUDA library lacks what it needs, which here is everything.
  const broken = path.join(folder, 'lib');
  mkdirSync(broken);
  for (const name of readdirSync(lib)) symlinkSync(path.join(lib, name), path.join(broken, name));
  writeFileSync(path.join(broken, 'libtorch_cuda.so'), 'nothing');

  const script = `
    const warnings = [];
    const { device } = await distill({ ...input, device: 'auto' }).on('warning', (w) => warnings.push(w));
    const refusal = await distill({ ...input, device: 'cuda' }).catch(({ code, message }) => ({ code, message }));
    console.log(JSON.stringify({ device, warnings, refusal }));`;
  const { code, stdout, stderr } = await runChild(script, {
    input: base,
    env: { LD_LIBRARY_PATH: broken },
  });
  expect(code, stderr).toBe(0);
  const why = /libtorch_cuda\.so: file too short/;
  expect(JSON.parse(stdout)).toEqual({
    device: 'cpu',
    warnings: [{ code: 'WARN_NO_GPU', message: expect.stringMatching(why) }],
    refusal: { code: 'ERR_DEVICE', message: expect.stringMatching(why) },
  });
});
