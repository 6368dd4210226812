import { execFile, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../lib/package.js';
import { temporaryFolder } from '../helpers/dataset.js';

// `npm run build` in a copy of this checkout's sources.

const root = temporaryFolder();
const at = (file: string) => path.join(root, file);

beforeAll(() => {
  for (const name of ['lib', 'scripts', 'package.json', 'tsconfig.json', 'tsconfig.build.json']) {
    cpSync(path.join(packageRoot, name), at(name), { recursive: true });
  }
  symlinkSync(path.join(packageRoot, 'node_modules'), at('node_modules'));
});

/** Resolves to the exit code. */
function build(): Promise<number> {
  return new Promise((resolve) => {
    execFile('npm', ['run', '--silent', 'build'], { cwd: root }, (error) =>
      resolve(error ? Number(error.code) : 0),
    );
  });
}

describe('npm run build', () => {
  test('makes dist/ without what is no longer in lib/, and leaves what has not changed', async () => {
    mkdirSync(at('dist'));
    writeFileSync(at('dist/left.js'), '');
    expect(await build()).toBe(0);
    expect(existsSync(at('dist/left.js'))).toBe(false);
    expect(readdirSync(root).filter((name) => name.startsWith('.dist'))).toEqual([]);

    const state = () => ['index.js', 'words.js'].map((file) => statSync(at(`dist/${file}`)).ino);
    const [index, words] = state();
    writeFileSync(
      at('lib/words.ts'),
      `${readFileSync(at('lib/words.ts'), 'utf8')}export const x = 1;\n`,
    );
    expect(await build()).toBe(0);
    expect(state()[0]).toBe(index);
    expect(state()[1]).not.toBe(words);
  });

  test('leaves dist/ as it is where the sources do not compile', async () => {
    writeFileSync(at('lib/wrong.ts'), 'export const wrong: number = "text";\n');
    expect(await build()).not.toBe(0);
    rmSync(at('lib/wrong.ts'));
    expect(existsSync(at('dist/index.js'))).toBe(true);
    expect(existsSync(at('dist/wrong.js'))).toBe(false);
  });

  test('several at once take nothing from each other, nor from who imports the package', async () => {
    const importing = `await import('${at('dist/index.js')}'); await import('${at('dist/cli/main.js')}');`;
    const reading = `
      const { execFileSync } = require('node:child_process');
      let imports = 0;
      for (; !require('node:fs').existsSync('stop'); imports++) {
        execFileSync(process.execPath, ['--input-type=module', '--eval', process.argv[1]]);
      }
      console.log(imports);`;
    const reader = promisify(execFile)(process.execPath, ['--eval', reading, importing], {
      cwd: root,
    });
    const codes = await Promise.all([build(), build(), build()]);
    writeFileSync(at('stop'), '');
    expect(codes).toEqual([0, 0, 0]);
    expect(Number((await reader).stdout)).toBeGreaterThan(0);
  });

  test('removes what killed ones left, and not what others are making', async () => {
    const { pid } = spawnSync(process.execPath, ['--version']);
    for (const left of [pid, process.pid]) mkdirSync(at(`.dist-${left}/cli`), { recursive: true });
    expect(await build()).toBe(0);
    expect(readdirSync(root).filter((name) => name.startsWith('.dist'))).toEqual([
      `.dist-${process.pid}`,
    ]);
  });
});
