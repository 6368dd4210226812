import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { triple } from '../../../lib/cli/arguments.js';
import { events, run, script, temporary } from '../../helpers/cli.js';

describe('files', () => {
  test('inspect describes a student', async () => {
    const { code, stdout } = await run(['inspect', 'student.pth']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^architecture +cnn$/m);
    expect(stdout).toMatch(/^names +ants, bee's$/m);
    expect(stdout).toMatch(/^image size +32$/m);
    expect(stdout).not.toContain('features.0.weight');
  });

  test('inspect lists tensors, or all as JSON', async () => {
    const [listed, json] = await Promise.all([
      run(['inspect', 'teacher.pth', '--tensors']),
      run(['inspect', 'teacher.pth', '--json']),
    ]);
    expect(listed.stdout).toMatch(/^architecture +densenet121$/m);
    expect(listed.stdout).toMatch(/^features\.conv0\.weight\tfloat32\t\(64, 3, 7, 7\)$/m);
    expect(events(json.stdout)).toMatchObject([
      { event: 'checkpoint', path: 'teacher.pth', architecture: 'densenet121', metadata: null },
    ]);
  });

  test('inspect shows the recipe beside a teacher', async () => {
    const folder = path.join(temporary, 'hub');
    mkdirSync(folder);
    copyFileSync(path.join(temporary, 'teacher.pth'), path.join(folder, 'teacher.pth'));
    const config = path.join(folder, 'config.json');
    writeFileSync(config, JSON.stringify({ pretrained_cfg: { input_size: [3, 96, 96] } }));
    const read = await run(['inspect', 'hub/teacher.pth']);
    expect(read.stdout).toMatch(/^recipe +hub\/config\.json \(timm\)$/m);
    expect(read.stdout).toMatch(/^resize +109$/m);
    expect(read.stdout).toMatch(/^interpolation +bicubic$/m);
    writeFileSync(config, JSON.stringify({ pretrained_cfg: { input_size: [3, 96, 64] } }));
    const refused = await run(['inspect', 'hub/teacher.pth']);
    expect(refused.code).toBe(0);
    expect(refused.stdout).toMatch(/^refused +.*input_size is 96 x 64 pixels/m);
  });

  test('stats are ready to be pasted', async () => {
    const [plain, json] = await Promise.all([
      run(['stats', 'hard', '--image-size', '32']),
      run(['stats', 'hard', '--image-size', '32', '--json']),
    ]);
    expect(plain.stdout).toMatch(/^--mean (0\.\d{6},?){3} --std (0\.\d{6},?){3}\n$/);
    expect(plain.stderr).toBe('8 pictures of 2 classes\n');
    const options = plain.stdout.trimEnd().split(' ');
    expect(triple(options[1] ?? '')).toEqual([
      expect.closeTo(70 / 255, 5),
      expect.closeTo(90 / 255, 5),
      expect.closeTo(185 / 255, 5),
    ]);
    expect(events(json.stdout)).toMatchObject([
      { event: 'stats', images: 8, classes: ['ants', "bee's"] },
    ]);
  });

  test.runIf(existsSync('/dev/full'))('output that cannot be written is an error', async () => {
    const command = '"$0" "$@" > /dev/full';
    const args = [command, process.execPath, script, 'inspect', 'student.pth'];
    const child = spawn('sh', ['-c', ...args], { cwd: temporary });
    let stderr = '';
    child.stderr.on('data', (text) => {
      stderr += text;
    });
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'distill: The output cannot be written (ENOSPC). (ERR_OUTPUT)\n',
    });
  });
});
