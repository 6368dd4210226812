import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadAddon } from '../../../lib/addon.js';
import { distill, doctor } from '../../../lib/index.js';
import { canMount, runChild, withDisk } from '../../helpers/child.js';
import { writeStudent } from '../../helpers/dataset.js';
import { at, examine, found, good, named, problem, quiet } from '../../helpers/doctor.js';

describe('what the run needs', () => {
  test('a place to write to', async () => {
    const nowhere = await problem({ student: at('none/student.pth') }, 'output');
    expect(nowhere.code).toBe('ERR_WRITE');
    expect(nowhere.remedy).toContain('folder that is there');

    const own = await problem({ student: good.teacher }, 'output');
    expect(own.code).toBe('ERR_OPTION');
    expect(own.message).toContain("the teacher's own file");
    expect(own.remedy).toContain('Name another file');

    const student = at('older.pth');
    await distill({ ...good, student, epochs: 1 });
    const before = readFileSync(student);
    const older = found(await examine({ student }), 'output');
    expect(older.status).toBe('warning');
    expect(older.message).toContain('the first save replaces it');
    expect(older.remedy).toContain('if it is to be kept');
    expect(readFileSync(student)).toEqual(before);

    const foreign = await problem({ student: await writeStudent(at('foreign.pth')) }, 'output');
    expect(foreign.code).toBe('ERR_EXISTS');
    expect(foreign.remedy).toContain('`overwrite`');
  });

  test('a student of these classes to start from', async () => {
    const initialStudent = await writeStudent(at('four.pth'), { classes: 4 });
    const { code, remedy } = await problem({ initialStudent }, 'initial-student');
    expect(code).toBe('ERR_CHECKPOINT_MISMATCH');
    expect(remedy).toContain('`initialStudent`');
  });

  test('memory for the pictures', async () => {
    const views = { views: 1000, imageSize: 2048, cacheMemory: 1e15 };
    const { code, message, remedy } = found(
      await doctor({ dataset: good.dataset, ...views, ...quiet }),
      'store',
    );
    expect(code).toBe('ERR_OUT_OF_MEMORY');
    expect(message).toMatch(/take \d+\.\d GB, which `cacheMemory` admits/);
    expect(remedy).toContain('Leave `cacheMemory` out');
  });

  test.runIf(canMount)('a disk with room', async () => {
    const disk = at('disk');
    mkdirSync(disk);
    const { stdout, stderr } = await runChild(
      `const { findings } = await doctor(input);
       console.log(JSON.stringify(findings.filter(({ check }) => check === 'store')));
       console.log(await distill(input).catch(({ code }) => code));`,
      { input: { ...good, cacheDir: disk }, command: withDisk(disk, 'size=100k') },
    );
    expect(stderr).toBe('');
    const [findings = '', run] = stdout.split('\n');
    const [{ status, code, message, remedy }] = JSON.parse(findings);
    expect({ status, code }).toEqual({ status: 'problem', code: run });
    expect(message).toContain(`in a file in '${disk}', whose disk has 1 MB left`);
    expect(remedy).toContain('`cacheDir`');
  });

  test('a store that is one', async () => {
    const cacheDir = at('planted');
    const { store } = await distill({ ...good, student: at('planted.pth'), cacheDir });
    rmSync(store as string);
    symlinkSync('nowhere', store as string);
    const { code, message } = await problem({ cacheDir }, 'store');
    expect(code).toBe('ERR_CACHE');
    expect(message).toContain(`'${store}'`);
    const run = distill({ ...good, student: at('planted.pth'), cacheDir });
    await expect(run).rejects.toMatchObject({ code });
  });

  test('a device that is there', async () => {
    const gpus = (await loadAddon().machine()).gpus.length;
    const result = await examine({ device: 'cuda:99' });
    const { code, message, remedy } = found(result, 'device');
    expect(code).toBe('ERR_DEVICE');
    expect(message).toContain("'cuda:99'");
    expect(remedy).toContain('`device`');
    // All that needs no device is looked at.
    expect(named(result, 'pictures')[0]?.status).toBe('ok');
    expect(named(result, 'preprocessing')[0]?.status).toBe('ok');
    expect(result).toMatchObject({ time: null, machine: { chosen: null } });
    expect(result.machine.gpus).toHaveLength(gpus);
  });

  test('threads that have cores', async () => {
    const { status, message, remedy } = found(await doctor({ threads: 1000 }), 'processor');
    expect(status).toBe('warning');
    expect(message).toContain('1,000 threads');
    expect(remedy).toMatch(/^Set `threads` to \d+\.$/);
  });
});
